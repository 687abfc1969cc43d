// Second opinions, as the Session runs them: one process at a time, nothing else running.

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/clock.h"
#include "supervisor/session.h"

namespace tach::supervisor {

using shm::Kind;
using shm::Role;

namespace {

bool was_reported(const std::vector<shm::Message>& messages) {
    return std::any_of(messages.begin(), messages.end(),
                       [](const shm::Message& message) { return message.kind() == Kind::kReport; });
}

}  // namespace

bool Session::opinions_enabled() const {
    return settings_.second_opinion.value && !solo_ && !interrupted_;
}

void Session::doubt(std::uint32_t item) {
    if (!opinion_key_.empty() && memory_) {
        const Opinion* known = memory_->opinion(results_.nodeid(item), opinion_key_);
        if (known != nullptr && known->verdict == Opinion::Verdict::kConfirmed) return;
    }
    const ItemResult& result = results_.at(item);
    unsettled_.insert(item);
    opinions_->doubt(item, {.outcome = result.outcome(), .cause = result.cause, .undisturbed = undisturbed(item)});
    ask_for_modules();
}

// Whether the test began when all before it had ended, and from what pytest would have begun with.
bool Session::undisturbed(std::uint32_t item) const {
    if (results_.at(item).warmed) return false;
    for (std::uint32_t before = 0; before < item; ++before) {
        const std::int64_t ended_ns = items_[before].started_ns + results_.at(before).duration_ns;
        if (!items_[before].complete || ended_ns > items_[item].started_ns) return false;
    }
    return true;
}

// What is learned in this run is remembered under a key that the zygote's answer makes.
void Session::ask_for_modules() {
    if (modules_asked_) return;
    modules_asked_ = true;
    opinion_key_ = kKeyPending;
    if (Process* zygote = find(zygote_)) static_cast<void>(zygote->peer.post(Kind::kModules));
}

// What a remembered opinion depends on: the project's files, what is installed, and how pytest was called.
void Session::know_modules(const shm::Message& message) {
    std::vector<std::filesystem::path> files;
    for (std::size_t i = 1; i < message.strings.size(); ++i) files.emplace_back(std::string(message.string(i)));
    opinion_key_ = content_keys_.key(files, message.string(0));
    settle_routes();
    pump();
}

void Session::know_giving_up(const shm::Message& message) {
    const std::string_view bytes = message.string(0);
    for (std::size_t at = 0; at + sizeof(std::uint32_t) <= bytes.size(); at += sizeof(std::uint32_t)) {
        std::uint32_t item = 0;
        std::memcpy(&item, bytes.data() + at, sizeof item);
        if (opinions_ && item < items_.size()) opinions_->may_give_up(item);
    }
}

double Session::expected_s(std::uint32_t item) const {
    if (announced_ && items_[item].complete) return static_cast<double>(results_.at(item).duration_ns) / 1e9;
    if (!memory_) return -1;
    return memory_->duration_s(results_.nodeid(item)).value_or(-1);
}

// Starts the next pass, if one is due. True while there is something to wait for.
bool Session::give_opinions() {
    if (pass_ || opinion_key_ == kKeyPending) return true;  // what is found out is remembered under the key
    if (!opinions_enabled()) {
        unsettled_.clear();
        return false;
    }
    if (cut_ && !cut_final_) {
        // Before -x acts, only what decides it: the failures up to the cut.
        std::erase_if(unsettled_, [this](std::uint32_t item) { return item > *cut_ && !results_.at(item).doubtful(); });
    }
    if (settings_.second_opinion_budget_s.source == Source::kDefault) opinions_->allow(sequential_s());
    pass_ = opinions_->next([this](std::uint32_t item) { return expected_s(item); });
    apply_opinions();
    if (!pass_) {
        unsettled_.clear();
        if (cut_ && !cut_final_) return recheck_cut();
        return false;
    }
    for (auto& [id, process] : processes_) {
        if (process.role == Role::kWorker && process.state == State::kIdle) finish_process(id);
    }
    const std::uint32_t base = items_[pass_->items.back()].base;
    attempts_.try_emplace(0, 0);
    auto id = fork_process(source_of(base), Kind::kForkWorker, Role::kWorker, workers_, 0, ++attempts_[0],
                           word(settings_.engine.value));
    if (!id) {
        fail_run(id.error().what);
        return true;
    }
    Process& process = processes_.at(*id);
    process.opinion = true;
    std::uint32_t failures = 0;  // before its first item; it counts its own
    for (std::uint32_t i = 0; i < pass_->items.front(); ++i) failures += results_.at(i).failures();
    process.peer.channel().orders().failures.store(failures, std::memory_order_relaxed);
    process.pool = base;
    seen_.clear();
    opinion_items_.clear();
    opinion_results_.clear();
    pass_started_ns_ = base::monotonic_ns();
    pass_expected_s_ = 0;
    for (const std::uint32_t item : pass_->items) pass_expected_s_ += std::max(0.0, expected_s(item));
    const std::uint32_t number = opinions_->passes();
    loop_->after(pass_limit_ns(), [this, opinion = *id, number] {
        Process* late = find(opinion);
        if (late != nullptr && opinions_->passes() == number)
            doom(opinion, "a second opinion took longer than its budget");
    });
    announce_pass(*id);
    const std::vector<std::uint32_t> items = pass_->items;
    start_run(*id, Run{items.front(), items.back() + 1, base, 0, items}, shm::kRunShared | shm::kRunRerun);
    return true;
}

// What pytest would have taken for the tests of this run.
double Session::sequential_s() const {
    double total = 0;
    for (std::size_t i = 0; i < results_.size(); ++i) total += static_cast<double>(results_.at(i).duration_ns) / 1e9;
    return total;
}

// Of a test that was skipped nobody knows how long it takes where it is not. It may take as long as all that is known.
std::int64_t Session::pass_limit_ns() const {
    double limit_s = opinions_->budget_left_s();
    if (settings_.second_opinion_budget_s.source == Source::kDefault) {
        const auto skipped = std::count_if(pass_->items.begin(), pass_->items.end(), [this](std::uint32_t item) {
            return items_[item].complete && results_.at(item).outcome() == Outcome::kSkipped;
        });
        limit_s += static_cast<double>(skipped) * std::max(settings_.second_opinion_budget_s.value, sequential_s());
    }
    return std::max(static_cast<std::int64_t>(limit_s * 1e9), base::kNsPerSecond);
}

// "running 3 doubtful tests again in pytest's order (test_x.py, 4 s left)"
std::string Session::pass_text(std::int64_t now) const {
    std::set<std::string_view> files;
    std::size_t doubtful = 0;
    for (const std::uint32_t item : pass_->items) {
        if (!unsettled_.contains(item)) continue;
        ++doubtful;
        const std::string_view nodeid = results_.nodeid(item);
        files.insert(nodeid.substr(0, nodeid.find("::")));
    }
    std::string where = files.size() == 1 ? std::string(*files.begin()) : fmt::format("{} files", files.size());
    const double left_s = pass_expected_s_ - static_cast<double>(now - pass_started_ns_) / 1e9;
    if (left_s >= 1) where += fmt::format(", {:.0f} s left", left_s);
    const char* what = pass_->search ? "looking for what a test needs before it" : "running";
    if (pass_->search) return fmt::format("{} ({})", what, where);
    return fmt::format("{} {} doubtful test{} again in pytest's order ({})", what, doubtful, doubtful == 1 ? "" : "s",
                       where);
}

// Where there is no progress line, which says it anyway: once, if it takes so long that somebody may wonder.
void Session::announce_pass(Id id) {
    if (pass_announced_ || printer_.has_status()) return;
    const std::uint32_t number = opinions_->passes();
    loop_->after(base::kNsPerSecond, [this, id, number] {
        if (pass_announced_ || !pass_ || find(id) == nullptr || opinions_->passes() != number) return;
        pass_announced_ = true;
        printer_.line("tach: " + pass_text(base::monotonic_ns()));
    });
}

void Session::opinion_message(Id id, const shm::Message& message) {
    const std::uint32_t index = message.head.item;
    ItemResult& result = opinion_results_[index];
    Item& item = opinion_items_[index];
    switch (message.kind()) {
        case Kind::kStarted:
            result.mode = shm::Mode::kShared;
            result.worker = 0;
            item.started = true;
            return;
        case Kind::kReport:
            result.add_report(message);
            break;
        case Kind::kDone:
            result.add_done(message);
            // After an exit there is none: what was not reported is no verdict.
            if (was_reported(item.messages)) seen_[index] = result.outcome();
            if (result.done) processes_.at(id).claims.ended(index);
            break;
        case Kind::kLogStart:
        case Kind::kLogFinish:
        case Kind::kWarning:
            break;
        case Kind::kExit:
            processes_.at(id).claims.left(index);
            return;
        default:
            return;  // a crash or an exit here confirms nothing; what was not seen stays unconfirmed
    }
    item.messages.push_back(copy_of(message));
}

void Session::opinion_ended(Id id) {
    if (!pass_) return;
    const double took = static_cast<double>(base::monotonic_ns() - pass_started_ns_) / 1e9;
    const SecondOpinion::Pass pass = *std::exchange(pass_, std::nullopt);
    if (find(id) != nullptr) finish_process(id);
    const auto isolated = [this](std::uint32_t item) {
        return items_[item].complete ? results_.at(item).outcome() : Outcome::kNone;
    };
    // What a test took that had been skipped is pytest's time, not a price.
    double shown_s = 0;
    for (const auto& [item, outcome] : seen_) {
        const bool was_hidden = isolated(item) == Outcome::kSkipped && outcome != Outcome::kSkipped;
        if (was_hidden) shown_s += static_cast<double>(opinion_results_.at(item).duration_ns) / 1e9;
    }
    opinions_->finished(pass, seen_, isolated, std::max(0.0, took - shown_s));
    if (!pass.search) compare_with_pass();
    apply_opinions();
    pump();
}

// What pytest's own order made of the items, against what they did alone.
void Session::compare_with_pass() {
    for (const auto& [item, outcome] : seen_) {
        // The one difference that is the point: it fails under pytest only because another test polluted it.
        const bool fails = outcome == Outcome::kFailed || outcome == Outcome::kError;
        if (fails && results_.at(item).outcome() == Outcome::kPassed && noted_.insert(item).second) {
            results_.at(item).note = "fails in pytest's order, after other tests of this run: they pollute it";
        }
        // Kept for when the search for what it needs is over.
        const bool replaces = unsettled_.contains(item) || (results_.at(item).outcome() == Outcome::kPassed && !fails);
        if (replaces && items_[item].complete && outcome != results_.at(item).outcome() &&
            !replacements_.contains(item)) {
            replacements_.emplace(item,
                                  Replacement{std::move(opinion_items_.at(item).messages), opinion_results_.at(item)});
            unsettled_.insert(item);
        }
    }
}

void Session::apply_opinions() {
    for (const SecondOpinion::Settled& settled : opinions_->take_settled()) {
        unsettled_.erase(settled.item);
        ItemResult& result = results_.at(settled.item);
        switch (settled.verdict) {
            case SecondOpinion::Settled::Verdict::kConfirmed:
                learn(settled.item,
                      {.verdict = Opinion::Verdict::kConfirmed, .needs = {}, .alone = {}, .key = opinion_key_});
                break;
            case SecondOpinion::Settled::Verdict::kUnconfirmed:
                ++unconfirmed_;
                if (result.note.empty()) result.note = "unconfirmed";
                break;
            case SecondOpinion::Settled::Verdict::kOrderDependent:
                become_order_dependent(settled);
                break;
            case SecondOpinion::Settled::Verdict::kFlaky:
                if (result.warmed && replace_by_opinion(settled.item)) break;
                replacements_.erase(settled.item);
                result.note = fmt::format("flaky: {} at first, otherwise when run again by itself",
                                          outcome_name(result.outcome()));
                noted_.insert(settled.item);
                break;
        }
    }
}

void Session::learn(std::uint32_t item, Opinion opinion) {
    if (memory_ && opinion_key_ != kKeyPending) memory_->learn_opinion(results_.nodeid(item), std::move(opinion));
}

// It did the same by itself and in pytest's order, and something else in a process that had imported modules for it:
// that was the reason, not chance.
bool Session::replace_by_opinion(std::uint32_t item) {
    const auto found = replacements_.find(item);
    if (found == replacements_.end()) return false;
    const std::string_view first = outcome_name(results_.at(item).outcome());
    std::string note = fmt::format("run again, since it {} where modules had been imported for it beforehand", first);
    results_.at(item) = found->second.result;
    results_.at(item).note = std::move(note);
    items_[item].messages = std::move(found->second.messages);
    noted_.insert(item);
    replacements_.erase(found);
    return true;
}

// Its outcome in pytest's order is the verdict.
void Session::become_order_dependent(const SecondOpinion::Settled& settled) {
    const auto found = replacements_.find(settled.item);
    if (found == replacements_.end()) return;
    Opinion opinion{.verdict = Opinion::Verdict::kOrderDependent, .needs = {}, .alone = {}, .key = opinion_key_};
    for (const std::uint32_t item : settled.needs) opinion.needs.push_back(results_.nodeid(item));
    opinion.alone = outcome_name(results_.at(settled.item).outcome());
    results_.at(settled.item) = found->second.result;
    items_[settled.item].messages = std::move(found->second.messages);
    note_order_dependence(settled.item, opinion);
    learn(settled.item, std::move(opinion));
    replacements_.erase(found);
}

void Session::note_order_dependence(std::uint32_t item, const Opinion& opinion) {
    const std::vector<std::string>& needs = opinion.needs;
    results_.at(item).note =
        needs.size() == 1 ? fmt::format("order-dependent: {} alone, needs {}", opinion.alone, needs.front())
                          : fmt::format("order-dependent: {} alone, needs some of the {} tests before it from {}",
                                        opinion.alone, needs.size(), needs.empty() ? "the start" : needs.front());
    noted_.insert(item);
    ++order_dependent_;
}

// Before -x acts: do the failures up to the cut still stand?
bool Session::recheck_cut() {
    std::uint32_t failures = 0;
    for (std::uint32_t i = 0; i <= *cut_; ++i) failures += items_[i].complete ? results_.at(i).failures() : 0;
    if (failures >= maxfail_) {
        cut(*cut_, true);
        return false;
    }
    uncut();
    pump();
    return true;
}

}  // namespace tach::supervisor
