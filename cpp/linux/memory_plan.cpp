// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "linux/regions.h"

namespace snapcore::linux_os {
namespace {

// Below it, the zeros cost less as a hole of the file than as one more range.
constexpr std::uint64_t kLeastGap = 1024 * 1024;

bool is_shared_memory(const Mapping& m) {
    return m.name.starts_with("/dev/zero") || m.name.starts_with("/memfd:") ||
           m.name.starts_with("/SYSV") || m.name.starts_with("/dev/shm/") || m.inode == 0;
}

class Planner {
public:
    Planner(int clone_pagemap, int target_pagemap, const ScannedPages& scanned)
        : private_pagemap_(clone_pagemap >= 0 ? clone_pagemap : target_pagemap),
          target_pagemap_(target_pagemap),
          scanned_(scanned) {}

    void add(const Mapping& m, bool image) {
        const bool readable = m.readable || m.writable || m.executable;
        if (m.name.starts_with("[vvar") || m.name == "[vsyscall]") {
            return;  // the kernel's own
        }
        if (is_device(m)) {
            device_bytes_ += m.end - m.start;
        } else if (m.has_vm_flag("dd")) {
            excluded_bytes_ += m.end - m.start;
        } else if (m.name == "[vdso]") {
            range(m.start, m.end, true);
        } else if (!m.shared && m.inode == 0) {
            anonymous(m);
        } else if (!readable) {
            return;
        } else if (!m.shared && (m.writable || image)) {
            range(m.start, m.end, !is_kept_from_clone(m));
        } else {
            mapped_pages(m);
        }
    }

    MemoryPlan finish() {
        report(Severity::kInfo,
               "device_memory_left_out",
               "of device memory cannot be read and are left out",
               device_bytes_);
        report(Severity::kInfo,
               "dontdump_left_out",
               "are marked MADV_DONTDUMP by the target and are left out",
               excluded_bytes_);
        report(Severity::kInfo,
               "unmapped_file_pages_left_out",
               "of mapped files and shared memory that the target has not touched are left out",
               untouched_bytes_);
        return std::move(plan_);
    }

private:
    void range(std::uint64_t start, std::uint64_t end, bool of_the_instant) {
        plan_.ranges.push_back({{start, end - start}, of_the_instant});
    }

    void anonymous(const Mapping& m) {
        const bool kept = is_kept_from_clone(m);
        const auto* const runs = kept ? nullptr : scanned_.find({m.start, m.end - m.start});
        const AnonymousPages pages =
            runs != nullptr ? anonymous_pages(m, *runs)
                            : anonymous_pages(m, kept ? target_pagemap_ : private_pagemap_);
        // PROT_NONE that holds nothing is a reservation, not memory.
        if (pages.populated.empty() && !m.readable && !m.writable && !m.executable) return;
        for (const Range& run : pages.populated) range(run.address, run.end(), !kept);
        plan_.known_zero.insert(plan_.known_zero.end(), pages.zero.begin(), pages.zero.end());
    }

    void mapped_pages(const Mapping& m) {
        // Reading a page of shared memory that nobody touched would allocate it in the target's
        // name, and a file may be larger than the machine: what the target itself has mapped is
        // what it works with. Fork does not copy these page tables, so the target's count.
        const bool of_the_instant = !(m.shared && m.writable) && !is_shared_memory(m);
        for (const Range& run : populated_runs(target_pagemap_, m.start, m.end, false)) {
            range(run.address, run.end(), of_the_instant);
            untouched_bytes_ -= run.size;
        }
        untouched_bytes_ += m.end - m.start;
    }

    void report(Severity severity, const char* code, const char* what, std::uint64_t bytes) {
        if (bytes == 0) return;
        plan_.diagnostics.push_back({severity,
                                     code,
                                     std::to_string(bytes) + " bytes " + what,
                                     "",
                                     ErrorDomain::kNone,
                                     0,
                                     bytes});
    }

    int private_pagemap_;
    int target_pagemap_;
    const ScannedPages& scanned_;
    MemoryPlan plan_;
    std::uint64_t device_bytes_ = 0, excluded_bytes_ = 0, untouched_bytes_ = 0;
};

}  // namespace

bool is_device(const Mapping& m) {
    return m.has_vm_flag("io") || m.has_vm_flag("pf");
}

AnonymousPages anonymous_pages(const Mapping& m, int pagemap) {
    return anonymous_pages(m, populated_runs(pagemap, m.start, m.end, true));
}

AnonymousPages anonymous_pages(const Mapping& m, std::span<const Range> runs) {
    AnonymousPages pages;
    const auto zero = [&](std::uint64_t begin, std::uint64_t end) {
        pages.zero.push_back({begin, end - begin});
    };
    std::uint64_t at = m.start;
    for (std::size_t i = 0; i < runs.size();) {
        std::uint64_t begin = runs[i].address;
        std::uint64_t end = runs[i].end();
        ++i;
        for (; i < runs.size() && runs[i].address - end < kLeastGap; ++i) end = runs[i].end();
        if (begin - at < kLeastGap) {
            begin = at;
        } else {
            zero(at, begin);
        }
        if (m.end - end < kLeastGap) end = m.end;
        pages.populated.push_back({begin, end - begin});
        at = end;
    }
    if (at < m.end) zero(at, m.end);
    return pages;
}

MemoryPlan plan_full_memory(std::span<const Mapping> mappings,
                            int clone_pagemap,
                            int target_pagemap,
                            const ScannedPages& scanned) {
    Planner planner(clone_pagemap, target_pagemap, scanned);
    const std::vector<bool> image = image_mappings(mappings);
    for (std::size_t i = 0; i < mappings.size(); ++i) planner.add(mappings[i], image[i]);
    return planner.finish();
}

}  // namespace snapcore::linux_os
