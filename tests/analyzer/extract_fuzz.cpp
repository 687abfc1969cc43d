// libFuzzer target: see extract_fuzz.h. Run it on the seeds, with a directory of its own for what it finds:
//   extract_fuzz found tests/analyzer/corpus

#include "tests/analyzer/extract_fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static tach::analyzer::Parser parser;
    tach::tests::run_as_anything({reinterpret_cast<const char*>(data), size}, parser);
    return 0;
}
