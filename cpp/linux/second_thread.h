// SPDX-License-Identifier: Apache-2.0
//
// A thread that does one piece of work after the other, beside the thread that hands it out.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>

namespace snapcore::linux_os {

// Happens once.
class Event {
public:
    void set();
    // The deadline is of monotonic_ns().
    void wait_until(std::int64_t deadline_ns);

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool is_set_ = false;
};

class SecondThread {
public:
    SecondThread();
    ~SecondThread();
    SecondThread(const SecondThread&) = delete;
    SecondThread& operator=(const SecondThread&) = delete;

    // What was handed out before is done.
    void start(std::function<void()> work);
    // Throws what the work threw.
    void wait();

private:
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<void()> work_;  // empty: nothing to do
    std::exception_ptr error_;
    bool ending_ = false;
    std::thread thread_;
};

}  // namespace snapcore::linux_os
