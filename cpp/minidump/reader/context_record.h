// SPDX-License-Identifier: Apache-2.0
//
// Thread contexts as files have them: of three processors, in the sizes that writers use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "snapshot/context.h"

namespace snapcore::minidump {

// What the thread table takes from a context.
struct KeyRegisters {
    std::uint64_t instruction_pointer = 0, stack_pointer = 0;
};

// The architecture that a PROCESSOR_ARCHITECTURE_* (Breakpad's own numbers included) stands for;
// nullopt where contexts of it are not known.
std::optional<Architecture> known_architecture(std::uint16_t number);

// Bytes of a record in a ContextTable.
std::size_t context_size(Architecture architecture);

// Enough of a record's start to read key registers from.
inline constexpr std::size_t kKeyBytes = 288;
std::optional<KeyRegisters> key_registers(Architecture architecture,
                                          std::span<const std::byte> record,
                                          std::size_t record_size);

// The record in the form that a ContextTable has; false where its size is of no known form.
bool normalize(Architecture architecture,
               std::span<const std::byte> record,
               std::span<std::byte> out);

// What an x86-64 record with CONTEXT_XSTATE holds behind its CONTEXT, as far as the extension has
// room for it.
void read_extended_state(Architecture architecture,
                         std::span<const std::byte> record,
                         ContextExtension& out);

}  // namespace snapcore::minidump
