// SPDX-License-Identifier: Apache-2.0
#include "linux/regions.h"

#include <algorithm>

#include "generated/flags.h"

namespace snapcore::linux_os {
namespace {

std::uint32_t protection(const Mapping& m) {
    if (m.executable) {
        if (m.writable) return PageProtection::EXECUTE_READWRITE;
        return m.readable ? PageProtection::EXECUTE_READ : PageProtection::EXECUTE;
    }
    if (m.writable)
        return m.shared || m.inode == 0 ? PageProtection::READWRITE : PageProtection::WRITECOPY;
    return m.readable ? PageProtection::READONLY : PageProtection::NOACCESS;
}

bool same_file(const Mapping& a, const Mapping& b) {
    return a.inode != 0 && a.inode == b.inode && a.device == b.device && a.name == b.name;
}

bool accessible(const Mapping& m) {
    return m.readable || m.writable || m.executable;
}

}  // namespace

std::vector<bool> image_mappings(std::span<const Mapping> mappings) {
    std::vector<bool> out(mappings.size());
    for (std::size_t begin = 0; begin < mappings.size();) {
        std::size_t end = begin + 1;
        bool executable = mappings[begin].executable;
        // A linker's bss lies between the files of two images and ends a run.
        while (end < mappings.size() && same_file(mappings[begin], mappings[end])) {
            executable = executable || mappings[end].executable;
            ++end;
        }
        const Mapping& first = mappings[begin];
        const bool image =
            (first.inode != 0 && executable && !first.shared) || first.name == "[vdso]";
        for (std::size_t i = begin; i < end; ++i) out[i] = image;
        begin = end;
    }
    return out;
}

const Mapping* mapping_at(std::span<const Mapping> mappings, std::uint64_t address) {
    const auto next = std::upper_bound(
        mappings.begin(), mappings.end(), address, [](std::uint64_t a, const Mapping& m) {
            return a < m.start;
        });
    if (next == mappings.begin() || address >= (next - 1)->end) return nullptr;
    return &*(next - 1);
}

bool is_kept_from_clone(const Mapping& mapping) {
    return mapping.has_vm_flag("dc") || mapping.has_vm_flag("wf");
}

std::shared_ptr<const RegionTable> region_table(std::span<const Mapping> mappings,
                                                bool details,
                                                bool has_clone,
                                                std::span<const Range> copied) {
    auto table = std::make_shared<RegionTable>();
    table->reserve(mappings.size());
    const std::vector<bool> image = image_mappings(mappings);
    std::size_t allocation = 0;
    for (std::size_t i = 0; i < mappings.size(); ++i) {
        const Mapping& m = mappings[i];
        if (i == 0 || !same_file(mappings[allocation], m)) allocation = i;
        RegionRow row;
        row.base = m.start;
        row.size = m.end - m.start;
        row.allocation_base = mappings[allocation].start;
        row.allocation_protect = protection(mappings[allocation]);
        row.protect = protection(m);
        row.state = accessible(m) ? MemoryState::COMMIT : MemoryState::RESERVE;
        row.type = image[i]                   ? MemoryType::IMAGE
                   : m.shared || m.inode != 0 ? MemoryType::MAPPED
                                              : MemoryType::PRIVATE;
        row.resident = m.resident;
        if (details) {
            if (!m.name.empty()) row.mapped_file = m.name;
            row.offset = m.offset;
            row.inode = m.inode;
            row.device = m.device;
            if (!m.vm_flags.empty()) row.linux_flags = m.vm_flags;
        }
        if (has_clone) {
            const auto is_it = [&](const Range& range) { return range.address == m.start; };
            const bool there = !is_kept_from_clone(m) &&
                               (!(m.shared && m.writable) || std::ranges::any_of(copied, is_it));
            row.in_clone = there ? Boolean::kTrue : Boolean::kFalse;
        }
        table->append(row);
    }
    return table;
}

}  // namespace snapcore::linux_os
