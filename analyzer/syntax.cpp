#include "analyzer/syntax.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

extern "C" const TSLanguage* tree_sitter_python(void);

namespace tach::analyzer {
namespace {

// Symbols of the grammar are numbers that change with its version: names are looked up once.
class Vocabulary {
  public:
    Vocabulary() {
        const TSLanguage* language = tree_sitter_python();
        kinds_.resize(ts_language_symbol_count(language), Kind::kOther);
        struct Named {
            Kind kind;
            const char* name;
        };
        static constexpr std::array kNames{
#define TACH_NAMED(kind, name) Named{Kind::kind, name},
            TACH_SYNTAX_KINDS(TACH_NAMED)
#undef TACH_NAMED
        };
        for (std::size_t symbol = 0; symbol < kinds_.size(); ++symbol) {
            const auto id = static_cast<TSSymbol>(symbol);
            if (ts_language_symbol_type(language, id) != TSSymbolTypeRegular) continue;
            const char* const found = ts_language_symbol_name(language, id);
            for (const Named& named : kNames) {
                if (std::strcmp(found, named.name) == 0) kinds_[symbol] = named.kind;
            }
        }
        static constexpr std::array kFields{
#define TACH_NAME(field, name) name,
            TACH_SYNTAX_FIELDS(TACH_NAME)
#undef TACH_NAME
        };
        for (const char* name : kFields) {
            fields_.push_back(
                ts_language_field_id_for_name(language, name, static_cast<std::uint32_t>(std::strlen(name))));
        }
    }

    [[nodiscard]] Kind kind(TSSymbol symbol) const {
        return symbol < kinds_.size() ? kinds_[symbol] : Kind::kError;
    }
    [[nodiscard]] TSFieldId field(Field field) const {
        return fields_[static_cast<std::size_t>(field)];
    }

  private:
    std::vector<Kind> kinds_;
    std::vector<TSFieldId> fields_;
};

const Vocabulary& vocabulary() {
    static const Vocabulary kInstance;
    return kInstance;
}

}  // namespace

Kind Node::kind() const {
    if (is_null()) return Kind::kOther;
    return vocabulary().kind(ts_node_symbol(raw_));  // ERROR is the largest number there is
}

Position Node::at() const {
    if (is_null()) return {};
    const TSPoint point = ts_node_start_point(raw_);
    return {point.row + 1, point.column + 1};
}

Node Node::field(Field wanted) const {
    if (is_null()) return {};
    return Node(ts_node_child_by_field_id(raw_, vocabulary().field(wanted)));
}

bool Cursor::is_field(Field wanted) const {
    return ts_tree_cursor_current_field_id(&raw_) == vocabulary().field(wanted);
}

Parser::Parser() : raw_(ts_parser_new()) {
    // Refused only for a grammar of another generation of tables: a build that cannot work at all.
    if (!ts_parser_set_language(raw_.get(), tree_sitter_python())) std::abort();
}

std::optional<Tree> Parser::parse(Text source) {
    if (source.size() > std::numeric_limits<std::uint32_t>::max()) return std::nullopt;
    TSTree* tree =
        ts_parser_parse_string(raw_.get(), nullptr, source.data(), static_cast<std::uint32_t>(source.size()));
    if (tree == nullptr) return std::nullopt;
    return Tree(tree);
}

}  // namespace tach::analyzer
