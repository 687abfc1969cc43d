#include "zygote/import_functions.h"

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030a0000
#include <Python.h>
#include <dlfcn.h>
#include <fcntl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_status.h"
#include "base/whole_file.h"
#include "shm/bytecode_image.h"
#include "zygote/descriptors.h"
#include "zygote/module_directories.h"

namespace tach::zygote {
namespace {

using shm::bytecode::Image;
using shm::bytecode::Kind;

struct Release {
    void operator()(PyObject* object) const { Py_DECREF(object); }
};
using Owned = std::unique_ptr<PyObject, Release>;

Owned share(PyObject* object) {
    Py_XINCREF(object);
    return Owned(object);
}

Owned attribute(PyObject* object, const char* name) {
    return Owned(object != nullptr ? PyObject_GetAttrString(object, name) : nullptr);
}

// Of a dict or a mappingproxy.
Owned item(PyObject* mapping, const char* key) {
    return Owned(mapping != nullptr ? PyMapping_GetItemString(mapping, key) : nullptr);
}

// A path or a name as the file system has it.
std::optional<std::string> bytes_of(PyObject* text) {
    if (PyUnicode_Check(text) == 0) return std::nullopt;
    const Owned bytes(PyUnicode_EncodeFSDefault(text));
    char* start = nullptr;
    Py_ssize_t size = 0;
    if (!bytes || PyBytes_AsStringAndSize(bytes.get(), &start, &size) != 0) {
        PyErr_Clear();
        return std::nullopt;
    }
    std::string path(start, static_cast<std::size_t>(size));
    if (path.find('\0') != std::string::npos) return std::nullopt;
    return path;
}

Owned text_of(const std::string& path) {
    return Owned(PyUnicode_DecodeFSDefaultAndSize(path.data(), static_cast<Py_ssize_t>(path.size())));
}

// Not in the limited API, and without the audit event of marshal.loads.
using Unmarshal = PyObject* (*)(const char*, Py_ssize_t);

// PyBUF_READ, in the limited API since 3.11.
constexpr int kReadOnly = 0x100;

// A function of importlib that is left out, and whom somebody may have replaced who wants to be called.
struct Watched {
    Owned owner;
    const char* name;
    bool is_item;  // class methods are bound anew at each access: of PathFinder the class's own dict is looked at
    Owned value;

    [[nodiscard]] Owned now() const { return is_item ? item(owner.get(), name) : attribute(owner.get(), name); }
};

// What the hook needs of importlib, taken when it is installed.
struct Importlib {
    Owned path_finder;
    Owned find_spec;  // the original, a function of (cls, fullname, path, target)
    Owned path_importer_cache;
    Owned module_spec;
    Owned file_finder;
    Owned loader;    // SourceFileLoader
    Owned loaders;   // of an ordinary FileFinder
    Owned get_code;  // the original, a function of (self, fullname)
    Owned cache_from_source;
    Owned marshal_loads;
    Unmarshal unmarshal = nullptr;
    std::vector<Watched> finding;
    std::vector<Watched> loading;
    std::string cached_suffix;  // ".cpython-311.pyc"
};

struct Hook {
    // Never given up: views into it may be in use.
    std::optional<Image> image;
    bool is_on = false;
    bool is_paranoid = false;
    std::optional<Importlib> importlib;
    std::optional<ModuleDirectories> directories;
    unsigned long hits = 0;           // NOLINT(google-runtime-int): for Py_BuildValue
    unsigned long stale = 0;          // NOLINT(google-runtime-int)
    unsigned long unsigned_hits = 0;  // NOLINT(google-runtime-int): whose contents had to be compared
    bool is_damaged = false;
};

// Of this process. Never destroyed: imports may come while the interpreter ends.
Hook& hook() {
    static auto* const kHook = new Hook;
    return *kHook;
}

bool is_unchanged(const std::vector<Watched>& all) {
    for (const Watched& watched : all) {
        if (watched.now().get() == watched.value.get()) continue;
        PyErr_Clear();
        return false;
    }
    return true;
}

// --- what the image has ---------------------------------------------------------------------------------------------

bool has_contents(const std::string& path, const shm::bytecode::Hash& hash) {
    const auto source = base::read_file(path);
    return source && shm::bytecode::Hash::of(*source) == hash;
}

// The code of a source, if it is what would be compiled from it now.
std::optional<std::string_view> current_code(Kind kind, const std::string& path) {
    Hook& self = hook();
    const auto module = self.image->find(kind, path);
    if (!module) return std::nullopt;
    const base::FileStatus status = base::status_at(AT_FDCWD, path.c_str());
    if (status.kind != base::FileKind::kFile) return std::nullopt;
    const bool is_known = module->signature.matches(status);
    if ((self.is_paranoid || !is_known) && !has_contents(path, module->hash)) {
        ++self.stale;
        return std::nullopt;
    }
    if (module->code.empty()) return std::nullopt;
    if (!self.image->is_there() || !self.image->is_intact(*module)) {
        // A test may have closed its descriptor: then nothing is known of the file, and nothing is wrong with it.
        self.is_damaged = self.image->is_there();
        self.is_on = false;
        return std::nullopt;
    }
    ++self.hits;
    if (!is_known) ++self.unsigned_hits;
    return module->code;
}

// Null without an exception: it cannot be read although its hash is right, so that the source is to speak.
Owned unmarshalled(std::string_view code) {
    const Importlib& lib = *hook().importlib;
    const auto size = static_cast<Py_ssize_t>(code.size());
    Owned object;
    if (lib.unmarshal != nullptr) {
        object.reset(lib.unmarshal(code.data(), size));
    } else {
        const Owned view(PyMemoryView_FromMemory(const_cast<char*>(code.data()), size, kReadOnly));  // NOLINT
        if (view) object.reset(PyObject_CallFunctionObjArgs(lib.marshal_loads.get(), view.get(), nullptr));
    }
    if (!object && (PyErr_ExceptionMatches(PyExc_ValueError) != 0 || PyErr_ExceptionMatches(PyExc_EOFError) != 0 ||
                    PyErr_ExceptionMatches(PyExc_TypeError) != 0)) {
        PyErr_Clear();
    }
    return object;
}

// --- loading --------------------------------------------------------------------------------------------------------

// The path of a loader that is as it was made, for the module that it was made for.
std::optional<std::string> path_of(PyObject* loader, PyObject* fullname) {
    if (reinterpret_cast<PyObject*>(Py_TYPE(loader)) != hook().importlib->loader.get()) return std::nullopt;  // NOLINT
    const Owned attributes = attribute(loader, "__dict__");
    if (!attributes || PyDict_CheckExact(attributes.get()) == 0 || PyDict_Size(attributes.get()) != 2) {
        PyErr_Clear();
        return std::nullopt;
    }
    const Owned name = item(attributes.get(), "name");
    const Owned path = item(attributes.get(), "path");
    const bool is_its_own = name && path && PyUnicode_CheckExact(name.get()) != 0 &&
                            PyUnicode_CheckExact(fullname) != 0 && PyUnicode_Compare(name.get(), fullname) == 0;
    PyErr_Clear();
    return is_its_own ? bytes_of(path.get()) : std::nullopt;
}

// SourceFileLoader.get_code(self, fullname), in the place of SourceLoader's.
PyObject* get_code(PyObject* self, PyObject* args, PyObject* keywords) {
    const Importlib& lib = *hook().importlib;
    const bool is_plain = keywords == nullptr && PyTuple_Size(args) == 1;
    if (hook().is_on && is_plain && is_unchanged(lib.loading)) {
        const auto path = path_of(self, PyTuple_GetItem(args, 0));
        const auto code = path ? current_code(Kind::kPlain, *path) : std::nullopt;
        if (code) {
            Owned object = unmarshalled(*code);
            if (object || PyErr_Occurred() != nullptr) return object.release();
        }
    }
    const Owned first(PyTuple_Pack(1, self));
    const Owned all(first ? PySequence_Concat(first.get(), args) : nullptr);
    return all ? PyObject_Call(lib.get_code.get(), all.get(), keywords) : nullptr;
}

PyMethodDef get_code_definition{
    // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
    "get_code", reinterpret_cast<PyCFunction>(get_code), METH_VARARGS | METH_KEYWORDS,  // NOLINT
    "get_code($self, fullname)\n--\n\nReturn the code object for the module."};

// --- finding --------------------------------------------------------------------------------------------------------

struct Found {
    std::string source;
    std::string package;  // its directory; "": no package
};

// What cache_from_source gives, which takes longer than all the rest.
Owned cached_path(PyObject* path, const std::string& source) {
    const Importlib& lib = *hook().importlib;
    PyObject* const prefix = PySys_GetObject("pycache_prefix");
    if (prefix != nullptr && prefix != Py_None) {
        return Owned(PyObject_CallFunctionObjArgs(lib.cache_from_source.get(), path, nullptr));
    }
    const std::size_t slash = source.rfind('/');
    return text_of(source.substr(0, slash) + "/__pycache__" + source.substr(slash, source.size() - slash - 3) +
                   lib.cached_suffix);
}

// What importlib.util.spec_from_file_location makes of a source. Null: an exception.
Owned spec_of(PyObject* name, const Found& found) {
    const Importlib& lib = *hook().importlib;
    const Owned path = text_of(found.source);
    if (!path) return {};
    const Owned loader(PyObject_CallFunctionObjArgs(lib.loader.get(), name, path.get(), nullptr));
    const Owned arguments(loader ? PyTuple_Pack(2, name, loader.get()) : nullptr);
    const Owned keywords(arguments ? Py_BuildValue("{sO}", "origin", path.get()) : nullptr);
    if (!keywords) return {};
    Owned spec(PyObject_Call(lib.module_spec.get(), arguments.get(), keywords.get()));
    const Owned cached = spec ? cached_path(path.get(), found.source) : Owned();
    if (!cached || PyObject_SetAttrString(spec.get(), "_set_fileattr", Py_True) != 0 ||
        PyObject_SetAttrString(spec.get(), "cached", cached.get()) != 0) {
        return {};
    }
    if (!found.package.empty()) {
        const Owned locations(Py_BuildValue("[N]", text_of(found.package).release()));
        if (!locations || PyObject_SetAttrString(spec.get(), "submodule_search_locations", locations.get()) != 0) {
            return {};
        }
    }
    return spec;
}

enum class Sight : std::uint8_t { kHere, kNotHere, kUnclear };

// What FileFinder.find_spec would find in the directory.
Sight look_into(const std::string& directory, std::string_view name, Found& found) {
    using State = ModuleDirectories::State;
    ModuleDirectories& directories = *hook().directories;
    const auto answer = directories.look(directory, name);
    if (answer.state == State::kNone) return Sight::kNotHere;
    if (answer.state != State::kListed) return Sight::kUnclear;
    if (answer.holds == 0) return Sight::kNotHere;
    if (answer.holds == kHasEntry) {
        const std::string package = directory + '/' + std::string(name);
        const auto inner = directories.look(package, "__init__");
        if (inner.state == State::kNoDirectory || inner.state == State::kNone) return Sight::kNotHere;
        if (inner.state != State::kListed || inner.holds != kHasSource) return Sight::kUnclear;
        found.source = package + "/__init__.py";
        found.package = package;
    } else if (answer.holds == kHasSource) {
        found.source = directory + '/' + std::string(name) + ".py";
    } else {
        return Sight::kUnclear;
    }
    const bool is_file = base::status_at(AT_FDCWD, found.source.c_str()).kind == base::FileKind::kFile;
    return is_file ? Sight::kHere : Sight::kUnclear;
}

// Whether an ordinary FileFinder is responsible for the entry of a search path; `is_nobodys` if nobody is. Null: an
// exception. As PathFinder does, has path hooks asked for an entry that is new.
std::optional<bool> is_ordinary(PyObject* entry, PyObject* cache, bool& is_nobodys) {
    const Importlib& lib = *hook().importlib;
    Owned finder = share(PyDict_GetItemWithError(cache, entry));
    if (!finder && PyErr_Occurred() == nullptr) {
        finder.reset(PyObject_CallFunctionObjArgs(lib.path_importer_cache.get(), entry, nullptr));
    }
    if (!finder) return std::nullopt;
    is_nobodys = finder.get() == Py_None;
    if (is_nobodys) return true;
    if (reinterpret_cast<PyObject*>(Py_TYPE(finder.get())) != lib.file_finder.get()) return false;  // NOLINT
    const Owned attributes = attribute(finder.get(), "__dict__");
    const Owned loaders = item(attributes.get(), "_loaders");
    if (!loaders) return std::nullopt;
    const int is_usual = PyObject_RichCompareBool(loaders.get(), lib.loaders.get(), Py_EQ);
    if (is_usual < 0) return std::nullopt;
    return is_usual == 1 && PyMapping_HasKeyString(attributes.get(), "find_spec") == 0;
}

// The spec; null without an exception: importlib is to look for itself.
Owned find(PyObject* fullname, PyObject* path) {
    const auto name = bytes_of(fullname);
    const Owned cache = share(PySys_GetObject("path_importer_cache"));
    const Owned entries = share(path == Py_None ? PySys_GetObject("path") : path);
    if (!name || !cache || PyDict_CheckExact(cache.get()) == 0 || !entries || PyList_CheckExact(entries.get()) == 0 ||
        !is_unchanged(hook().importlib->finding)) {
        return {};
    }
    const std::string tail = name->substr(name->rfind('.') + 1);
    for (Py_ssize_t i = 0; i < PyList_Size(entries.get()); ++i) {
        const Owned entry = share(PyList_GetItem(entries.get(), i));
        const auto directory = entry ? bytes_of(entry.get()) : std::nullopt;
        if (!directory || directory->size() < 2 || directory->front() != '/' || directory->back() == '/') return {};
        bool is_nobodys = false;
        const auto ordinary = is_ordinary(entry.get(), cache.get(), is_nobodys);
        if (!ordinary || !*ordinary) return {};
        if (is_nobodys) continue;
        Found found;
        const Sight sight = look_into(*directory, tail, found);
        if (sight == Sight::kHere) return spec_of(fullname, found);
        if (sight == Sight::kUnclear) return {};
    }
    return {};
}

// PathFinder.find_spec(fullname, path=None, target=None), a class method.
PyObject* find_spec(PyObject*, PyObject* args, PyObject* keywords) {
    const Importlib& lib = *hook().importlib;
    PyObject* cls = nullptr;
    PyObject* fullname = nullptr;
    PyObject* path = Py_None;
    PyObject* target = Py_None;
    static std::array names{const_cast<char*>(""), const_cast<char*>("fullname"), const_cast<char*>("path"),  // NOLINT
                            const_cast<char*>("target"), static_cast<char*>(nullptr)};                        // NOLINT
    const bool is_understood =
        PyArg_ParseTupleAndKeywords(args, keywords, "OO|OO", names.data(), &cls, &fullname, &path, &target) != 0;
    if (!is_understood) {
        PyErr_Clear();
    } else if (hook().is_on && cls == lib.path_finder.get()) {
        // What a path hook or a signal's handler raises is not ours to swallow.
        Owned spec = find(fullname, path);
        if (spec || PyErr_Occurred() != nullptr) return spec.release();
    }
    return PyObject_Call(lib.find_spec.get(), args, keywords);
}

PyMethodDef find_spec_definition{
    // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
    "find_spec", reinterpret_cast<PyCFunction>(find_spec), METH_VARARGS | METH_KEYWORDS,  // NOLINT
    "find_spec(cls, fullname, path=None, target=None)\n--\n\n"
    "Try to find a spec for 'fullname' on sys.path or 'path'."};

// --- the module's functions -----------------------------------------------------------------------------------------

// "O&" with PyUnicode_FSConverter: bytes that are ours.
PyObject* bytecode_open(PyObject*, PyObject* args) {
    PyObject* path = nullptr;
    const char* key = nullptr;
    int paranoid = 0;
    if (PyArg_ParseTuple(args, "O&sp", PyUnicode_FSConverter, &path, &key, &paranoid) == 0) return nullptr;
    const Owned owned(path);
    auto image = Image::open(PyBytes_AsString(path), lowest_own_descriptor());
    if (!image) {
        const std::string reason = (image.error().code == ENOENT ? " " : "") + image.error().what;
        return text_of(reason).release();
    }
    if (image->interpreter_key() != key) return PyUnicode_FromString(" it is of another interpreter");
    hook().image.emplace(*std::move(image));
    hook().is_paranoid = paranoid != 0;
    return PyUnicode_FromString("");
}

// What modules end with, other than sources: of the pairs of suffix and loader.
std::vector<std::string> other_suffixes(PyObject* loaders) {
    std::vector<std::string> suffixes;
    for (Py_ssize_t i = 0; PyList_Check(loaders) != 0 && i < PyList_Size(loaders); ++i) {
        const Owned first(PySequence_GetItem(PyList_GetItem(loaders, i), 0));
        auto suffix = first ? bytes_of(first.get()) : std::nullopt;
        if (suffix && *suffix != ".py") suffixes.push_back(*std::move(suffix));
    }
    return suffixes;
}

// The loaders of an ordinary FileFinder and what a compiled file is called, as this interpreter has them.
bool learn_details(Importlib& lib, PyObject* external) {
    const Owned loaders(PyObject_CallMethod(external, "_get_supported_file_loaders", nullptr));
    const Owned directory(PyUnicode_FromString("/"));
    const Owned arguments(loaders ? PySequence_Tuple(loaders.get()) : nullptr);
    const Owned first(directory ? PyTuple_Pack(1, directory.get()) : nullptr);
    const Owned all(first && arguments ? PySequence_Concat(first.get(), arguments.get()) : nullptr);
    const Owned sample(all ? PyObject_Call(lib.file_finder.get(), all.get(), nullptr) : nullptr);
    lib.loaders = attribute(sample.get(), "_loaders");
    const Owned cached(PyObject_CallMethod(external, "cache_from_source", "s", "/a/x.py"));
    const auto text = cached ? bytes_of(cached.get()) : std::nullopt;
    const std::size_t name = text ? text->rfind("/x.") : std::string_view::npos;
    if (!lib.loaders || name == std::string_view::npos) return false;
    lib.cached_suffix = text->substr(name + 2);
    return true;
}

bool watch(std::vector<Watched>& all, PyObject* owner, std::initializer_list<const char*> names, bool is_item = false) {
    for (const char* name : names) {
        Watched watched{share(owner), name, is_item, {}};
        watched.value = watched.now();
        if (!watched.value) return false;
        all.push_back(std::move(watched));
    }
    return true;
}

std::optional<Importlib> take_importlib() {
    const Owned bootstrap(PyImport_ImportModule("_frozen_importlib"));
    const Owned external(PyImport_ImportModule("_frozen_importlib_external"));
    const Owned marshal(PyImport_ImportModule("marshal"));
    if (!bootstrap || !external || !marshal) return std::nullopt;
    Importlib lib;
    lib.path_finder = attribute(external.get(), "PathFinder");
    const Owned bound = attribute(lib.path_finder.get(), "find_spec");
    lib.find_spec = attribute(bound.get(), "__func__");
    lib.path_importer_cache = attribute(lib.path_finder.get(), "_path_importer_cache");
    lib.module_spec = attribute(bootstrap.get(), "ModuleSpec");
    lib.file_finder = attribute(external.get(), "FileFinder");
    lib.loader = attribute(external.get(), "SourceFileLoader");
    lib.get_code = attribute(lib.loader.get(), "get_code");
    lib.cache_from_source = attribute(external.get(), "cache_from_source");
    lib.marshal_loads = attribute(marshal.get(), "loads");
    lib.unmarshal = reinterpret_cast<Unmarshal>(::dlsym(RTLD_DEFAULT, "PyMarshal_ReadObjectFromString"));  // NOLINT
    const Owned methods = attribute(lib.path_finder.get(), "__dict__");
    const bool is_whole = lib.find_spec && lib.path_importer_cache && lib.module_spec && lib.file_finder &&
                          lib.get_code && lib.cache_from_source && lib.marshal_loads && methods;
    const bool is_watched =
        is_whole && watch(lib.finding, methods.get(), {"_get_spec", "_path_importer_cache", "_path_hooks"}, true) &&
        watch(lib.finding, lib.file_finder.get(), {"__init__", "find_spec", "_get_spec"}) &&
        watch(lib.finding, external.get(), {"spec_from_file_location", "cache_from_source", "SourceFileLoader"}) &&
        watch(lib.loading, lib.loader.get(),
              {"get_filename", "get_data", "path_stats", "source_to_code", "_cache_bytecode"});
    if (!is_watched || !learn_details(lib, external.get())) return std::nullopt;
    return lib;
}

bool replace_functions(const Importlib& lib) {
    const Owned builtins(PyImport_ImportModule("builtins"));
    const Owned finding(PyCFunction_NewEx(&find_spec_definition, nullptr, nullptr));
    const Owned method(finding && builtins ? PyObject_CallMethod(builtins.get(), "classmethod", "O", finding.get())
                                           : nullptr);
    const Owned loading(
        PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(lib.loader.get()), &get_code_definition));  // NOLINT
    return method && loading && PyObject_SetAttrString(lib.path_finder.get(), "find_spec", method.get()) == 0 &&
           PyObject_SetAttrString(lib.loader.get(), "get_code", loading.get()) == 0;
}

// An importlib that is not as expected is left as it is: None is returned all the same.
PyObject* bytecode_install(PyObject*, PyObject*) {
    Hook& self = hook();
    auto lib = take_importlib();
    auto suffixes = lib ? other_suffixes(lib->loaders.get()) : std::vector<std::string>();
    PyErr_Clear();
    if (!lib || suffixes.empty() || !self.image) Py_RETURN_NONE;
    self.importlib = std::move(lib);
    self.directories.emplace(std::move(suffixes));
    if (!replace_functions(*self.importlib)) return nullptr;
    self.is_on = true;
    Py_RETURN_NONE;
}

PyObject* bytecode_rewritten(PyObject*, PyObject* path) {
    const auto text = bytes_of(path);
    if (!text || !hook().is_on) Py_RETURN_NONE;
    const auto code = current_code(Kind::kRewritten, *text);
    if (!code) Py_RETURN_NONE;
    Owned object = unmarshalled(*code);
    if (object || PyErr_Occurred() != nullptr) return object.release();
    Py_RETURN_NONE;
}

PyObject* bytecode_rewriter_key(PyObject*, PyObject*) {
    const std::string_view key = hook().image ? hook().image->rewriter_key() : std::string_view();
    return PyUnicode_FromStringAndSize(key.data(), static_cast<Py_ssize_t>(key.size()));
}

PyObject* bytecode_has(PyObject*, PyObject* args) {
    int rewritten = 0;
    PyObject* path = nullptr;
    if (PyArg_ParseTuple(args, "pO", &rewritten, &path) == 0) return nullptr;
    const Kind kind = rewritten != 0 ? Kind::kRewritten : Kind::kPlain;
    const auto text = bytes_of(path);
    const bool has = text && hook().image && hook().image->find(kind, *text);
    return PyBool_FromLong(has ? 1 : 0);
}

PyObject* bytecode_counts(PyObject*, PyObject*) {
    const Hook& self = hook();
    return Py_BuildValue("(kkki)", self.hits, self.stale, self.unsigned_hits, self.is_damaged ? 1 : 0);
}

PyMethodDef functions[] = {
    // NOLINT(cppcoreguidelines-avoid-c-arrays,cppcoreguidelines-avoid-non-const-global-variables): CPython's interface
    {"bytecode_open", bytecode_open, METH_VARARGS, nullptr},
    {"bytecode_install", bytecode_install, METH_NOARGS, nullptr},
    {"bytecode_rewritten", bytecode_rewritten, METH_O, nullptr},
    {"bytecode_rewriter_key", bytecode_rewriter_key, METH_NOARGS, nullptr},
    {"bytecode_has", bytecode_has, METH_VARARGS, nullptr},
    {"bytecode_counts", bytecode_counts, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

}  // namespace

PyMethodDef* import_functions() {
    return functions;
}

}  // namespace tach::zygote
