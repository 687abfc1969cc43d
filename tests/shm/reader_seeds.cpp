// Writes the fuzzer's seeds into the directory that it is given: valid rings of different contents and
// offsets.

#include <filesystem>
#include <fstream>
#include <iostream>

#include "tests/shm/fuzz_inputs.h"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::cerr << "usage: reader_seeds DIRECTORY\n";
        return 2;
    }
    const std::filesystem::path directory(argv[1]);
    std::filesystem::create_directories(directory);
    for (std::uint64_t offset : {0, 8, 512, 1016}) {
        for (std::size_t chunk : {40, 100, 240}) {
            const auto input = tach::tests::valid_input(offset, 5, chunk);
            std::ofstream file(directory / ("ring-" + std::to_string(offset) + "-" + std::to_string(chunk)),
                               std::ios::binary);
            file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
            if (!file) {
                std::cerr << "cannot write to " << directory << '\n';
                return 1;
            }
        }
    }
    return 0;
}
