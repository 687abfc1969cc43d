#include "base/roff.h"

namespace tach::base {
namespace {

std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts) all.append(all.empty() ? "" : ", ").append(text);
    return all;
}

}  // namespace

std::string roff(std::string_view text) {
    std::string escaped;
    for (const char letter : text) {
        if (letter == '\\') {
            escaped += "\\e";
        } else if (letter == '-') {
            escaped += "\\-";
        } else {
            if (escaped.empty() && (letter == '.' || letter == '\'')) escaped += "\\&";
            escaped += letter;
        }
    }
    return escaped;
}

std::string roff_entry(const ManualOption& option) {
    std::vector<std::string> spellings;
    if (option.letter != '\0') spellings.push_back(std::string("\\fB\\-") + option.letter + "\\fR");
    for (const std::string& name : option.names) spellings.push_back("\\fB\\-\\-" + roff(name) + "\\fR");
    std::string entry = ".TP\n" + joined(spellings);
    if (!option.argument.empty()) entry += " \\fI" + option.argument + "\\fR";
    entry += "\n" + roff(option.help) + ".\n";
    if (!option.words.empty()) entry += "One of " + joined(option.words) + ".\n";
    if (!option.more.empty()) entry += roff(option.more) + "\n";
    if (!option.initial.empty()) entry += "Default: " + roff(option.initial) + ".\n";
    return entry;
}

std::string filled(std::string_view text, std::string_view gap, std::string_view filling) {
    return std::string(text).replace(text.find(gap), gap.size(), filling);
}

}  // namespace tach::base
