// SPDX-License-Identifier: Apache-2.0
#include "windows/pe_image.h"

#include <algorithm>
#include <cstdio>

#include "minidump/raw.h"

namespace snapcore::windows_os {
namespace {

constexpr std::uint16_t kMagic32 = 0x10b, kMagic64 = 0x20b;
constexpr std::uint32_t kResourceDirectory = 2, kDebugDirectory = 6;
constexpr std::uint32_t kDebugCodeView = 2, kSignatureRsds = 0x53445352;
constexpr std::uint16_t kVersionResource = 16;
constexpr std::uint32_t kVersionSignature = 0xfeef04bd;
constexpr std::uint32_t kMostEntries = 4096;

struct Directory {
    std::uint32_t rva = 0, size = 0;
};

// An image whose reads cannot leave it.
class Image {
public:
    Image(ProcessMemory& memory, std::uint64_t base) : memory_(memory), base_(base) {}

    void set_size(std::uint32_t size) { size_ = size; }
    template <class T>
    bool read(std::uint64_t rva, T& out) {
        return rva + sizeof out <= size_ && memory_.read_object(base_ + rva, out);
    }

private:
    ProcessMemory& memory_;
    std::uint64_t base_;
    std::uint64_t size_ = 4096;  // until the header says more
};

Directory directory(Image& image,
                    std::uint64_t optional_header,
                    std::uint16_t magic,
                    std::uint32_t index) {
    const std::uint64_t count_at = optional_header + (magic == kMagic64 ? 108 : 92);
    std::uint32_t count = 0;
    Directory out;
    if (!image.read(count_at, count) || index >= count) return {};
    if (!image.read(count_at + 4 + index * sizeof out, out)) return {};
    return out;
}

std::optional<std::string> debug_id(Image& image, Directory debug) {
    struct Entry {
        std::uint32_t characteristics, timestamp;
        std::uint16_t major, minor;
        std::uint32_t type, size, rva, file_offset;
    };
    struct CodeView {
        std::uint32_t signature, data1;
        std::uint16_t data2, data3;
        std::uint8_t data4[8];
        std::uint32_t age;
    };
    const std::uint32_t count = std::min<std::uint32_t>(debug.size / sizeof(Entry), 64);
    for (std::uint32_t i = 0; i < count; ++i) {
        Entry entry{};
        CodeView view{};
        if (!image.read(debug.rva + std::uint64_t{i} * sizeof entry, entry)) return {};
        if (entry.type != kDebugCodeView || !image.read(entry.rva, view)) continue;
        if (view.signature != kSignatureRsds) continue;
        char text[64];
        int n =
            std::snprintf(text, sizeof text, "%08X%04X%04X", view.data1, view.data2, view.data3);
        for (const std::uint8_t byte : view.data4) {
            n += std::snprintf(text + n, sizeof text - static_cast<std::size_t>(n), "%02X", byte);
        }
        std::snprintf(text + n, sizeof text - static_cast<std::size_t>(n), "%X", view.age);
        return text;
    }
    return {};
}

// Down one level of the resource tree: the entry with an id, or the first one.
std::optional<std::uint32_t> resource_entry(Image& image,
                                            std::uint64_t table,
                                            std::optional<std::uint16_t> id) {
    struct {
        std::uint32_t characteristics, timestamp;
        std::uint16_t major, minor, named, numbered;
    } header{};
    if (!image.read(table, header)) return {};
    const std::uint32_t count =
        std::min<std::uint32_t>(std::uint32_t{header.named} + header.numbered, kMostEntries);
    for (std::uint32_t i = 0; i < count; ++i) {
        struct {
            std::uint32_t name, offset;
        } entry{};
        if (!image.read(table + sizeof header + std::uint64_t{i} * sizeof entry, entry)) return {};
        if (!id || entry.name == *id) return entry.offset;
    }
    return {};
}

std::optional<std::string> version(Image& image, Directory resources) {
    constexpr std::uint32_t kIsTable = 0x80000000;
    if (resources.size == 0) return {};
    const auto type = resource_entry(image, resources.rva, kVersionResource);
    if (!type || (*type & kIsTable) == 0) return {};
    const auto name = resource_entry(image, resources.rva + (*type & ~kIsTable), std::nullopt);
    if (!name || (*name & kIsTable) == 0) return {};
    const auto language = resource_entry(image, resources.rva + (*name & ~kIsTable), std::nullopt);
    if (!language || (*language & kIsTable) != 0) return {};
    std::uint32_t rva = 0;
    if (!image.read(std::uint64_t{resources.rva} + *language, rva)) return {};
    // VS_VERSIONINFO: three words and "VS_VERSION_INFO" with its NUL, padded to 4.
    constexpr std::uint64_t kFixed = 40;
    minidump::raw::VS_FIXEDFILEINFO info{};
    if (!image.read(rva + kFixed, info) || info.dwSignature != kVersionSignature) return {};
    return std::to_string(info.dwFileVersionMS >> 16) + "." +
           std::to_string(info.dwFileVersionMS & 0xffff) + "." +
           std::to_string(info.dwFileVersionLS >> 16) + "." +
           std::to_string(info.dwFileVersionLS & 0xffff);
}

}  // namespace

std::optional<PeFacts> read_pe(ProcessMemory& memory, std::uint64_t base) {
    Image image(memory, base);
    std::uint16_t dos = 0;
    std::uint32_t header = 0, signature = 0;
    if (!image.read(0, dos) || dos != 0x5a4d || !image.read(0x3c, header) ||
        !image.read(header, signature) || signature != 0x4550) {
        return {};
    }
    constexpr std::uint64_t kFileHeader = 4, kFileHeaderSize = 20;
    const std::uint64_t optional_header = header + kFileHeader + kFileHeaderSize;
    PeFacts out;
    std::uint16_t magic = 0;
    if (!image.read(header + kFileHeader + 4, out.timestamp) ||
        !image.read(optional_header, magic) || (magic != kMagic32 && magic != kMagic64) ||
        !image.read(optional_header + 56, out.size) ||
        !image.read(optional_header + 64, out.checksum)) {
        return {};
    }
    image.set_size(out.size);
    out.debug_id = debug_id(image, directory(image, optional_header, magic, kDebugDirectory));
    out.version = version(image, directory(image, optional_header, magic, kResourceDirectory));
    return out;
}

}  // namespace snapcore::windows_os
