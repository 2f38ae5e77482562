// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/summary.h"

#include <string>

#include "base/error.h"
#include "base/range.h"
#include "minidump/raw.h"

namespace snapcore::minidump {
namespace {

constexpr std::uint32_t kMostStreams = 4096;

[[noreturn]] void broken(const std::string& what) {
    throw Error(ErrorKind::kFormat, ErrorDomain::kFormat, 0, "", what);
}

class File {
public:
    File(const ReadAt& read, std::uint64_t size) : read_(read), size_(size) {}

    template <class T>
    T get(std::uint64_t offset, const char* what) const {
        T out{};
        if (read_(offset, std::as_writable_bytes(std::span(&out, 1))) != sizeof out) {
            broken(std::string("the file ends before ") + what);
        }
        return out;
    }
    void must_hold(std::uint64_t offset, std::uint64_t size, const char* what) const {
        const auto end = checked_add(offset, size);
        if (!end || *end > size_) broken(std::string(what) + " reaches beyond the file");
    }

private:
    const ReadAt& read_;
    std::uint64_t size_;
};

// Count at the head of a list, whose entries must fit into the stream.
std::uint64_t counted(const File& file,
                      const raw::MINIDUMP_LOCATION_DESCRIPTOR& where,
                      std::uint64_t entry_size,
                      const char* what) {
    const auto count = file.get<std::uint32_t>(where.Rva, what);
    if (4 + count * entry_size > where.DataSize) {
        broken(std::string(what) + " has more entries than bytes");
    }
    return count;
}

void add_memory64(const File& file,
                  const raw::MINIDUMP_LOCATION_DESCRIPTOR& where,
                  DumpStats& stats) {
    const auto list = file.get<raw::MINIDUMP_MEMORY64_LIST>(where.Rva, "Memory64List");
    constexpr std::uint64_t kEntry = sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR64);
    if (list.NumberOfMemoryRanges > where.DataSize / kEntry) {
        broken("Memory64List has more entries than bytes");
    }
    std::uint64_t offset = list.BaseRva;
    for (std::uint64_t i = 0; i < list.NumberOfMemoryRanges; ++i) {
        const auto range = file.get<raw::MINIDUMP_MEMORY_DESCRIPTOR64>(
            where.Rva + sizeof list + i * kEntry, "Memory64List");
        file.must_hold(offset, range.DataSize, "memory");
        offset += range.DataSize;
        stats.memory_bytes += range.DataSize;
    }
    stats.memory_ranges += list.NumberOfMemoryRanges;
}

void add_memory(const File& file,
                const raw::MINIDUMP_LOCATION_DESCRIPTOR& where,
                DumpStats& stats) {
    constexpr std::uint64_t kEntry = sizeof(raw::MINIDUMP_MEMORY_DESCRIPTOR);
    const std::uint64_t count = counted(file, where, kEntry, "MemoryList");
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto range =
            file.get<raw::MINIDUMP_MEMORY_DESCRIPTOR>(where.Rva + 4 + i * kEntry, "MemoryList");
        file.must_hold(range.Memory.Rva, range.Memory.DataSize, "memory");
        stats.memory_bytes += range.Memory.DataSize;
    }
    stats.memory_ranges += count;
}

}  // namespace

DumpStats summarize(const ReadAt& read, std::uint64_t file_size) {
    const File file(read, file_size);
    const auto header = file.get<raw::MINIDUMP_HEADER>(0, "its header");
    if (header.Signature != raw::kSignature || (header.Version & 0xffff) != raw::kVersion) {
        broken("the file is no minidump: its signature is wrong");
    }
    if (header.NumberOfStreams == 0 || header.NumberOfStreams > kMostStreams) {
        broken("the directory of streams is empty or absurd");
    }
    DumpStats stats;
    bool has_system = false, has_threads = false;
    for (std::uint64_t i = 0; i < header.NumberOfStreams; ++i) {
        const auto entry = file.get<raw::MINIDUMP_DIRECTORY>(
            header.StreamDirectoryRva + i * sizeof(raw::MINIDUMP_DIRECTORY), "its directory");
        const raw::MINIDUMP_LOCATION_DESCRIPTOR where = entry.Location;
        if (entry.StreamType == 0) continue;  // padding
        file.must_hold(where.Rva, where.DataSize, "a stream");
        switch (entry.StreamType) {
            case raw::SystemInfoStream:
                has_system = file.get<std::uint32_t>(where.Rva, "SystemInfo") != 0xffffffff;
                break;
            case raw::ThreadListStream:
                has_threads = true;
                stats.threads = counted(file, where, sizeof(raw::MINIDUMP_THREAD), "ThreadList");
                break;
            case raw::ModuleListStream:
                stats.modules = counted(file, where, sizeof(raw::MINIDUMP_MODULE), "ModuleList");
                break;
            case raw::MemoryListStream: add_memory(file, where, stats); break;
            case raw::Memory64ListStream: add_memory64(file, where, stats); break;
            case raw::MemoryInfoListStream:
                stats.regions =
                    file.get<raw::MINIDUMP_MEMORY_INFO_LIST>(where.Rva, "MemoryInfoList")
                        .NumberOfEntries;
                break;
            case raw::HandleDataStream:
                stats.handles = file.get<raw::MINIDUMP_HANDLE_DATA_STREAM>(where.Rva, "HandleData")
                                    .NumberOfDescriptors;
                break;
            default: break;
        }
    }
    if (!has_system) broken("the file has no SystemInfo stream");
    if (!has_threads) broken("the file has no ThreadList stream");
    return stats;
}

std::optional<std::uint64_t> stream_offset(const ReadAt& read,
                                           std::uint64_t file_size,
                                           std::uint32_t type) {
    const File file(read, file_size);
    const auto header = file.get<raw::MINIDUMP_HEADER>(0, "its header");
    for (std::uint64_t i = 0; i < header.NumberOfStreams; ++i) {
        const auto entry = file.get<raw::MINIDUMP_DIRECTORY>(
            header.StreamDirectoryRva + i * sizeof(raw::MINIDUMP_DIRECTORY), "its directory");
        if (entry.StreamType == type) return entry.Location.Rva;
    }
    return std::nullopt;
}

}  // namespace snapcore::minidump
