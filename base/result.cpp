#include "base/result.h"

#include <cerrno>
#include <system_error>

namespace tach::base {

Error errno_error(std::string_view subject) {
    return errno_error(subject, errno);
}

Error errno_error(std::string_view subject, int code) {
    // Not strerror(): it is not thread-safe.
    return Error{code, std::string(subject) + ": " + std::generic_category().message(code)};
}

Error protocol_error(std::string_view what) {
    return Error{EPROTO, std::string(what)};
}

}  // namespace tach::base
