#include "analyzer/test_ids.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>

namespace tach::analyzer {
namespace {

constexpr std::size_t kLongText = 100;  // pytest 9.2: _apply_long_str_strategy

void append_hex(std::string& to, std::uint32_t value, int digits) {
    for (int shift = (digits - 1) * 4; shift >= 0; shift -= 4) {
        to.push_back("0123456789abcdef"[(value >> static_cast<unsigned>(shift)) & 15U]);
    }
}

void append_character(std::string& to, std::uint32_t code) {
    switch (code) {
        case '\t':
            to += "\\t";
            return;
        case '\n':
            to += "\\n";
            return;
        case '\r':
            to += "\\r";
            return;
        default:
            break;
    }
    if (code >= 0x20 && code < 0x7f) {
        to.push_back(static_cast<char>(code));
    } else if (code < 0x100) {
        append_hex(to += "\\x", code, 2);
    } else if (code < 0x10000) {
        append_hex(to += "\\u", code, 4);
    } else {
        append_hex(to += "\\U", code, 8);
    }
}

bool is_printable_ascii(Text text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

// pytest's ascii_escaped of a str.
Text escaped(Text text, Arena& arena) {
    if (is_printable_ascii(text) && text.find('\\') == Text::npos) return text;
    std::string result;
    for (const Text character : characters(text)) {
        const std::uint32_t code = code_point(character);
        if (code == '\\') result.push_back('\\');
        append_character(result, code);
    }
    return arena.keep(result);
}

// And of bytes: these have no backslash escaped.
Text escaped_bytes(Text bytes, Arena& arena) {
    if (is_printable_ascii(bytes)) return bytes;
    std::string result;
    for (const char c : bytes) append_character(result, static_cast<unsigned char>(c));
    return arena.keep(result);
}

IdPart known(Text text) {
    return {IdKind::kText, text};
}

// IdMaker._idval_from_value. Nothing: pytest makes no id of such a value.
std::optional<IdPart> id_of(Evaluator& evaluator, const Value& value) {
    Arena& arena = evaluator.arena();
    switch (value.kind()) {
        case ValueKind::kText:
        case ValueKind::kPattern:
            return known(escaped(value.text(), arena));
        case ValueKind::kBytes:
            return known(escaped_bytes(value.text(), arena));
        case ValueKind::kNamed:
        case ValueKind::kBigInt:
            return known(value.text());
        case ValueKind::kReference:
            return IdPart{IdKind::kReference, value.text()};
        case ValueKind::kUnknown:
            return IdPart{};
        case ValueKind::kGenerator:
            return known("<genexpr>");
        case ValueKind::kNone:
        case ValueKind::kBool:
        case ValueKind::kInt:
        case ValueKind::kFloat:
            return known(arena.keep(str(value).value_or("")));
        default:
            return std::nullopt;
    }
}

// Where the ids of a parametrization come from.
struct IdSource {
    enum class Kind : std::uint8_t { kValues, kList, kCallable, kUnknown };
    Kind kind = Kind::kValues;
    std::vector<Value> list;
    Node callable;
};

// One call of parametrize, on its way to Parameters.
class Maker {
  public:
    Maker(Evaluator& evaluator, Node class_definition, std::vector<Diagnostic>& diagnostics)
        : evaluator_(evaluator), class_(class_definition), diagnostics_(diagnostics) {}

    Parameters result;
    std::vector<Text> names;
    bool is_single = false;       // one name, written as a string: values are no rows
    bool is_comma_final = false;  // and with a comma after it

    bool read_names(Node node) {
        const Value value = evaluator_.evaluate(node, class_);
        if (value.is(ValueKind::kText)) {
            read_names_in(value.text());
        } else if (value.is(ValueKind::kTuple) || value.is(ValueKind::kList)) {
            for (const Value& name : value.items()) {
                if (!name.is(ValueKind::kText)) return false;
                names.push_back(name.text());
            }
        }
        return !names.empty() && std::all_of(names.begin(), names.end(), is_ascii);
    }

    void run(Node values_node, Node ids_node) {
        const Value values = evaluator_.evaluate(values_node, class_);
        const auto rows = evaluator_.iterate(values);
        if (!rows || rows->empty()) return;
        result.is_spent = values.is(ValueKind::kIterator) || values.is(ValueKind::kGenerator);
        if (!read_ids(ids_node, rows->size())) return;
        for (std::size_t i = 0; i < rows->size(); ++i) {
            if (!add_set((*rows)[i], i)) {
                result.sets.clear();
                return;
            }
        }
        result.known = true;
        make_unique();
    }

  private:
    void read_names_in(Text text) {
        constexpr Text kSpace = " \t\n\v\f\r";
        bool ends_with_name = false;
        while (!text.empty()) {
            const std::size_t end = std::min(text.find(','), text.size());
            Text name = text.substr(0, end);
            name.remove_prefix(std::min(name.find_first_not_of(kSpace), name.size()));
            name = name.substr(0, name.find_last_not_of(kSpace) + 1);
            ends_with_name = !name.empty() && end == text.size();
            if (!name.empty()) names.push_back(name);
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        is_single = names.size() == 1;
        is_comma_final = is_single && !ends_with_name;
    }

    bool refuse(Text message) {
        diagnostics_.push_back({Severity::kError, result.at, message});
        return false;
    }

    bool read_ids(Node node, std::size_t rows) {
        if (node.is_null()) return true;
        const Value value = evaluator_.evaluate(node, class_);
        if (value.is(ValueKind::kNone)) return true;
        if (value.is(ValueKind::kNamed)) {
            ids_.kind = IdSource::Kind::kCallable;
            ids_.callable = node;
            return true;
        }
        auto list = evaluator_.iterate(value);
        if (!list) {
            ids_.kind = IdSource::Kind::kUnknown;
            return true;
        }
        ids_.kind = IdSource::Kind::kList;
        ids_.list = std::move(*list);
        const bool has_length = !value.is(ValueKind::kIterator) && !value.is(ValueKind::kGenerator);
        if (!has_length) result.is_spent = true;
        if (has_length && !ids_.list.empty() && ids_.list.size() != rows) {
            return refuse("parametrize: the number of ids is not that of the values");
        }
        return true;
    }

    bool add_set(const Value& row, std::size_t index) {
        std::vector<Value> values;
        Value id = Value::none();
        if (row.is(ValueKind::kParameterSet)) {
            id = row.items().front();
            values.assign(row.items().begin() + 1, row.items().end());
        } else if (is_single) {
            values.push_back(is_comma_final ? Value() : row);
        } else if (auto items = evaluator_.iterate(row)) {
            if (row.is(ValueKind::kIterator) || row.is(ValueKind::kGenerator)) return false;  // has no len()
            values = std::move(*items);
        } else {
            values.resize(names.size());
        }
        if (values.size() != names.size()) {
            return refuse("parametrize: the number of values is not that of the names");
        }
        result.sets.emplace_back();
        return set_id(id, values, index, result.sets.back().id);
    }

    bool set_id(const Value& given, const std::vector<Value>& values, std::size_t index, std::vector<IdPart>& id) {
        if (!given.is(ValueKind::kNone)) {
            const bool is_same_anywhere =
                given.is(ValueKind::kText) && is_printable_ascii(given.text()) && given.text().find('\\') == Text::npos;
            id.push_back(is_same_anywhere ? known(given.text()) : IdPart{});
            return true;
        }
        if (ids_.kind == IdSource::Kind::kUnknown) {
            id.emplace_back();
            return true;
        }
        if (ids_.kind == IdSource::Kind::kList && index < ids_.list.size() && !ids_.list[index].is(ValueKind::kNone)) {
            const auto part = id_of(evaluator_, ids_.list[index]);
            if (!part) return refuse("parametrize: an id is of a type that pytest does not take");
            id.push_back(*part);
            return true;
        }
        for (std::size_t i = 0; i < values.size(); ++i) id.push_back(generated(values[i], names[i], index));
        join(id);
        return true;
    }

    // IdMaker._idval
    IdPart generated(const Value& value, Text name, std::size_t index) {
        std::optional<IdPart> part;
        if (ids_.kind == IdSource::Kind::kCallable) {
            const Value called = evaluator_.apply(ids_.callable, value, class_);
            if (called.is(ValueKind::kReference)) return {};
            if (!called.is(ValueKind::kNone)) part = id_of(evaluator_, called);
            if (part) return *part;
        }
        const bool is_text = value.is(ValueKind::kText);
        if (is_text && length(value.text()) > kLongText) return {};
        if (value.is(ValueKind::kBytes) && value.text().size() > kLongText) return {};
        part = id_of(evaluator_, value);
        return part ? *part : known(evaluator_.arena().join({name, std::to_string(index)}));
    }

    void join(std::vector<IdPart>& id) {
        const bool is_known =
            std::all_of(id.begin(), id.end(), [](const IdPart& part) { return part.kind == IdKind::kText; });
        if (!is_known || id.size() < 2) return;
        std::string whole(id.front().text);
        for (std::size_t i = 1; i < id.size(); ++i) (whole += '-') += id[i].text;
        id.assign(1, known(evaluator_.arena().keep(whole)));
    }

    void make_unique();

    Evaluator& evaluator_;
    Node class_;
    std::vector<Diagnostic>& diagnostics_;
    IdSource ids_;
};

// IdMaker.make_unique_parameterset_ids; false: pytest's versions differ.
bool number_duplicates(std::vector<Text>& ids, Arena& arena) {
    struct Seen {
        std::size_t count = 0;
        std::size_t next = 0;
    };
    std::unordered_map<Text, Seen> seen;
    for (const Text id : ids) ++seen[id].count;
    if (seen.size() == ids.size()) return true;
    for (Text& id : ids) {
        Seen& of_id = seen[id];
        if (of_id.count < 2) continue;
        if (!id.empty() && ((id.back() >= '0' && id.back() <= '9') || !is_ascii(id.substr(id.size() - 1))))
            return false;
        const Text numbered = arena.join({id, std::to_string(of_id.next++)});
        if (seen.contains(numbered)) return false;
        id = numbered;
    }
    return true;
}

void Maker::make_unique() {
    std::vector<Text> ids;
    for (const ParameterSet& set : result.sets) {
        // With a part still to be found, it is too early to tell which are duplicates.
        if (set.id.size() != 1 || set.id.front().kind != IdKind::kText) return;
        ids.push_back(set.id.front().text);
    }
    const bool is_known = number_duplicates(ids, evaluator_.arena());
    for (std::size_t i = 0; i < ids.size(); ++i) result.sets[i].id.front() = is_known ? known(ids[i]) : IdPart{};
}

struct Given {
    Node names;
    Node values;
    Node ids;
    Node indirect;
    bool known = true;
};

Given given_of(Node arguments, Text source) {
    Given given;
    std::size_t place = 0;
    for_each_child(arguments, [&](Node child) {
        if (!child.is(Kind::kKeywordArgument)) {
            given.known = given.known && !child.is(Kind::kListSplat) && !child.is(Kind::kDictionarySplat) && place < 2;
            (place++ == 0 ? given.names : given.values) = child;
            return;
        }
        const Text name = child.field(Field::kName).text(source);
        const Node value = child.field(Field::kValue);
        if (name == "argnames") {
            given.names = value;
        } else if (name == "argvalues") {
            given.values = value;
        } else if (name == "ids") {
            given.ids = value;
        } else if (name == "indirect") {
            given.indirect = value;
        } else if (name != "scope") {
            given.known = false;
        }
    });
    given.known = given.known && arguments.is(Kind::kArgumentList) && !arguments.has_error() &&
                  !given.names.is_null() && !given.values.is_null();
    return given;
}

}  // namespace

Parameters parametrize(Evaluator& evaluator, Node arguments, Node class_definition,
                       std::vector<Diagnostic>& diagnostics) {
    Maker maker(evaluator, class_definition, diagnostics);
    maker.result.at = arguments.at();
    const Given given = given_of(arguments, evaluator.source());
    if (!given.known || !maker.read_names(given.names)) return std::move(maker.result);
    maker.run(given.values, given.ids);
    maker.result.names = maker.names;
    if (!given.indirect.is_null()) {
        // What cannot be told may be true.
        maker.result.indirect = truth(evaluator.evaluate(given.indirect, class_definition)).value_or(true);
    }
    return std::move(maker.result);
}

Parameters fixture_parameters(Evaluator& evaluator, Text name, Node params, Node ids, Node class_definition,
                              std::vector<Diagnostic>& diagnostics) {
    Maker maker(evaluator, class_definition, diagnostics);
    maker.result.at = params.at();
    maker.names.push_back(name);
    maker.is_single = true;
    maker.run(params, ids);
    maker.result.is_spent = false;  // a fixture makes tuples of both
    return std::move(maker.result);
}

}  // namespace tach::analyzer
