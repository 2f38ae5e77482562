// SPDX-License-Identifier: Apache-2.0
//
// What the target programs share: JSON lines out, command lines in.
#pragma once

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>

namespace target {

inline std::int64_t now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000'000 + t.tv_nsec;
}

inline int tid() {
    return static_cast<int>(syscall(SYS_gettid));
}

// An object of numbers and plain strings.
class Json {
public:
    Json& add(std::string_view key, std::uint64_t value) { return raw(key, std::to_string(value)); }
    Json& add(std::string_view key, const std::string& value) {
        return raw(key, "\"" + value + "\"");
    }
    Json& raw(std::string_view key, std::string_view value) {
        text_ += (text_.empty() ? "\"" : ",\"") + std::string(key) + "\":" + std::string(value);
        return *this;
    }
    std::string str() const { return "{" + text_ + "}"; }
    void print() const { std::cout << str() << std::endl; }

private:
    std::string text_;
};

// Calls `answer` with each line of standard input until it ends; then the program ends at once.
inline void serve(const std::function<void(const std::string&)>& answer) {
    std::string line;
    while (std::getline(std::cin, line)) answer(line);
    _exit(0);
}

}  // namespace target
