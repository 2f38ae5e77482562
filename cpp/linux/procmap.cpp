// SPDX-License-Identifier: Apache-2.0
#include "linux/procmap.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>

#include "base/owners.h"

namespace snapcore::linux_os {
namespace {

// struct procmap_query of <linux/fs.h>, newer than some headers.
struct ProcmapQuery {
    std::uint64_t size, query_flags, query_addr;
    std::uint64_t vma_start, vma_end, vma_flags, vma_page_size, vma_offset, inode;
    std::uint32_t dev_major, dev_minor, vma_name_size, build_id_size;
    std::uint64_t vma_name_addr, build_id_addr;
};
static_assert(sizeof(ProcmapQuery) == 104);
constexpr unsigned long kProcmapQuery = _IOWR('f', 17, ProcmapQuery);
constexpr std::uint64_t kReadable = 1, kWritable = 2, kExecutable = 4, kShared = 8;

}  // namespace

std::optional<Mapping> MappingQuery::find_in_text(std::uint64_t address) {
    if (!text_) text_ = parse_maps(read_all(maps_));
    const auto after = std::upper_bound(
        text_->begin(), text_->end(), address, [](std::uint64_t value, const Mapping& mapping) {
            return value < mapping.end;
        });
    if (after == text_->end() || address < after->start) return std::nullopt;
    return *after;
}

std::optional<Mapping> MappingQuery::find(std::uint64_t address) {
    if (text_) return find_in_text(address);
    std::array<char, 4096> name{};
    ProcmapQuery query{};
    query.size = sizeof query;
    query.query_addr = address;
    query.vma_name_addr = reinterpret_cast<std::uint64_t>(name.data());
    query.vma_name_size = name.size();
    if (::ioctl(maps_, kProcmapQuery, &query) < 0) {
        return errno == ENOENT ? std::nullopt : find_in_text(address);
    }
    Mapping mapping;
    mapping.start = query.vma_start;
    mapping.end = query.vma_end;
    mapping.offset = query.vma_offset;
    mapping.inode = query.inode;
    mapping.readable = (query.vma_flags & kReadable) != 0;
    mapping.writable = (query.vma_flags & kWritable) != 0;
    mapping.executable = (query.vma_flags & kExecutable) != 0;
    mapping.shared = (query.vma_flags & kShared) != 0;
    if (query.vma_name_size > 1) mapping.name.assign(name.data(), query.vma_name_size - 1);
    return mapping;
}

bool can_query_mappings() {
    const UniqueDescriptor maps(::open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
    ProcmapQuery query{};
    query.size = sizeof query;
    query.query_addr = reinterpret_cast<std::uint64_t>(&query);
    return maps && ::ioctl(maps.get(), kProcmapQuery, &query) == 0;
}

std::optional<Mapping> find_mapping(int process_directory, std::uint64_t address) {
    const UniqueDescriptor maps(::openat(process_directory, "maps", O_RDONLY | O_CLOEXEC));
    if (!maps) return std::nullopt;
    return MappingQuery(maps.get()).find(address);
}

}  // namespace snapcore::linux_os
