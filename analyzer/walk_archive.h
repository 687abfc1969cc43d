#pragma once

// What a walk consists of, for archive.h.

#include "analyzer/walk.h"
#include "shm/archive.h"

namespace tach::analyzer {

template <class Archive>
void parts(Archive& archive, Signature& signature) {
    archive(signature.size, signature.mtime_ns, signature.ctime_ns, signature.inode);
}

template <class Archive>
void parts(Archive& archive, WalkedFile& file) {
    archive(file.path, file.signature, file.is_test, file.is_doctest, file.is_text, file.is_conftest);
}

template <class Archive>
void parts(Archive& archive, WalkedEntry& entry) {
    archive(entry.name, entry.kind);
}

template <class Archive>
void parts(Archive& archive, WalkedDirectory& directory) {
    archive(directory.path, directory.signature, directory.entries);
}

template <class Archive>
void parts(Archive& archive, WalkProblem& problem) {
    archive(problem.severity, problem.path, problem.message);
}

template <class Archive>
void parts(Archive& archive, Walk& walk) {
    archive(walk.rules, walk.taken_ns, walk.listed, walk.files, walk.directories, walk.problems);
}

}  // namespace tach::analyzer
