#include "analyzer/lineage.h"

#include <algorithm>
#include <array>
#include <optional>
#include <unordered_set>

namespace tach::analyzer {

namespace {

constexpr std::array kHarmlessBases{
    Text("object"),          Text("typing.Generic"),
    Text("typing.Protocol"), Text("typing_extensions.Generic"),
    Text("abc.ABC"),         Text("typing_extensions.Protocol"),
};

constexpr std::array kTestCases{
    Text("unittest.TestCase"),
    Text("unittest.case.TestCase"),
    Text("unittest.IsolatedAsyncioTestCase"),
    Text("unittest.async_case.IsolatedAsyncioTestCase"),
};

// Of the standard library, with an __init__ or __new__ of their own.
constexpr std::array kConstructed{
    Text("enum.Enum"),
    Text("enum.IntEnum"),
    Text("enum.Flag"),
    Text("enum.IntFlag"),
    Text("enum.StrEnum"),
    Text("typing.NamedTuple"),
    Text("typing.TypedDict"),
    Text("threading.Thread"),
    Text("collections.UserDict"),
    Text("collections.OrderedDict"),
    Text("logging.Handler"),
};

// Modules of the standard library that people inherit from; none has a unittest.TestCase in it.
constexpr std::array kLibrary{
    Text("abc"),
    Text("argparse"),
    Text("array"),
    Text("ast"),
    Text("asyncio"),
    Text("builtins"),
    Text("cmd"),
    Text("code"),
    Text("codecs"),
    Text("collections"),
    Text("concurrent"),
    Text("configparser"),
    Text("contextlib"),
    Text("csv"),
    Text("ctypes"),
    Text("dataclasses"),
    Text("datetime"),
    Text("decimal"),
    Text("email"),
    Text("enum"),
    Text("fractions"),
    Text("functools"),
    Text("html"),
    Text("http"),
    Text("importlib"),
    Text("io"),
    Text("ipaddress"),
    Text("json"),
    Text("logging"),
    Text("multiprocessing"),
    Text("numbers"),
    Text("os"),
    Text("pathlib"),
    Text("pickle"),
    Text("queue"),
    Text("random"),
    Text("selectors"),
    Text("socket"),
    Text("socketserver"),
    Text("ssl"),
    Text("string"),
    Text("subprocess"),
    Text("tempfile"),
    Text("threading"),
    Text("types"),
    Text("typing"),
    Text("typing_extensions"),
    Text("urllib"),
    Text("uuid"),
    Text("warnings"),
    Text("weakref"),
    Text("xml"),
    Text("zipfile"),
};

constexpr std::array kBuiltins{
    Text("bool"),      Text("bytearray"), Text("bytes"), Text("complex"),    Text("dict"),   Text("float"),
    Text("frozenset"), Text("int"),       Text("list"),  Text("memoryview"), Text("object"), Text("property"),
    Text("range"),     Text("set"),       Text("str"),   Text("tuple"),      Text("type"),
};

// ProjectNames of exceptions that do not end in Error, Exception or Warning.
constexpr std::array kOtherExceptions{
    Text("KeyboardInterrupt"), Text("StopIteration"),  Text("StopAsyncIteration"), Text("SystemExit"),
    Text("GeneratorExit"),     Text("ExceptionGroup"), Text("BaseExceptionGroup"),
};

template <std::size_t kSize>
bool is_one_of(const Target& target, const std::array<Text, kSize>& all) {
    return std::any_of(all.begin(), all.end(), [&](Text name) { return target.leads_to(name); });
}

bool is_of_library(const Target& target) {
    if (target.member.empty() && is_builtin_type(target.module)) return true;
    const Text top = target.module.substr(0, target.module.find('.'));
    return !(target.member.empty() && top == target.module) &&
           std::find(kLibrary.begin(), kLibrary.end(), top) != kLibrary.end();
}

// The merge of C3; nothing if the classes have no consistent order.
std::optional<std::vector<ClassRef>> merge(std::vector<std::vector<ClassRef>> lists) {
    std::vector<ClassRef> merged;
    for (;;) {
        std::erase_if(lists, [](const auto& list) { return list.empty(); });
        if (lists.empty()) return merged;
        std::optional<ClassRef> next;
        for (const auto& list : lists) {
            const bool is_in_a_tail = std::any_of(lists.begin(), lists.end(), [&](const auto& other) {
                return std::find(other.begin() + 1, other.end(), list.front()) != other.end();
            });
            if (is_in_a_tail) continue;
            next = list.front();
            break;
        }
        if (!next) return std::nullopt;
        merged.push_back(*next);
        for (auto& list : lists) {
            if (list.front() == *next) list.erase(list.begin());
        }
    }
}

Wish wish_of(const Binding& binding) {
    if (binding.kind != BindingKind::kValue) return Wish::kUnknown;
    if (binding.value == "False" || binding.value == "None" || binding.value == "0") return Wish::kNever;
    return binding.value == "True" ? Wish::kAlways : Wish::kUnknown;
}

bool is_abstract(const Function& function) {
    return std::any_of(function.decorators.begin(), function.decorators.end(),
                       [](const Decorator& decorator) { return decorator.name.starts_with("abc.abstract"); });
}

}  // namespace

bool is_builtin_type(Text name) {
    if (name.starts_with("builtins.")) name.remove_prefix(9);
    const bool is_exception = name.ends_with("Error") || name.ends_with("Exception") || name.ends_with("Warning");
    if (is_exception && name.find('.') == Text::npos) return true;
    return std::find(kBuiltins.begin(), kBuiltins.end(), name) != kBuiltins.end() ||
           std::find(kOtherExceptions.begin(), kOtherExceptions.end(), name) != kOtherExceptions.end();
}

const Lineage& Lineages::of(ClassRef ref) {
    const auto file = static_cast<std::size_t>(ref.file);
    if (known_.size() <= file) known_.resize(file + 1);
    if (known_[file].empty()) known_[file].assign(names_.facts(ref.file).classes.size(), -1);
    Index& known = known_[file][static_cast<std::size_t>(ref.index)];
    if (known >= 0) {
        const Lineage& made = lineages_[static_cast<std::size_t>(known)];
        has_circles_ |= made.order.empty();  // not yet: it is asked for by what it is made of
        return made;
    }
    known = static_cast<Index>(lineages_.size());
    Lineage& lineage = lineages_.emplace_back();
    // What a class that inherits from itself sees of itself; replaced below.
    lineage.is_open = true;
    lineage.may_be_test_case = true;
    lineage.reasons = Dynamic::kBaseClass;
    Lineage computed;
    compute(ref, computed);
    lineage = std::move(computed);
    return lineage;
}

void Lineages::compute(ClassRef ref, Lineage& lineage) {
    const Class& cls = names_.facts(ref.file).classes[static_cast<std::size_t>(ref.index)];
    std::vector<const Lineage*> bases;
    for (const Text base : cls.bases) add_base(ref, base, lineage, bases);

    lineage.order.push_back(ref);
    std::vector<std::vector<ClassRef>> lists;
    lists.reserve(bases.size() + 1);
    std::vector<ClassRef> direct;
    for (const Lineage* base : bases) {
        lists.push_back(base->order);
        if (!base->order.empty()) direct.push_back(base->order.front());
    }
    lists.push_back(std::move(direct));
    if (const auto merged = merge(std::move(lists))) {
        lineage.order.insert(lineage.order.end(), merged->begin(), merged->end());
    } else {
        lineage.reasons |= Dynamic::kBaseClass;
    }

    lineage.has_constructor |= cls.has_init;
    if (!cls.is_known) lineage.reasons |= Dynamic::kDecorator;
    if (cls.has_keywords) {  // a metaclass or __init_subclass__ may add tests
        lineage.reasons |= Dynamic::kBaseClass;
        lineage.is_open = true;
    }
    for (const Decorator& decorator : cls.decorators) {
        if (decorator.name == "dataclasses.dataclass" && !decorator.called) lineage.has_constructor = true;
    }
    look_at_members(ref, lineage);
    if (lineage.is_abstract_base) lineage.is_abstract = is_abstract(lineage);
}

void Lineages::add_base(ClassRef ref, Text base, Lineage& lineage, std::vector<const Lineage*>& bases) {
    Target target;
    if (!base.empty()) {
        const Facts& facts = names_.facts(ref.file);
        const Index around = facts.classes[static_cast<std::size_t>(ref.index)].parent;
        const Index local = around >= 0 && base.find('.') == Text::npos ? names_.find(ref.file, around, base) : -1;
        target = local >= 0 ? names_.target(ref.file, facts.bindings[static_cast<std::size_t>(local)])
                            : names_.resolve(ref.file, base);
    }
    if (target.kind == TargetKind::kOutside) return add_outside(target, lineage);
    if (target.kind != TargetKind::kClass || ClassRef{target.file, target.index} == ref) {
        lineage.is_open = lineage.may_be_test_case = true;
        lineage.reasons |= Dynamic::kBaseClass;
        return;
    }
    const Lineage& found = of({target.file, target.index});
    bases.push_back(&found);
    lineage.is_open |= found.is_open;
    lineage.may_be_test_case |= found.may_be_test_case;
    lineage.is_test_case |= found.is_test_case;
    lineage.has_constructor |= found.has_constructor;
    lineage.is_abstract_base |= found.is_abstract_base;
    lineage.has_generator_hook |= found.has_generator_hook;
    lineage.has_fixtures |= found.has_fixtures;
    if (lineage.wish == Wish::kNone) lineage.wish = found.wish;
    // What a decorator has made of a base says nothing about what inherits from it, but its members are not certain.
    lineage.reasons |= found.reasons;
    if (target.is_conditional) lineage.reasons |= Dynamic::kConditional;
}

void Lineages::add_outside(const Target& target, Lineage& lineage) {
    if (target.leads_to("abc.ABC")) lineage.is_abstract_base = true;
    if (is_one_of(target, kHarmlessBases)) return;
    if (is_one_of(target, kTestCases)) {
        lineage.is_test_case = true;
        return;
    }
    if (is_one_of(target, kConstructed) || (target.member.empty() && is_builtin_type(target.module))) {
        lineage.has_constructor = true;
        return;
    }
    lineage.is_open = true;
    lineage.may_be_test_case |= !is_of_library(target);
    lineage.reasons |= Dynamic::kBaseClass;
}

void Lineages::look_at_members(ClassRef ref, Lineage& lineage) {
    const Facts& facts = names_.facts(ref.file);
    for (const Index index : names_.members(ref.file, ref.index)) {
        const Binding& binding = facts.bindings[static_cast<std::size_t>(index)];
        if (binding.kind == BindingKind::kFunction) {
            lineage.has_fixtures |= facts.functions[static_cast<std::size_t>(binding.index)].fixture >= 0;
        } else if (binding.kind != BindingKind::kDeleted) {
            // A fixture from elsewhere, or under another name.
            lineage.has_fixtures |= binding.kind == BindingKind::kImport || is_name(binding.value);
        }
        if (binding.name == "__test__") {
            lineage.wish = binding.is_conditional ? Wish::kUnknown : wish_of(binding);
        } else if (binding.name == "pytest_generate_tests") {
            lineage.has_generator_hook = true;
        } else if (binding.name == "__init_subclass__" || binding.name == "pytestmark") {
            // The marks themselves are in Class::marks; only hooks of inheritance may make tests.
            if (binding.name.front() == '_') lineage.reasons |= Dynamic::kGenerated;
        }
    }
}

bool Lineages::is_abstract(const Lineage& lineage) {
    std::unordered_set<Text> seen;
    for (const ClassRef ref : lineage.order) {
        const Facts& facts = names_.facts(ref.file);
        for (const Index index : names_.members(ref.file, ref.index)) {
            const Binding& binding = facts.bindings[static_cast<std::size_t>(index)];
            if (!seen.insert(binding.name).second || binding.kind != BindingKind::kFunction) continue;
            if (analyzer::is_abstract(facts.functions[static_cast<std::size_t>(binding.index)])) return true;
        }
    }
    return false;
}

}  // namespace tach::analyzer
