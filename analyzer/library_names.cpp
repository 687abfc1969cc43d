// Functions and classes that everyone has, and whose __name__ is the name they are found by.
//
// The lists hold what is the same in CPython 3.10 to 3.13, by asking these; aliases (IOError) are not among them.

#include <array>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "analyzer/calls.h"

namespace tach::analyzer {
namespace {

// In the order that dir() has them.
constexpr Text kBuiltins =
    "ArithmeticError AssertionError AttributeError BaseException BlockingIOError BrokenPipeError "
    "BufferError BytesWarning ChildProcessError ConnectionAbortedError ConnectionError "
    "ConnectionRefusedError ConnectionResetError DeprecationWarning EOFError EncodingWarning Exception "
    "FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit ImportError "
    "ImportWarning IndentationError IndexError InterruptedError IsADirectoryError KeyError "
    "KeyboardInterrupt LookupError MemoryError ModuleNotFoundError NameError NotADirectoryError "
    "NotImplementedError OSError OverflowError PendingDeprecationWarning PermissionError "
    "ProcessLookupError RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning "
    "StopAsyncIteration StopIteration SyntaxError SyntaxWarning SystemError SystemExit TabError "
    "TimeoutError TypeError UnboundLocalError UnicodeDecodeError UnicodeEncodeError UnicodeError "
    "UnicodeTranslateError UnicodeWarning UserWarning ValueError Warning ZeroDivisionError abs aiter all "
    "anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex "
    "delattr dict dir divmod enumerate eval exec filter float format frozenset getattr globals hasattr "
    "hash hex id input int isinstance issubclass iter len list locals map max memoryview min next object "
    "oct open ord pow print property range repr reversed round set setattr slice sorted staticmethod str "
    "sum super tuple type vars zip ";

struct Module {
    Text name;
    Text members;
};

constexpr std::array kModules = {
    Module{"operator",
           "abs add and_ attrgetter concat contains countOf delitem eq floordiv ge getitem gt iadd iand iconcat "
           "ifloordiv ilshift imatmul imod imul index indexOf inv invert ior ipow irshift is_ is_not isub "
           "itemgetter itruediv ixor le length_hint lshift lt matmul methodcaller mod mul ne neg not_ or_ pos "
           "pow rshift setitem sub truediv truth xor "},
    Module{"math",
           "acos acosh asin asinh atan atan2 atanh ceil comb copysign cos cosh degrees dist erf erfc exp expm1 "
           "fabs factorial floor fmod frexp fsum gamma gcd hypot isclose isfinite isinf isnan isqrt lcm ldexp "
           "lgamma log log10 log1p log2 modf nextafter perm pow prod radians remainder sin sinh sqrt tan tanh "
           "trunc ulp "},
    Module{"re",
           "Match Pattern RegexFlag Scanner compile escape findall finditer fullmatch match purge search split "
           "sub subn "},
    Module{"json", "JSONDecodeError JSONDecoder JSONEncoder detect_encoding dump dumps load loads "},
    Module{"copy", "Error copy deepcopy "},
    Module{"pickle",
           "PickleBuffer PickleError Pickler PicklingError Unpickler UnpicklingError decode_long dump dumps "
           "encode_long islice load loads pack partial unpack whichmodule "},
    Module{"os.path",
           "abspath basename commonpath commonprefix dirname exists expanduser expandvars getatime getctime "
           "getmtime getsize isabs isdir isfile islink ismount join lexists normcase realpath relpath samefile "
           "sameopenfile samestat split splitdrive splitext "},
    Module{"collections", "ChainMap Counter OrderedDict UserDict UserList UserString defaultdict deque namedtuple "},
    Module{"decimal",
           "Clamped Context ConversionSyntax Decimal DecimalException DecimalTuple DivisionByZero "
           "DivisionImpossible DivisionUndefined FloatOperation Inexact InvalidContext InvalidOperation "
           "Overflow Rounded Subnormal Underflow getcontext localcontext setcontext "},
    Module{"fractions", "Decimal Fraction "},
    Module{"datetime", "date datetime time timedelta timezone tzinfo "},
    Module{"pathlib", "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath "},
    Module{"uuid", "Enum SafeUUID UUID getnode uuid1 uuid3 uuid4 uuid5 "},
    Module{"functools",
           "GenericAlias RLock cache cached_property cmp_to_key get_cache_token lru_cache namedtuple partial "
           "partialmethod recursive_repr reduce singledispatch singledispatchmethod total_ordering "
           "update_wrapper wraps "},
    Module{"itertools",
           "accumulate chain combinations combinations_with_replacement compress count cycle dropwhile "
           "filterfalse groupby islice pairwise permutations product repeat starmap takewhile tee zip_longest "},
    Module{"io",
           "BlockingIOError BufferedIOBase BufferedRWPair BufferedRandom BufferedReader BufferedWriter BytesIO "
           "FileIO IOBase IncrementalNewlineDecoder RawIOBase StringIO TextIOBase TextIOWrapper "
           "UnsupportedOperation open open_code text_encoding "},
    Module{"enum", "DynamicClassAttribute Enum Flag IntEnum IntFlag auto unique "},
    Module{"dataclasses",
           "Field FrozenInstanceError InitVar asdict astuple dataclass field fields is_dataclass make_dataclass "
           "replace "},
    Module{"contextlib",
           "AbstractAsyncContextManager AbstractContextManager AsyncContextDecorator AsyncExitStack "
           "ContextDecorator ExitStack GenericAlias aclosing asynccontextmanager closing contextmanager deque "
           "nullcontext redirect_stderr redirect_stdout suppress wraps "},
    Module{"struct", "Struct calcsize error iter_unpack pack pack_into unpack unpack_from "},
    Module{"time",
           "asctime clock_getres clock_gettime clock_gettime_ns clock_settime clock_settime_ns ctime "
           "get_clock_info gmtime localtime mktime monotonic monotonic_ns perf_counter perf_counter_ns "
           "process_time process_time_ns pthread_getcpuclockid sleep strftime strptime struct_time thread_time "
           "thread_time_ns time time_ns tzset "},
    Module{"textwrap", "TextWrapper dedent fill indent shorten wrap "},
    Module{"string", "Formatter Template capwords "},
    Module{"threading",
           "Barrier BoundedSemaphore BrokenBarrierError Condition Event RLock Semaphore Thread Timer WeakSet "
           "activeCount active_count currentThread current_thread enumerate get_ident get_native_id getprofile "
           "gettrace main_thread setprofile settrace stack_size "},
    Module{"shutil",
           "Error ExecError ReadError RegistryError SameFileError SpecialFileError chown copy copy2 copyfile "
           "copyfileobj copymode copystat copytree disk_usage get_archive_formats get_terminal_size "
           "get_unpack_formats ignore_patterns make_archive move register_archive_format register_unpack_format "
           "rmtree unpack_archive unregister_archive_format unregister_unpack_format which "},
    Module{"collections.abc",
           "AsyncGenerator AsyncIterable AsyncIterator Awaitable ByteString Callable Collection Container "
           "Coroutine Generator Hashable ItemsView Iterable Iterator KeysView Mapping MappingView "
           "MutableMapping MutableSequence MutableSet Reversible Sequence Set Sized ValuesView "},
    Module{"zlib", "adler32 compress compressobj crc32 decompress decompressobj error "},
    Module{"base64",
           "a85decode a85encode b16decode b16encode b32decode b32encode b32hexdecode b32hexencode b64decode "
           "b64encode b85decode b85encode decode decodebytes encode encodebytes main standard_b64decode "
           "standard_b64encode urlsafe_b64decode urlsafe_b64encode "},
    Module{"hashlib", "blake2b blake2s pbkdf2_hmac scrypt "},
};

template <class Visit>
void for_each_word(Text words, const Visit& visit) {
    while (!words.empty()) {
        const std::size_t end = words.find(' ');
        visit(words.substr(0, end));
        words.remove_prefix(end == Text::npos ? words.size() : end + 1);
    }
}

std::unordered_map<std::string, Text> library() {
    std::unordered_map<std::string, Text> names;
    for (const Module& module : kModules) {
        for_each_word(module.members,
                      [&](Text word) { names[std::string(module.name) + "." + std::string(word)] = word; });
    }
    return names;
}

std::unordered_set<Text> builtins() {
    std::unordered_set<Text> names;
    for_each_word(kBuiltins, [&](Text word) { names.insert(word); });
    return names;
}

}  // namespace

bool is_builtin_with_name(Text name) {
    static const std::unordered_set<Text> kNames = builtins();
    return kNames.contains(name);
}

Text name_in_library(Text canonical) {
    static const std::unordered_map<std::string, Text> kNames = library();
    const auto found = kNames.find(std::string(canonical));
    return found == kNames.end() ? Text() : found->second;
}

}  // namespace tach::analyzer
