#include "analyzer/marks.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "analyzer/evaluate.h"
#include "analyzer/literals.h"
#include "analyzer/test_ids.h"

namespace tach::analyzer {
namespace {

constexpr std::string_view kMark = "pytest.mark.";

// A mark may be a variable that is a list of a variable; nobody nests deeper than this.
constexpr int kMostMarks = 200;

// They leave a function what it is: same name, same parameters, called as before.
constexpr std::array kHarmless{
    std::string_view("hypothesis.example"),
    std::string_view("hypothesis.reproduce_failure"),
    std::string_view("hypothesis.seed"),
    std::string_view("hypothesis.settings"),
    std::string_view("typing.no_type_check"),
    std::string_view("typing.override"),
    std::string_view("typing_extensions.override"),
    std::string_view("unittest.skip"),
    std::string_view("unittest.skipIf"),
    std::string_view("unittest.skipUnless"),
    std::string_view("unittest.expectedFailure"),
    std::string_view("staticmethod"),
};

// See mock_sentinels in _pytest/compat.py: both mocks count.
constexpr std::array kPatches{
    std::string_view("unittest.mock.patch"),
    std::string_view("mock.patch"),
};

Node called(Node expression) {
    return expression.is(Kind::kCall) ? expression.field(Field::kFunction) : expression;
}

}  // namespace

bool MarkReader::is_mark(Node expression) const {
    return names_->canonical(called(expression)).starts_with(kMark);
}

void MarkReader::define(Text name, Node expression) {
    std::vector<Mark> marks;
    const bool all = read(expression, marks);
    if (all && !marks.empty()) {
        defined_[name] = std::move(marks);
    } else {
        defined_.erase(name);
    }
}

void MarkReader::read_one(Node expression, std::vector<Mark>& marks) {
    const Text name = names_->canonical(called(expression)).substr(kMark.size());
    Mark mark{.name = name.substr(0, name.find('.')), .at = expression.at()};
    mark.known = name.find('.') == Text::npos;  // `pytest.mark.skip.with_args(...)`
    const Node arguments = expression.is(Kind::kCall) ? expression.field(Field::kArguments) : Node();
    if (!arguments.is_null()) {
        const Text text = arguments.text(source_);
        mark.arguments = text.size() >= 2 ? text.substr(1, text.size() - 2) : text;
        if (mark.name == "usefixtures") {
            for_each_child(arguments, [&](Node argument) {
                const auto literal = string_literal(argument, source_, *arena_);
                if (literal) mark.strings.push_back(*literal);
                mark.known &= literal.has_value();
            });
        } else if (mark.name == "parametrize") {
            mark.parameters = static_cast<Index>(facts_->parameters.size());
            pending_.push_back({.index = mark.parameters, .around = around_, .arguments = arguments, .fixture = {}});
            facts_->parameters.push_back({.at = mark.at});
        }
    }
    marks.push_back(std::move(mark));
}

bool MarkReader::read(Node expression, std::vector<Mark>& marks) {
    if (expression.is_null() || marks.size() > kMostMarks) return false;
    if (is_mark(expression)) {
        read_one(expression, marks);
        return true;
    }
    if (expression.is(Kind::kIdentifier)) {
        const auto found = defined_.find(expression.text(source_));
        if (found == defined_.end()) return false;
        marks.insert(marks.end(), found->second.begin(), found->second.end());
        return true;
    }
    if (!expression.is(Kind::kList) && !expression.is(Kind::kTuple)) return false;
    bool all = true;
    for_each_child(expression, [&](Node element) {
        const bool nested = element.is(Kind::kList) || element.is(Kind::kTuple);
        all &= !nested && read(element, marks);
    });
    return all;
}

Decorator MarkReader::read_decorator(Node expression) const {
    return {.name = names_->canonical(called(expression)), .at = expression.at(), .called = expression.is(Kind::kCall)};
}

// --- fixtures -------------------------------------------------------------------------------------------------------

namespace {

bool is_fixture_decorator(Text name) {
    return name == "pytest.fixture" || name == "pytest.yield_fixture" || name == "pytest_asyncio.fixture" ||
           name == "_pytest.fixtures.fixture";
}

}  // namespace

void MarkReader::read_fixture_argument(Text name, Node value, Fixture& into) const {
    if (name == "scope") {
        into.scope = scope_literal(value, source_, *arena_).value_or(Scope::kDynamic);
    } else if (name == "name") {
        const auto text = string_literal(value, source_, *arena_);
        if (text) into.name = *text;
        into.known &= text.has_value() || value.is(Kind::kNone);
    } else if (name == "autouse") {
        const auto literal = bool_literal(value);
        into.autouse = literal.value_or(true);
        into.known &= literal.has_value();
    }
}

void MarkReader::read_fixture_parameters(Node arguments, Fixture& into) {
    Node params;
    Node ids;
    for_each_child(arguments, [&](Node argument) {
        if (!argument.is(Kind::kKeywordArgument)) return;
        const Text name = argument.field(Field::kName).text(source_);
        if (name == "params") params = argument.field(Field::kValue);
        if (name == "ids") ids = argument.field(Field::kValue);
    });
    if (params.is_null() || params.is(Kind::kNone)) return;
    into.parameters = static_cast<Index>(facts_->parameters.size());
    facts_->parameters.push_back({.at = params.at()});
    pending_.push_back(
        {.index = into.parameters, .around = around_, .params = params, .ids = ids, .fixture = into.name});
}

void MarkReader::read_parameters(Node module) {
    if (pending_.empty()) return;
    Evaluator evaluator(module, source_, *arena_, [this](Node node) { return names_->canonical(node); });
    for (const Pending& pending : pending_) {
        Parameters& parameters = facts_->parameters[static_cast<std::size_t>(pending.index)];
        const Position at = parameters.at;
        parameters = pending.params.is_null()
                         ? parametrize(evaluator, pending.arguments, pending.around, facts_->diagnostics)
                         : fixture_parameters(evaluator, pending.fixture, pending.params, pending.ids, pending.around,
                                              facts_->diagnostics);
        parameters.at = at;
    }
    pending_.clear();
}

void MarkReader::read_fixture(Node expression, Index function, Function& into) {
    Fixture fixture{.name = into.name, .at = into.at, .function = function};
    if (expression.is(Kind::kCall)) {
        for_each_child(expression.field(Field::kArguments), [&](Node argument) {
            if (argument.is(Kind::kKeywordArgument)) {
                read_fixture_argument(argument.field(Field::kName).text(source_), argument.field(Field::kValue),
                                      fixture);
            } else {
                fixture.known = false;
            }
        });
        read_fixture_parameters(expression.field(Field::kArguments), fixture);
    }
    into.fixture = static_cast<Index>(facts_->fixtures.size());
    facts_->fixtures.push_back(fixture);
}

// --- what decorators make of a definition ---------------------------------------------------------------------------

// How many positional arguments a mock.patch fills in, see num_mock_patch_args in _pytest/compat.py; -1: no patch.
int MarkReader::patched_arguments(Node expression, Text callee) const {
    const auto* const patch = std::find_if(kPatches.begin(), kPatches.end(), [&](std::string_view name) {
        return callee == name || (callee.starts_with(name) && callee.substr(name.size()).starts_with('.'));
    });
    if (patch == kPatches.end()) return -1;
    const Text kind = callee.substr(patch->size());
    if (kind == ".dict" || kind == ".multiple") return 0;
    if (!kind.empty() && kind != ".object") return -1;
    std::uint32_t positional = 0;
    bool has_new = false;
    for_each_child(expression.field(Field::kArguments), [&](Node argument) {
        if (!argument.is(Kind::kKeywordArgument)) {
            ++positional;
        } else if (argument.field(Field::kName).text(source_) == "new") {
            has_new = true;
        }
    });
    return has_new || positional >= (kind.empty() ? 2U : 3U) ? 0 : 1;
}

// What hypothesis fills in: arguments by name, and the last ones by position. False: it cannot be told.
bool MarkReader::take_given(Node expression, std::vector<Text>& requests) const {
    bool known = expression.is(Kind::kCall);
    std::size_t positional = 0;
    for_each_child(expression.field(Field::kArguments), [&](Node argument) {
        if (argument.is(Kind::kKeywordArgument)) {
            std::erase(requests, argument.field(Field::kName).text(source_));
        } else if (argument.is(Kind::kListSplat) || argument.is(Kind::kDictionarySplat) ||
                   argument.is(Kind::kEllipsis)) {
            known = false;
        } else {
            ++positional;
        }
    });
    requests.resize(requests.size() - std::min(positional, requests.size()));
    return known;
}

void MarkReader::decorate(Node decorated, Node around, Index function, Function& into) {
    around_ = around;
    std::size_t patched = 0;
    for_each_child(decorated, [&](Node child) {
        if (!child.is(Kind::kDecorator)) return;
        const Node expression = child.named_child(0);
        const Decorator decorator = read_decorator(expression);
        into.decorators.push_back(decorator);
        const int arguments = expression.is(Kind::kCall) ? patched_arguments(expression, decorator.name) : -1;
        if (arguments >= 0) {
            patched += static_cast<std::size_t>(arguments);
        } else if (is_fixture_decorator(decorator.name)) {
            read_fixture(expression, function, into);
        } else if (decorator.name == "staticmethod") {
            into.is_static = true;
        } else if (decorator.name == "hypothesis.given") {
            into.is_known &= take_given(expression, into.requests);
        } else if (!read(expression, into.marks) &&
                   std::find(kHarmless.begin(), kHarmless.end(), decorator.name) == kHarmless.end()) {
            into.is_known = false;
        }
    });
    patched = std::min(patched, into.requests.size());
    into.requests.erase(into.requests.begin(), into.requests.begin() + static_cast<std::ptrdiff_t>(patched));
    // pytest takes them from the bottom up.
    std::reverse(into.marks.begin(), into.marks.end());
}

void MarkReader::decorate(Node decorated, Class& into) {
    around_ = {};
    for_each_child(decorated, [&](Node child) {
        if (!child.is(Kind::kDecorator)) return;
        const Node expression = child.named_child(0);
        const Decorator decorator = read_decorator(expression);
        into.decorators.push_back(decorator);
        const bool harmless = std::find(kHarmless.begin(), kHarmless.end(), decorator.name) != kHarmless.end();
        if (!read(expression, into.marks) && !harmless) into.is_known = false;
    });
    std::reverse(into.marks.begin(), into.marks.end());
}

}  // namespace tach::analyzer
