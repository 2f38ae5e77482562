// SPDX-License-Identifier: Apache-2.0
#include "windows/modules.h"

#include <cstdio>
#include <unordered_set>

#include "windows/pe_image.h"

namespace snapcore::windows_os {
namespace {

constexpr std::size_t kMostModules = 16384;

// PEB.Ldr, PEB_LDR_DATA.InLoadOrderModuleList and LDR_DATA_TABLE_ENTRY (winternl.h), by the width
// of a pointer.
template <class P>
struct Lists {
    static constexpr std::uint64_t kLdr = sizeof(P) == 8 ? 0x18 : 0x0c;
    static constexpr std::uint64_t kLoadOrder = sizeof(P) == 8 ? 0x10 : 0x0c;
    struct UnicodeString {
        std::uint16_t bytes, capacity;
        P text;
    };
    struct Entry {
        P next, previous, memory_order[2], initialization_order[2];
        P base, entry_point;
        std::uint32_t size;
        UnicodeString full_name, base_name;
    };
};
static_assert(offsetof(Lists<std::uint64_t>::Entry, full_name) == 0x48);
static_assert(offsetof(Lists<std::uint32_t>::Entry, full_name) == 0x24);

ModuleRow module_row(ProcessMemory& memory,
                     std::uint64_t base,
                     std::uint32_t size,
                     std::string path) {
    ModuleRow row;
    row.base = base;
    row.size = size;
    row.path = std::move(path);
    const auto facts = read_pe(memory, base);
    if (!facts) return row;
    row.timestamp = facts->timestamp;
    row.checksum = facts->checksum;
    row.version = facts->version;
    row.debug_id = facts->debug_id;
    char id[32];
    std::snprintf(id, sizeof id, "%08X%x", facts->timestamp, facts->size);
    row.code_id = id;
    return row;
}

template <class P>
void append_list(ProcessMemory& memory,
                 std::uint64_t peb,
                 ModuleTable& table,
                 std::unordered_set<std::uint64_t>& seen,
                 Diagnostics& diagnostics) {
    using L = Lists<P>;
    const auto broken = [&](std::uint64_t address) {
        diagnostics.push_back({Severity::kWarning,
                               "module_list_broken",
                               "the loader's list of modules cannot be read to its end",
                               "",
                               ErrorDomain::kNone,
                               0,
                               address});
    };
    P ldr = 0, next = 0;
    if (!memory.read_object(peb + L::kLdr, ldr) || !memory.read_object(ldr + L::kLoadOrder, next)) {
        broken(peb);
        return;
    }
    const std::uint64_t head = ldr + L::kLoadOrder;
    for (std::size_t entries = 0; next != head; ++entries) {
        typename L::Entry entry{};
        if (entries == kMostModules || !memory.read_object(next, entry)) {
            broken(next);
            return;
        }
        next = entry.next;
        if (entry.base == 0 || !seen.insert(entry.base).second) continue;
        table.append(module_row(memory,
                                entry.base,
                                entry.size,
                                memory.read_text(entry.full_name.text, entry.full_name.bytes)));
    }
}

}  // namespace

std::shared_ptr<ModuleTable> read_modules(ProcessMemory& memory,
                                          std::uint64_t peb,
                                          std::uint64_t peb32,
                                          Diagnostics& diagnostics) {
    auto table = std::make_shared<ModuleTable>();
    std::unordered_set<std::uint64_t> seen;
    append_list<Pointer>(memory, peb, *table, seen, diagnostics);
    if (peb32 != 0) append_list<std::uint32_t>(memory, peb32, *table, seen, diagnostics);
    return table;
}

}  // namespace snapcore::windows_os
