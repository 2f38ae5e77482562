// SPDX-License-Identifier: Apache-2.0
#include "linux/elf_image.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <vector>

namespace snapcore::linux_os {
namespace {

constexpr std::size_t kMostSegments = 128;
constexpr std::size_t kLargestNotes = 64 * 1024;
constexpr std::size_t kLongestBuildId = 64;
// Notes as far from the start of an image as this still count as part of its headers.
constexpr std::uint64_t kLargestHeaders = 16 * 1024;

template <class T>
bool read_object(minidump::MemoryReader& memory, std::uint64_t address, T& out) {
    return memory.read(address, std::as_writable_bytes(std::span(&out, 1))) == sizeof out;
}

std::string find_build_id(const std::vector<std::byte>& notes) {
    for (std::size_t at = 0; at + sizeof(Elf64_Nhdr) <= notes.size();) {
        Elf64_Nhdr header;  // the same for 32-bit images
        std::memcpy(&header, notes.data() + at, sizeof header);
        const std::uint64_t name = at + sizeof header;
        const std::uint64_t text = name + align_up(header.n_namesz, 4);
        if (text > notes.size() || header.n_descsz > notes.size() - text) return {};
        if (header.n_type == NT_GNU_BUILD_ID && header.n_namesz == 4 &&
            std::memcmp(notes.data() + name, "GNU", 4) == 0 && header.n_descsz <= kLongestBuildId) {
            return {reinterpret_cast<const char*>(notes.data() + text), header.n_descsz};
        }
        at = text + align_up(header.n_descsz, 4);
    }
    return {};
}

template <class Header, class Segment>
std::optional<ElfImage> read_segments(std::uint64_t base,
                                      Range bounds,
                                      minidump::MemoryReader& memory) {
    Header header;
    if (!read_object(memory, base, header) || header.e_phentsize != sizeof(Segment))
        return std::nullopt;
    const std::size_t count = std::min<std::size_t>(header.e_phnum, kMostSegments);
    std::vector<Segment> segments(count);
    const auto table = checked_add(base, header.e_phoff);
    if (!table || memory.read(*table, std::as_writable_bytes(std::span(segments))) !=
                      count * sizeof(Segment)) {
        return std::nullopt;
    }
    // Addresses in the file count from the first loaded segment, which lies at `base`.
    std::uint64_t first = std::numeric_limits<std::uint64_t>::max(), last = 0;
    for (const Segment& s : segments) {
        if (s.p_type != PT_LOAD) continue;
        first = std::min<std::uint64_t>(first, align_down(s.p_vaddr, 4096));
        last = std::max(last, checked_add(s.p_vaddr, s.p_memsz).value_or(0));
    }
    if (last <= first) return std::nullopt;
    ElfImage image;
    image.size = align_up(last - first, 4096);
    std::uint64_t headers =
        std::max<std::uint64_t>(sizeof header, header.e_phoff + count * sizeof(Segment));
    for (const Segment& s : segments) {
        if (s.p_vaddr < first) continue;
        const std::uint64_t offset = s.p_vaddr - first;
        const std::uint64_t address = base + offset;
        const std::uint64_t end = checked_add(address, s.p_memsz).value_or(address);
        if (s.p_type == PT_LOAD) {
            if ((s.p_flags & PF_W) != 0) image.writable.push_back({address, end - address});
            if ((s.p_flags & PF_X) != 0) image.executable.push_back({address, end - address});
        } else if (s.p_type == PT_DYNAMIC && bounds.contains(address)) {
            image.dynamic = {address, std::min<std::uint64_t>(end, bounds.end()) - address};
        } else if (s.p_type == PT_TLS) {
            const std::uint64_t alignment = std::clamp<std::uint64_t>(s.p_align, 1, 4096);
            image.tls_size = checked_add(s.p_memsz, alignment).value_or(0);
        } else if (s.p_type == PT_NOTE && offset < kLargestHeaders) {
            headers = std::max(headers, offset + std::min<std::uint64_t>(s.p_memsz, kLargestNotes));
        }
        if (s.p_type != PT_NOTE || !image.build_id.empty() || !bounds.contains(address)) continue;
        std::vector<std::byte> notes(std::min<std::uint64_t>(s.p_memsz, kLargestNotes));
        notes.resize(memory.read(address, notes));
        image.build_id = find_build_id(notes);
    }
    image.headers = {base, std::min(align_up(headers, 4096), bounds.end() - base)};
    return image;
}

}  // namespace

std::optional<ElfImage> read_elf_image(std::uint64_t base,
                                       Range bounds,
                                       minidump::MemoryReader& memory) {
    std::array<unsigned char, EI_NIDENT> ident{};
    if (!read_object(memory, base, ident) || std::memcmp(ident.data(), ELFMAG, SELFMAG) != 0 ||
        ident[EI_DATA] != ELFDATA2LSB) {
        return std::nullopt;
    }
    switch (ident[EI_CLASS]) {
        case ELFCLASS64: return read_segments<Elf64_Ehdr, Elf64_Phdr>(base, bounds, memory);
        case ELFCLASS32: return read_segments<Elf32_Ehdr, Elf32_Phdr>(base, bounds, memory);
        default: return std::nullopt;
    }
}

}  // namespace snapcore::linux_os
