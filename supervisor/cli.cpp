#include "supervisor/cli.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/option.hpp>
#include <boost/program_options/parsers.hpp>
#include <charconv>
#include <cstddef>
#include <limits>
#include <utility>

#include "supervisor/options.h"
#include "supervisor/pytest_options.h"
#include "supervisor/spelling.h"
#include "supervisor/usage.h"

namespace tach::supervisor {
namespace {

namespace po = boost::program_options;
using Words = std::vector<std::string>;

// Boost.Program_options knows no other way out of a parser than an exception; parse() below turns it into an
// Error.
struct Mistake : po::error {
    using po::error::error;
};

std::string what_it_needs(const Option& option) {
    if (!option.words.empty()) return fmt::format("give {}", listed(option.words));
    if (option.name == "workers") return fmt::format("give {}", kWorkersWanted);
    if (option.name == "seed") return "give a whole number from 0 to 9223372036854775807";
    if (option.name == "explain") return "give the id of a test, as --list prints it";
    if (option.name == "since") return "give a git revision, such as HEAD or main";
    return fmt::format("give {}", option.takes_path() ? "a path" : "a value");
}

po::option own_word(const Option& option, std::string spelling) {
    po::option word;
    word.string_key = std::string(option.name);
    word.original_tokens = {std::move(spelling)};
    return word;
}

po::option own_word(const Option& option, std::string spelling, std::string value) {
    po::option word = own_word(option, std::move(spelling));
    word.value = {value};
    word.original_tokens.push_back(std::move(value));
    return word;
}

po::option pytest_words(Words words) {
    po::option forwarded;
    forwarded.unregistered = true;
    forwarded.original_tokens = std::move(words);
    return forwarded;
}

// Takes the first `count` of `words`, or as many as there are.
Words take(Words& words, std::size_t count) {
    const auto end = words.begin() + static_cast<std::ptrdiff_t>(std::min(count, words.size()));
    Words taken(std::make_move_iterator(words.begin()), std::make_move_iterator(end));
    words.erase(words.begin(), end);
    return taken;
}

std::string take_value(const Option& option, const std::string& spelling, Words& words) {
    if (words.empty()) throw Mistake(fmt::format("{}: its value is missing; {}", spelling, what_it_needs(option)));
    return take(words, 1).front();
}

// One of tach's options in a long spelling; `value` is what stands after its `=`.
std::vector<po::option> take_own(const Option& option, const std::string& spelling, std::optional<std::string> value,
                                 Words& words) {
    if (!option.takes_value()) {
        if (value) throw Mistake(fmt::format("{}={}: {} takes no value", spelling, *value, spelling));
        if (option.name == "help" || option.name == "version") words.clear();
        return {own_word(option, spelling)};
    }
    const bool joined = value.has_value();
    if (!joined) value = take_value(option, spelling, words);
    std::vector<po::option> taken{own_word(option, spelling, *value)};
    if (option.shared_with_pytest) {
        const std::string name = fmt::format("--{}", option.name);
        taken.push_back(pytest_words(joined ? Words{name + "=" + *value} : Words{name, *value}));
    }
    return taken;
}

[[noreturn]] void refuse_unknown(std::string_view name, const std::string& spelling) {
    std::vector<std::string_view> names;
    for (const Option& option : own_options()) names.push_back(option.name);
    const auto nearest = nearest_word(name, names);
    throw Mistake(
        fmt::format("{}: tach has no such option; {}", spelling,
                    nearest ? fmt::format("did you mean --{}{}?", kOwnPrefix, *nearest) : std::string("see --help")));
}

std::vector<po::option> take_long(Words& words) {
    const std::string word = take(words, 1).front();
    const std::size_t equals = word.find('=');
    const std::string spelling = word.substr(0, equals);
    std::optional<std::string> value;
    if (equals != std::string::npos) value = word.substr(equals + 1);
    std::string_view name = std::string_view(spelling).substr(2);

    if (name.starts_with(kPytestPrefix) && find_option(name.substr(kPytestPrefix.size())) != nullptr) {
        return {pytest_words({"--" + word.substr(2 + kPytestPrefix.size())})};
    }
    const bool prefixed = name.starts_with(kOwnPrefix);
    if (prefixed) name.remove_prefix(kOwnPrefix.size());
    if (const Option* option = find_option(name)) return take_own(*option, spelling, value, words);
    if (prefixed) refuse_unknown(name, spelling);

    Words forwarded{word};
    if (!value && pytest_option_takes(name) == Takes::kValue) {
        for (std::string& next : take(words, 1)) forwarded.push_back(std::move(next));
    }
    return {pytest_words(std::move(forwarded))};
}

// A word of short options, read as argparse reads it: flags, then at most one option with a value, which is
// the rest of the word (-n4, -n=4) or the next word. A letter that neither side knows may take the rest as
// its value, so it ends the reading and the word goes to pytest.
std::vector<po::option> take_shorts(Words& words) {
    const std::string word = take(words, 1).front();
    std::string flags = "-";
    std::vector<po::option> own;
    const auto result = [&](po::option last) {
        if (flags.size() > 1) own.insert(own.begin(), pytest_words({flags}));
        own.push_back(std::move(last));
        return own;
    };
    for (std::size_t i = 1; i < word.size(); ++i) {
        const std::string rest = word.substr(i + 1);
        const Option* option = find_option(word[i]);
        if (option != nullptr && option->takes_value()) {
            const std::string spelling{'-', word[i]};
            if (rest.empty()) return result(own_word(*option, spelling, take_value(*option, spelling, words)));
            return result(own_word(*option, spelling, rest.starts_with('=') ? rest.substr(1) : rest));
        }
        if (option != nullptr) {
            words.clear();  // --help or --version
            return result(own_word(*option, {'-', word[i]}));
        }
        if (rest.empty() && pytest_letter_takes(word[i]) == Takes::kValue) {
            Words forwarded{word};
            for (std::string& next : take(words, 1)) forwarded.push_back(std::move(next));
            return {pytest_words(std::move(forwarded))};
        }
        if (pytest_letter_takes(word[i]) != Takes::kNothing) return {pytest_words({word})};
        flags += word[i];
    }
    return {pytest_words({word})};
}

// What Boost calls at every word that is not read yet: takes one option with its value, or one word, off the
// front.
std::vector<po::option> take_next(Words& words) {
    if (words.front() == "--") return {pytest_words(std::exchange(words, {}))};
    if (words.front().starts_with("--")) return take_long(words);
    if (words.front().starts_with('-')) return take_shorts(words);
    return {pytest_words(take(words, 1))};
}

base::Result<std::vector<po::option>> parse(std::span<const std::string> words) {
    const po::options_description description = describe_options();
    try {
        po::command_line_parser parser(Words(words.begin(), words.end()));
        return parser.options(description).extra_style_parser(take_next).allow_unregistered().run().options;
    } catch (const po::error& error) {
        return mistake(error.what());
    }
}

// What the last option among pytest's words may still take, as far as its words so far tell.
Takes still_takes(const Words& words) {
    const std::string& word = words.front();
    if (words.size() > 1 || word.size() < 2) return Takes::kNothing;
    if (word.starts_with("--")) {
        const bool joined = word.find('=') != std::string::npos;
        return joined ? Takes::kNothing : pytest_option_takes(std::string_view(word).substr(2));
    }
    for (const char letter : std::string_view(word).substr(1)) {
        const Takes takes = pytest_letter_takes(letter);
        if (takes != Takes::kNothing) return takes == Takes::kValue ? Takes::kNothing : takes;
    }
    return Takes::kNothing;
}

// pytest's words in order. Where one of tach's options stood between an option that may take words and a
// plain word (`--cov -n 4 tests`), pytest would give the plain word to the option; a word of no effect takes
// the place of tach's: to load `mark`, which every pytest has loaded by then and lets nobody block.
class PytestWords {
  public:
    void add(const Words& words) {
        const bool plain = !words.front().starts_with('-') || words.front() == "-";
        if (plain && gap_) words_.emplace_back("-pmark");
        if (!plain) {
            open_ = still_takes(words);
        } else if (gap_ || open_ == Takes::kMaybe) {
            open_ = Takes::kNothing;
        }
        gap_ = false;
        words_.insert(words_.end(), words.begin(), words.end());
    }

    void leave_gap() { gap_ = open_ != Takes::kNothing; }

    Words take() { return std::move(words_); }

  private:
    Words words_;
    Takes open_ = Takes::kNothing;
    bool gap_ = false;
};

template <class Choice>
bool read_choice(std::optional<Choice>& choice, const std::string& value) {
    choice = choice_of<Choice>(value);
    return choice.has_value();
}

bool read_text(std::optional<std::string>& text, const std::string& value) {
    text = value;
    return !value.empty();
}

bool read_seed(std::optional<std::uint64_t>& seed, const std::string& value) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    seed = number;
    return error == std::errc{} && end == value.data() + value.size() &&
           number <= std::numeric_limits<std::int64_t>::max();  // what TOML can say too
}

// False when `value` is not one of the option's.
bool read_option(CommandLine& line, const Option& option, const std::string& value) {
    if (option.name == "workers") return (line.workers = workers_of(std::string_view(value))).has_value();
    if (option.name == "mode") return read_choice(line.mode, value);
    if (option.name == "engine") return read_choice(line.engine, value);
    if (option.name == "format") return read_choice(line.format, value);
    if (option.name == "color") return read_choice(line.color, value);
    if (option.name == "seed") return read_seed(line.seed, value);
    if (option.name == "python") return read_text(line.python, value);
    if (option.name == "config") return read_text(line.config, value);
    if (option.name == "explain") return read_text(line.explain, value);
    if (option.name == "since") return read_text(line.since, value);
    if (option.name == "dist") return std::find(option.words.begin(), option.words.end(), value) != option.words.end();
    if (option.name == "list") return line.list = true;
    if (option.name == "strict-isolation") return line.strict_isolation = true;
    if (option.name == "verify-snapshots") return line.verify_snapshots = true;
    if (option.name == "no-second-opinion") return line.no_second_opinion = true;
    if (option.name == "no-loader") return line.no_loader = true;
    if (option.name == "version") return line.version = true;
    return line.help = true;
}

}  // namespace

base::Result<CommandLine> parse_command_line(std::span<const std::string> words) {
    const auto options = parse(words);
    if (!options) return base::fail(options.error());
    CommandLine line;
    PytestWords forwarded;
    for (const po::option& read : *options) {
        if (read.unregistered) {
            forwarded.add(read.original_tokens);
            continue;
        }
        forwarded.leave_gap();
        const Option& option = *find_option(std::string_view(read.string_key));
        if (!read_option(line, option, read.value.empty() ? std::string() : read.value.front())) {
            return mistake(fmt::format("{}: {}", fmt::join(read.original_tokens, " "), what_it_needs(option)));
        }
    }
    line.pytest_args = forwarded.take();
    return line;
}

base::Result<std::optional<std::string>> first_own_option(std::span<const std::string> words) {
    const auto options = parse(words);
    if (!options) return base::fail(options.error());
    for (const po::option& read : *options) {
        if (read.unregistered || find_option(std::string_view(read.string_key))->shared_with_pytest) continue;
        return read.original_tokens.front();
    }
    return std::nullopt;
}

}  // namespace tach::supervisor
