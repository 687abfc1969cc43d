// libFuzzer target: see reader_fuzz.h. Run it on a directory of seeds that reader_seeds wrote:
//   reader_seeds corpus && reader_fuzz corpus

#include "tests/shm/reader_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)tach::tests::run_hostile_input({data, size});
    return 0;
}
