#pragma once

// What facts consist of, for archive.h. A change here is a change of kFactsVersion.

#include "analyzer/facts.h"
#include "analyzer/source_text.h"
#include "shm/archive.h"

namespace tach::analyzer {

using shm::append_bytes;
using shm::prefix_bytes;
using shm::read_bytes;

constexpr std::uint32_t kFactsVersion = 1;

template <class Archive>
void parts(Archive& archive, ContentHash& hash) {
    archive(hash.low, hash.high);
}

template <class Archive>
void parts(Archive& archive, Position& at) {
    archive(at.line, at.column);
}

template <class Archive>
void parts(Archive& archive, Diagnostic& diagnostic) {
    archive(diagnostic.severity, diagnostic.at, diagnostic.message);
}

template <class Archive>
void parts(Archive& archive, IdPart& part) {
    archive(part.kind, part.text);
}

template <class Archive>
void parts(Archive& archive, ParameterSet& set) {
    archive(set.id);
}

template <class Archive>
void parts(Archive& archive, Parameters& parameters) {
    archive(parameters.at, parameters.names, parameters.sets, parameters.known, parameters.indirect,
            parameters.is_spent);
}

template <class Archive>
void parts(Archive& archive, Mark& mark) {
    archive(mark.name, mark.arguments, mark.at, mark.strings, mark.parameters, mark.known);
}

template <class Archive>
void parts(Archive& archive, Decorator& decorator) {
    archive(decorator.name, decorator.at, decorator.called);
}

template <class Archive>
void parts(Archive& archive, Function& f) {
    archive(f.name, f.at, f.first, f.parent, f.requests, f.literals, f.decorators, f.marks, f.fixture);
    archive(f.is_async, f.is_generator, f.is_static, f.is_conditional, f.is_known, f.asks_for_fixtures);
}

template <class Archive>
void parts(Archive& archive, Fixture& f) {
    archive(f.name, f.at, f.function, f.scope, f.autouse, f.known, f.parameters);
}

template <class Archive>
void parts(Archive& archive, Class& c) {
    archive(c.name, c.at, c.first, c.parent, c.bases, c.decorators, c.marks);
    archive(c.has_init, c.has_keywords, c.is_conditional, c.is_known);
}

template <class Archive>
void parts(Archive& archive, Binding& b) {
    archive(b.name, b.kind, b.index, b.parent, b.value, b.at, b.is_conditional, b.is_data);
}

template <class Archive>
void parts(Archive& archive, Import& i) {
    archive(i.level, i.module, i.member, i.local, i.at, i.function);
    archive(i.is_conditional, i.never_runs, i.is_guarded, i.is_call, i.is_whole);
}

template <class Archive>
void parts(Archive& archive, DynamicImport& import) {
    archive(import.at, import.function);
}

template <class Archive>
void parts(Archive& archive, Call& call) {
    archive(call.callee, call.caller, call.at);
}

template <class Archive>
void parts(Archive& archive, Facts& f) {
    archive(f.diagnostics, f.imports, f.functions, f.classes, f.fixtures, f.parameters, f.bindings, f.calls, f.marks);
    archive(f.exports, f.plugins, f.ignored, f.ignored_known, f.has_exports, f.exports_known, f.plugins_known,
            f.marks_known, f.may_skip);
    archive(f.dynamic_imports, f.is_complete, f.has_doctests);
}

}  // namespace tach::analyzer
