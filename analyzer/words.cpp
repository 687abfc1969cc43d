#include "analyzer/words.h"

#include <cstddef>
#include <utility>

namespace tach::analyzer {

std::optional<std::vector<std::string>> split_words(std::string_view text) {
    std::vector<std::string> words;
    std::optional<std::string> word;
    char quote = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        char letter = text[at];
        if (quote == 0 && (letter == ' ' || letter == '\t' || letter == '\r' || letter == '\n')) {
            if (word) words.push_back(std::move(*word));
            word.reset();
            continue;
        }
        if (!word) word.emplace();
        if (letter == quote) {
            quote = 0;
            continue;
        }
        if (quote == 0 && (letter == '"' || letter == '\'')) {
            quote = letter;
            continue;
        }
        if (letter == '\\' && quote != '\'') {
            if (++at == text.size()) return std::nullopt;
            letter = text[at];
            // Between double quotes it escapes the quote and itself, and is a letter before anything else.
            if (quote == '"' && letter != '"' && letter != '\\') *word += '\\';
        }
        *word += letter;
    }
    if (quote != 0) return std::nullopt;
    if (word) words.push_back(std::move(*word));
    return words;
}

}  // namespace tach::analyzer
