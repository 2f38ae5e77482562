// SPDX-License-Identifier: Apache-2.0
#include "linux/memory_parts.h"

#include <elf.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <set>
#include <string>
#include <utility>

#include "base/range.h"
#include "generated/flags.h"
#include "linux/modules.h"
#include "linux/pagemap.h"

namespace snapcore::linux_os {
namespace {

constexpr std::uint64_t kRedZone = 128;
constexpr std::uint64_t kMostStack = 1024 * 1024;
constexpr std::uint64_t kMostStackOfTriage = 64 * 1024;
constexpr std::size_t kMostReferencedPages = 4096;  // 16 MiB
constexpr std::size_t kMostLibraries = 4096;
constexpr std::size_t kLongestName = 4096;
// struct pthread of the C library, on the other side of the thread pointer than the variables.
constexpr std::uint64_t kThreadBlock = 4096;

constexpr std::uint64_t kModuleFlags =
    MiniDumpType::WITH_DATA_SEGS | MiniDumpType::WITH_CODE_SEGS | MiniDumpType::WITH_MODULE_HEADERS;
constexpr std::uint64_t kPartFlags =
    kModuleFlags | MiniDumpType::WITH_INDIRECTLY_REFERENCED_MEMORY |
    MiniDumpType::WITH_PROCESS_THREAD_DATA | MiniDumpType::WITH_PRIVATE_READ_WRITE_MEMORY |
    MiniDumpType::WITH_PRIVATE_WRITE_COPY_MEMORY;

bool is_readable(const Mapping& m) {
    return (m.readable || m.writable || m.executable) && !is_device(m) &&
           !m.name.starts_with("[vvar") && m.name != "[vsyscall]";
}

class Planner {
public:
    explicit Planner(const PartsSource& source)
        : source_(source), flags_(source.dump_flags), mappings_(source.mappings) {}

    MemoryPlan run() {
        const auto find_mapping = [this](std::uint64_t address) {
            const Mapping* const mapping = find(address);
            return mapping == nullptr ? std::nullopt : std::optional(*mapping);
        };
        stacks_ = stack_slices(source_.threads, flags_, source_.environment, find_mapping);
        for (const Range& slice : stacks_) add(slice);
        const bool scan = wants(MiniDumpType::SCAN_MEMORY) && wants(kModuleFlags);
        if (scan || wants(MiniDumpType::WITH_INDIRECTLY_REFERENCED_MEMORY)) read_stack_words();
        if (wants(kModuleFlags | MiniDumpType::WITH_PROCESS_THREAD_DATA)) {
            images_ = find_images(mappings_, source_.memory);
        }
        if (wants(kModuleFlags)) add_modules(scan);
        if (wants(MiniDumpType::WITH_PROCESS_THREAD_DATA)) {
            add_thread_data();
            add_loader_data();
        }
        if (wants(MiniDumpType::WITH_INDIRECTLY_REFERENCED_MEMORY)) add_referenced_pages();
        for (const Mapping& m : mappings_) {
            if (m.shared || !m.writable || !is_readable(m) || m.has_vm_flag("dd")) continue;
            if (wants(MiniDumpType::WITH_PRIVATE_READ_WRITE_MEMORY)) add_written(m);
            if (wants(MiniDumpType::WITH_PRIVATE_WRITE_COPY_MEMORY) && m.inode != 0) {
                add({m.start, m.end - m.start});
            }
        }
        merge();
        return std::move(plan_);
    }

private:
    bool wants(std::uint64_t bits) const { return (flags_ & bits) != 0; }

    const Mapping* find(std::uint64_t address) const { return mapping_at(mappings_, address); }

    int pagemap_of(const Mapping& m) const {
        return source_.target_pagemap >= 0 && is_kept_from_clone(m) ? source_.target_pagemap
                                                                    : source_.pagemap;
    }

    // Clipped to what can be read; anonymous pages that nobody touched stay untouched.
    void add(Range wanted) {
        for (std::uint64_t at = wanted.address; at < wanted.end();) {
            const auto next = std::upper_bound(
                mappings_.begin(), mappings_.end(), at, [](std::uint64_t a, const Mapping& m) {
                    return a < m.end;
                });
            if (next == mappings_.end() || next->start >= wanted.end()) return;
            at = std::max(at, next->start);
            const std::uint64_t end = std::min(next->end, wanted.end());
            if (is_readable(*next)) add_within(*next, at, end);
            at = end;
        }
    }

    void add_within(const Mapping& m, std::uint64_t begin, std::uint64_t end) {
        if (m.inode != 0 && !m.shared) {
            ranges_.push_back({begin, end - begin});
            return;
        }
        const std::uint64_t first = align_down(begin, kPageSize), last = align_up(end, kPageSize);
        for (const Range& run : populated_runs(pagemap_of(m), first, last, false)) {
            const std::uint64_t from = std::max(run.address, begin);
            const std::uint64_t to = std::min(run.end(), end);
            if (from < to) ranges_.push_back({from, to - from});
        }
    }

    void add_written(const Mapping& m) {
        if (m.inode != 0) {
            for (const Range& run : populated_runs(pagemap_of(m), m.start, m.end, true)) {
                ranges_.push_back(run);
            }
            return;
        }
        const AnonymousPages pages = anonymous_pages(m, pagemap_of(m));
        ranges_.insert(ranges_.end(), pages.populated.begin(), pages.populated.end());
        plan_.known_zero.insert(plan_.known_zero.end(), pages.zero.begin(), pages.zero.end());
    }

    // Everything on a stack, and in a register, that may be an address.
    void read_stack_words() {
        for (const PartThread& thread : source_.threads) {
            words_.insert(words_.end(), thread.words.begin(), thread.words.end());
        }
        std::vector<std::uint64_t> words;
        for (const Range& slice : stacks_) {
            words.resize(slice.size / sizeof words[0]);
            const std::size_t n =
                source_.memory.read(slice.address, std::as_writable_bytes(std::span(words)));
            words_.insert(words_.end(),
                          words.begin(),
                          words.begin() + static_cast<std::ptrdiff_t>(n / sizeof words[0]));
        }
        std::erase_if(words_, [](std::uint64_t word) { return word < kPageSize; });
        std::sort(words_.begin(), words_.end());
        words_.erase(std::unique(words_.begin(), words_.end()), words_.end());
    }

    bool is_referenced(const Range& range) const {
        const auto word = std::lower_bound(words_.begin(), words_.end(), range.address);
        return word != words_.end() && *word < range.end();
    }

    void add_modules(bool only_referenced) {
        for (const LoadedImage& image : images_) {
            if (only_referenced && !is_referenced(image.range)) continue;
            if (wants(MiniDumpType::WITH_MODULE_HEADERS)) add(image.elf.headers);
            if (wants(MiniDumpType::WITH_DATA_SEGS)) {
                for (const Range& segment : image.elf.writable) add(segment);
            }
            if (wants(MiniDumpType::WITH_CODE_SEGS)) {
                for (const Range& segment : image.elf.executable) add(segment);
            }
        }
    }

    void add_thread_data() {
        std::uint64_t tls = 0;
        for (const LoadedImage& image : images_) tls += image.elf.tls_size;
        for (const PartThread& thread : source_.threads) {
            const std::uint64_t pointer = thread.thread_pointer;
            const Mapping* const mapping = find(pointer);
            if (mapping == nullptr || !is_readable(*mapping)) continue;
            const std::uint64_t below = kThreadLocalsAbove ? kThreadBlock : align_up(tls, 64);
            const std::uint64_t above = kThreadLocalsAbove ? align_up(tls, 64) + 64 : kThreadBlock;
            const std::uint64_t begin =
                std::max(mapping->start, pointer - std::min(pointer, below));
            const std::uint64_t end = std::min(mapping->end, pointer + above);
            add({begin, end - begin});
        }
    }

    template <class T>
    bool read_object(std::uint64_t address, T& out) const {
        return source_.memory.read(address, std::as_writable_bytes(std::span(&out, 1))) ==
               sizeof out;
    }

    // The list of loaded libraries, as the dynamic loader publishes it for debuggers: DT_DEBUG of
    // the program -> r_debug -> link_map.
    void add_loader_data() {
        for (const LoadedImage& image : images_) {
            if (image.elf.dynamic.size == 0) continue;
            std::vector<ElfW(Dyn)> entries(
                std::min<std::uint64_t>(image.elf.dynamic.size / sizeof(ElfW(Dyn)), 512));
            source_.memory.read(image.elf.dynamic.address,
                                std::as_writable_bytes(std::span(entries)));
            for (const ElfW(Dyn) & entry : entries) {
                if (entry.d_tag != DT_DEBUG || entry.d_un.d_ptr == 0) continue;
                add(image.elf.dynamic);
                add_libraries(entry.d_un.d_ptr);
                return;
            }
        }
    }

    void add_libraries(std::uint64_t debug_address) {
        r_debug debug{};
        if (!read_object(debug_address, debug)) return;
        add({debug_address, sizeof debug});
        std::set<std::uint64_t> seen;
        for (auto at = reinterpret_cast<std::uint64_t>(debug.r_map);
             at != 0 && seen.size() < kMostLibraries && seen.insert(at).second;) {
            link_map map{};
            if (!read_object(at, map)) return;
            add({at, sizeof map});
            std::array<char, kLongestName> name{};
            const auto where = reinterpret_cast<std::uint64_t>(map.l_name);
            const std::size_t n =
                source_.memory.read(where, std::as_writable_bytes(std::span(name)));
            add({where, std::min(n, ::strnlen(name.data(), n) + 1)});
            at = reinterpret_cast<std::uint64_t>(map.l_next);
        }
    }

    void add_referenced_pages() {
        std::uint64_t last = 0;
        std::size_t pages = 0, left_out = 0;
        for (const std::uint64_t word : words_) {
            const std::uint64_t page = align_down(word, kPageSize);
            if (page == last) continue;
            const Mapping* const mapping = find(page);
            if (mapping == nullptr || !mapping->writable || !is_readable(*mapping)) continue;
            last = page;
            if (pages == kMostReferencedPages) {
                ++left_out;
                continue;
            }
            ++pages;
            add_within(*mapping, page, page + kPageSize);
        }
        if (left_out != 0) {
            plan_.diagnostics.push_back(
                {Severity::kInfo,
                 "referenced_memory_left_out",
                 std::to_string(left_out) + " pages that stacks refer to are left out: more than " +
                     std::to_string(kMostReferencedPages),
                 "",
                 ErrorDomain::kNone,
                 0,
                 left_out});
        }
    }

    // Parts overlap and touch; a range of the file lies within one mapping, by whose base some
    // readers look it up.
    void merge() {
        std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) {
            return a.address < b.address;
        });
        std::vector<Range> merged;
        for (const Range& range : ranges_) {
            const bool touches = !merged.empty() && range.address <= merged.back().end() &&
                                 find(range.address) == find(merged.back().address);
            if (touches) {
                merged.back().size =
                    std::max(merged.back().end(), range.end()) - merged.back().address;
            } else if (range.size != 0) {
                merged.push_back(range);
            }
        }
        for (const Range& range : merged) {
            if (wants(MiniDumpType::WITH_PRIVATE_READ_WRITE_MEMORY)) {
                place(range.address, range.end());
            } else {
                const Range& environment = source_.environment;
                place(range.address, std::min(range.end(), environment.address));
                place(std::max(range.address, environment.end()), range.end());
            }
        }
    }

    void place(std::uint64_t begin, std::uint64_t end) {
        if (begin >= end) return;
        const Mapping* const m = find(begin);
        const bool live = m != nullptr && !source_.stands_still &&
                          ((m->shared && m->writable) || is_kept_from_clone(*m));
        plan_.ranges.push_back({{begin, end - begin}, !live});
    }

    const PartsSource& source_;
    std::uint64_t flags_;
    std::span<const Mapping> mappings_;
    std::vector<Range> stacks_, ranges_;
    std::vector<std::uint64_t> words_;  // ascending
    std::vector<LoadedImage> images_;
    MemoryPlan plan_;
};

}  // namespace

PartThread part_thread(const UserRegisters& registers) {
    static_assert(sizeof registers % sizeof(std::uint64_t) == 0);
    PartThread out{stack_pointer(registers), thread_pointer(registers), {}};
    out.words.resize(sizeof registers / sizeof(std::uint64_t));
    std::memcpy(out.words.data(), &registers, sizeof registers);
    return out;
}

bool wants_parts(std::uint64_t dump_flags) {
    return (dump_flags & kPartFlags) != 0;
}

std::optional<Range> stack_slice(const std::optional<Mapping>& mapping,
                                 std::uint64_t stack_pointer,
                                 std::uint64_t dump_flags) {
    if (!mapping || !mapping->readable) return std::nullopt;
    const std::uint64_t begin = std::max(mapping->start, align_down(stack_pointer - kRedZone, 16));
    const std::uint64_t most =
        (dump_flags & MiniDumpType::FILTER_TRIAGE) != 0 ? kMostStackOfTriage : kMostStack;
    return Range{begin, std::min(mapping->end - begin, most)};
}

Range environment_range(const Stat& stat) {
    // Unknown: an empty range behind everything.
    if (stat.environment_end <= stat.environment_start) return {~std::uint64_t{0}, 0};
    return {stat.environment_start, stat.environment_end - stat.environment_start};
}

std::vector<Range> stack_slices(
    std::span<const PartThread> threads,
    std::uint64_t dump_flags,
    const Range& environment,
    const std::function<std::optional<Mapping>(std::uint64_t)>& find_mapping) {
    std::vector<Range> slices;
    for (const PartThread& thread : threads) {
        if (thread.stack_pointer == 0) continue;
        auto slice =
            stack_slice(find_mapping(thread.stack_pointer), thread.stack_pointer, dump_flags);
        if (!slice) continue;
        if (slice->contains(environment.address) && environment.size != 0) {
            slice->size = align_down(environment.address, 16) - slice->address;
        }
        slices.push_back(*slice);
    }
    std::sort(slices.begin(), slices.end(), [](const Range& a, const Range& b) {
        return a.address < b.address;
    });
    std::vector<Range> out;
    std::uint64_t done = 0;
    for (Range slice : slices) {
        if (slice.end() <= done) continue;
        if (slice.address < done) slice = {done, slice.end() - done};
        done = slice.end();
        out.push_back(slice);
    }
    return out;
}

std::uint64_t estimate_parts(std::uint64_t dump_flags, std::span<const Mapping> mappings) {
    const std::vector<bool> image = image_mappings(mappings);
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < mappings.size(); ++i) {
        const Mapping& m = mappings[i];
        const std::uint64_t size = m.end - m.start;
        // Uninitialised data follows the last mapping of its image.
        const bool data = (image[i] && !m.executable) ||
                          (i > 0 && image[i - 1] && m.inode == 0 && m.start == mappings[i - 1].end);
        if ((dump_flags & MiniDumpType::WITH_DATA_SEGS) != 0 && data && m.writable) bytes += size;
        if ((dump_flags & MiniDumpType::WITH_CODE_SEGS) != 0 && image[i] && m.executable)
            bytes += size;
        if ((dump_flags & MiniDumpType::WITH_MODULE_HEADERS) != 0 && image[i] && m.offset == 0)
            bytes += kPageSize;
    }
    return bytes;
}

MemoryPlan plan_parts(const PartsSource& source) {
    return Planner(source).run();
}

}  // namespace snapcore::linux_os
