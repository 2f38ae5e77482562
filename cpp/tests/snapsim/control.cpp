// SPDX-License-Identifier: Apache-2.0
//
// What the tests steer the stand-in with, by ctypes.
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "sim.h"

namespace snapsim {
namespace {

struct Injection {
    DWORD code = 0;
    int skip = 0;   // calls that go well before
    int times = 0;  // calls that fail then
};

std::mutex mutex;
std::vector<std::string> violations;
std::vector<std::string> calls;

std::string formatted(const char* format, va_list arguments) {
    char text[512];
    std::vsnprintf(text, sizeof text, format, arguments);
    return text;
}

int give(const std::vector<std::string>& lines, char* buffer, int size) {
    std::string text;
    for (const std::string& line : lines) text += line + "\n";
    std::snprintf(buffer, static_cast<std::size_t>(size), "%s", text.c_str());
    return static_cast<int>(text.size());
}
// Those who look take them long before; a run that looks for leaks must find none here.
constexpr std::size_t kMostCalls = 1000;
std::map<std::string, Injection> injections;

}  // namespace

void violation(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const std::lock_guard lock(mutex);
    violations.push_back(formatted(format, arguments));
    va_end(arguments);
}

void called(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const std::lock_guard lock(mutex);
    if (calls.size() == kMostCalls) calls.clear();
    calls.push_back(formatted(format, arguments));
    va_end(arguments);
}

DWORD injected(const char* function) {
    const std::lock_guard lock(mutex);
    const auto found = injections.find(function);
    if (found == injections.end() || found->second.times == 0) return 0;
    if (found->second.skip > 0) {
        --found->second.skip;
        return 0;
    }
    --found->second.times;
    return found->second.code;
}

DWORD behaviour(const char* name) {
    const std::lock_guard lock(mutex);
    const auto found = injections.find(name);
    return found == injections.end() ? 0 : found->second.code;
}

}  // namespace snapsim

extern "C" {

// After `skip` calls of a function that go well, `times` calls fail with `code`. Names that are no
// function switch a behaviour on.
void snapsim_fail(const char* function, DWORD code, int skip, int times) {
    const std::lock_guard lock(snapsim::mutex);
    snapsim::injections[function] = {code, skip, times};
}

void snapsim_reset() {
    const std::lock_guard lock(snapsim::mutex);
    snapsim::injections.clear();
    snapsim::violations.clear();
    snapsim::calls.clear();
}

// One a line; returns how many bytes there are.
int snapsim_violations(char* buffer, int size) {
    const std::lock_guard lock(snapsim::mutex);
    return snapsim::give(snapsim::violations, buffer, size);
}

int snapsim_calls(char* buffer, int size) {
    const std::lock_guard lock(snapsim::mutex);
    return snapsim::give(snapsim::calls, buffer, size);
}
}
