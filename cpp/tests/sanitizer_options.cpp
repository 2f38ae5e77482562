// SPDX-License-Identifier: Apache-2.0
//
// Options of the sanitizers, in each program that has their runtime. Not in the environment, which
// the tracer program does not get; and reports go to a file, since some programs have no stderr.
#define SNAPCORE_TO_FILES "log_path=" SNAPCORE_REPORTS "/report:log_exe_name=1:"

extern "C" {
[[gnu::visibility("default")]] const char* __asan_default_options();
[[gnu::visibility("default")]] const char* __ubsan_default_options();
[[gnu::visibility("default")]] const char* __tsan_default_options();
[[gnu::visibility("default")]] const char* __tsan_default_suppressions();
}

const char* __asan_default_options() {
    // What an interpreter never frees would be leaks; those of the core are found by its C++ tests.
    return SNAPCORE_TO_FILES
        "detect_leaks=0:strict_string_checks=1:detect_stack_use_after_return=1:"
        "detect_invalid_pointer_pairs=0:allocator_may_return_null=1";
}

const char* __ubsan_default_options() {
    return SNAPCORE_TO_FILES "print_stacktrace=1";
}

const char* __tsan_default_options() {
    // Tests fork, and capture in the fork.
    return SNAPCORE_TO_FILES "second_deadlock_stack=1:history_size=4:die_after_fork=0";
}

const char* __tsan_default_suppressions() {
    // The runtime of GCC 12 does not see pthread_mutex_clocklock, by which a timed_mutex is locked.
    return "mutex:std::timed_mutex::unlock\n";
}
