#pragma once

// Why the snapshot engine cannot do something, as a value that needs no memory: it is made while the process' memory is
// being rewound.

#include "base/address_range.h"

namespace tach::zygote {

struct Refusal {
    const char* why = nullptr;  // a fixed text; nullptr: no refusal
    std::uint64_t what = 0;     // an address, a signal, a descriptor, a process: what the text says
    int code = 0;               // errno value, or 0

    explicit operator bool() const { return why != nullptr; }
};

}  // namespace tach::zygote
