#pragma once

// Errors as values. Every function of tach that can fail for a reason outside the program returns Result<T>;
// the error names its subject ("open /x: No such file or directory"), so that the caller can forward it
// unchanged and the process layer can print it. Nothing here logs. Outcomes that the direct caller must
// handle (a full ring, a closed peer) are not errors: they are enums or optionals of the function in
// question.

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace tach::base {

struct Error {
    int code = 0;      // an errno value; EPROTO when a peer broke the protocol
    std::string what;  // one line, complete: subject and reason
};

template <class T>
using Result = tl::expected<T, Error>;

// "subject: strerror(errno)". Reads errno first thing, so it can be called right after the failed call.
[[nodiscard]] Error errno_error(std::string_view subject);

// The same for an error number that came by another way.
[[nodiscard]] Error errno_error(std::string_view subject, int code);

// A peer or a file broke the rules: code EPROTO, `what` as given.
[[nodiscard]] Error protocol_error(std::string_view what);

[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
    return tl::unexpected<Error>(std::move(error));
}

}  // namespace tach::base
