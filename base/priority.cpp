#include "base/priority.h"

#include <sched.h>
#include <sys/resource.h>

namespace tach::base {

void yield_to_others() {
    constexpr int kNicest = 19;
    const sched_param none{};
    static_cast<void>(::sched_setscheduler(0, SCHED_IDLE, &none));
    static_cast<void>(::setpriority(PRIO_PROCESS, 0, kNicest));
}

}  // namespace tach::base
