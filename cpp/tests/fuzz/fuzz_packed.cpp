// SPDX-License-Identifier: Apache-2.0
//
// The input is a compressed file. What it says of its frames may be anything.
#include "fuzz/exercise.h"

int snapcore::fuzz::LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    exercise_packed(std::as_bytes(std::span(data, size)));
    return 0;
}
