// SPDX-License-Identifier: Apache-2.0
//
// What may be captured here, asked without capturing anything.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace snapcore {

// Name and value, "yes" and "no" among them; which names there are depends on the OS.
using SystemFacts = std::vector<std::pair<std::string, std::string>>;
SystemFacts system_facts();

struct AccessCheck {
    std::string operation;  // "threads", "handles", "stacks", "memory", "snapshot"
    bool allowed = false;
    std::string call;    // that is refused; empty where nothing is
    std::string reason;  // and what to do about it
};
// The tests of the OS for one process, which is neither stopped nor traced for them. Throws Error
// for what can't be captured whatever the rights.
std::vector<AccessCheck> check_access(std::uint32_t pid);

}  // namespace snapcore
