// SPDX-License-Identifier: Apache-2.0
//
// A library that is loaded and then left alone.
extern "C" {
[[gnu::visibility("default")]] char library_data[64] = "snapcore: library data";
[[gnu::visibility("default")]] int library_code(int x) {
    return x * 3 + library_data[0];
}
}
