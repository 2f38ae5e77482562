// SPDX-License-Identifier: Apache-2.0
//
// Gives a target the files that are named, and those of folders that are named, one after the
// other: what libFuzzer's own main does with files, for any compiler.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fuzz/exercise.h"

namespace {

namespace fs = std::filesystem;

// An input that takes longer is a finding; a sanitizer's build needs a few milliseconds for one.
constexpr std::chrono::seconds kLongest{10};

bool replay(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    if (!file) {
        std::fprintf(stderr, "%s cannot be read\n", path.c_str());
        return false;
    }
    // What goes wrong next ends the program: this is the last line.
    std::printf("%s\n", path.c_str());
    std::fflush(stdout);
    const auto started = std::chrono::steady_clock::now();
    snapcore::fuzz::LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                           bytes.size());
    if (std::chrono::steady_clock::now() - started <= kLongest) return true;
    std::fprintf(stderr, "%s takes too long\n", path.c_str());
    return false;
}

}  // namespace

int main(int count, char** arguments) {
    std::vector<fs::path> paths;
    for (int i = 1; i < count; ++i) {
        const fs::path path = arguments[i];
        if (!fs::is_directory(path)) {
            paths.push_back(path);
            continue;
        }
        for (const fs::directory_entry& entry : fs::directory_iterator(path)) {
            if (entry.is_regular_file()) paths.push_back(entry.path());
        }
    }
    std::sort(paths.begin(), paths.end());
    if (paths.empty()) {
        std::fprintf(stderr, "there is nothing to replay\n");
        return 2;
    }
    bool whole = true;
    for (const fs::path& path : paths) whole = replay(path) && whole;
    return whole ? 0 : 1;
}
