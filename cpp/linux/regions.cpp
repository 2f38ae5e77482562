// SPDX-License-Identifier: Apache-2.0
#include "linux/regions.h"

#include <algorithm>

namespace snapcore::linux_os {

bool is_kept_from_clone(const Mapping& mapping) {
    return mapping.has_vm_flag("dc") || mapping.has_vm_flag("wf");
}

std::shared_ptr<const RegionTable> region_table(std::span<const Mapping> mappings,
                                                bool details,
                                                bool has_clone,
                                                std::span<const Range> copied) {
    auto table = std::make_shared<RegionTable>();
    table->reserve(mappings.size());
    minidump::for_each_region(mappings, details, [&](const Mapping& m, RegionRow& row) {
        row.resident = m.resident;
        if (details && !m.vm_flags.empty()) row.linux_flags = m.vm_flags;
        if (has_clone) {
            const auto is_it = [&](const Range& range) { return range.address == m.start; };
            const bool there = !is_kept_from_clone(m) &&
                               (!(m.shared && m.writable) || std::ranges::any_of(copied, is_it));
            row.in_clone = there ? Boolean::kTrue : Boolean::kFalse;
        }
        table->append(row);
    });
    return table;
}

}  // namespace snapcore::linux_os
