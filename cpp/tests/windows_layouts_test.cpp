// SPDX-License-Identifier: Apache-2.0
//
// The layouts of windows/raw.h are checked where they are included; what is left to see is that a
// value lands where Windows would look for it.
#include <doctest/doctest.h>

#include <array>
#include <cstring>

#include "windows/raw.h"

using namespace snapcore::windows_os;

TEST_CASE("the snapshot answer lies in the first four bytes of the callback's output") {
    raw::MINIDUMP_CALLBACK_OUTPUT output;
    std::memset(&output, 0xcc, sizeof output);
    output.Status = 1;  // S_FALSE
    std::array<unsigned char, sizeof output> bytes{};
    std::memcpy(bytes.data(), &output, sizeof output);
    CHECK(bytes[0] == 1);
    CHECK(bytes[3] == 0);
    CHECK(bytes[4] == 0xcc);
    CHECK(bytes[51] == 0xcc);
}

TEST_CASE("the times of a thread lie at offsets that are multiples of four alone") {
    raw::PSS_THREAD_ENTRY<std::uint64_t> entry{};
    auto* const bytes = reinterpret_cast<unsigned char*>(&entry);
    bytes[52] = 0x11;
    bytes[59] = 0x22;
    CHECK(entry.CreateTime.ticks() == 0x2200000000000011);
}
