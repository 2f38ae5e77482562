// SPDX-License-Identifier: Apache-2.0
#include "minidump/linux_maps.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/text.h"
#include "generated/flags.h"

namespace snapcore::minidump {
namespace {

// The value of each hexadecimal digit, 16 for what is none.
constexpr auto kDigits = [] {
    std::array<std::uint8_t, 256> out{};
    out.fill(16);
    for (std::uint8_t i = 0; i < 10; ++i) out['0' + i] = i;
    for (std::uint8_t i = 0; i < 6; ++i) {
        out['a' + i] = out['A' + i] = static_cast<std::uint8_t>(10 + i);
    }
    return out;
}();

// Moves past the digits. A file may have a hundred thousand lines; std::from_chars takes twice as
// long.
std::uint64_t take_hex(const char*& at, const char* end) {
    std::uint64_t value = 0;
    for (; at != end; ++at) {
        const std::uint8_t digit = kDigits[static_cast<unsigned char>(*at)];
        if (digit > 15) break;
        value = value << 4 | digit;
    }
    return value;
}

std::uint64_t take_decimal(const char*& at, const char* end) {
    std::uint64_t value = 0;
    for (; at != end && static_cast<unsigned char>(*at) - unsigned{'0'} < 10; ++at) {
        value = value * 10 + static_cast<std::uint64_t>(*at - '0');
    }
    return value;
}

bool take(const char*& at, const char* end, char wanted) {
    if (at == end || *at != wanted) return false;
    ++at;
    return true;
}

// The kernel pads up to the name's column, mostly with some twenty.
void skip_spaces(const char*& at, const char* end) {
    constexpr std::uint64_t kEight = 0x2020202020202020;
    for (std::uint64_t word; end - at >= 8; at += 8) {
        std::memcpy(&word, at, sizeof word);
        if (word != kEight) break;
    }
    while (at != end && *at == ' ') ++at;
}

// st_dev as glibc's makedev() packs it.
std::uint64_t make_device(std::uint64_t major, std::uint64_t minor) {
    return (minor & 0xff) | (major & 0xfff) << 8 | (minor & ~0xffull) << 12 |
           (major & ~0xfffull) << 32;
}

std::string_view next_line(std::string_view& text) {
    const auto end = text.find('\n');
    const std::string_view line =
        end == std::string_view::npos ? std::string_view() : text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return line;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
    while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
    return text;
}

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

}  // namespace

bool parse_maps_line(std::string_view line, MapsLine& m) {
    const char* at = line.data();
    const char* const end = at + line.size();
    const char* const begin = at;
    m.start = take_hex(at, end);
    if (at == begin || !take(at, end, '-')) return false;
    m.end = take_hex(at, end);
    if (m.end < m.start || !take(at, end, ' ') || end - at < 5) return false;
    m.readable = at[0] == 'r';
    m.writable = at[1] == 'w';
    m.executable = at[2] == 'x';
    m.shared = at[3] == 's';
    at += 4;
    if (!take(at, end, ' ')) return false;
    m.offset = take_hex(at, end);
    if (!take(at, end, ' ')) return false;
    const std::uint64_t major = take_hex(at, end);
    if (!take(at, end, ':')) return false;
    m.device = make_device(major, take_hex(at, end));
    if (!take(at, end, ' ')) return false;
    m.inode = take_decimal(at, end);
    skip_spaces(at, end);
    m.name = {at, static_cast<std::size_t>(end - at)};
    return true;
}

std::vector<MapsLine> parse_maps_lines(std::string_view text) {
    std::vector<MapsLine> out;
    out.reserve(text.size() / 64);
    while (!text.empty()) {
        if (!parse_maps_line(next_line(text), out.emplace_back())) out.pop_back();
    }
    return out;
}

bool Mapping::has_vm_flag(std::string_view two) const {
    for (std::size_t i = 0; i + 1 < vm_flags.size(); i += 3) {
        if (std::string_view(vm_flags).substr(i, 2) == two) return true;
    }
    return false;
}

std::vector<Mapping> parse_maps(std::string_view text) {
    std::vector<Mapping> out;
    while (!text.empty()) {
        std::string_view line = next_line(text);
        if (MapsLine m; parse_maps_line(line, m)) {
            out.push_back({m.start,
                           m.end,
                           m.offset,
                           m.inode,
                           m.device,
                           m.readable,
                           m.writable,
                           m.executable,
                           m.shared,
                           unescape_octal(m.name),
                           {},
                           {}});
        } else if (line.starts_with("Rss:") && !out.empty()) {
            line = trimmed(line.substr(4));
            std::uint64_t kibibytes = 0;
            std::from_chars(line.data(), line.data() + line.size(), kibibytes);
            out.back().resident = kibibytes * 1024;
        } else if (line.starts_with("VmFlags:") && !out.empty()) {
            out.back().vm_flags = trimmed(line.substr(8));
        }
    }
    return out;
}

std::string without_folders(std::string_view maps) {
    std::string out;
    for (std::size_t at = 0; at < maps.size();) {
        const auto end = std::min(maps.find('\n', at), maps.size());
        const std::string_view line = maps.substr(at, end - at);
        // The fields in front of a name hold no slash.
        const auto path = line.find('/');
        const auto name = line.rfind('/');
        if (path == std::string_view::npos) {
            out += line;
        } else {
            out.append(line.substr(0, path)).append(line.substr(name + 1));
        }
        if (end < maps.size()) out += '\n';
        at = end + 1;
    }
    return out;
}

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

void for_each_region(std::span<const Mapping> mappings,
                     bool details,
                     const std::function<void(const Mapping&, RegionRow&)>& receive) {
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
        row.state =
            m.readable || m.writable || m.executable ? MemoryState::COMMIT : MemoryState::RESERVE;
        row.type = image[i]                   ? MemoryType::IMAGE
                   : m.shared || m.inode != 0 ? MemoryType::MAPPED
                                              : MemoryType::PRIVATE;
        if (details) {
            if (!m.name.empty()) row.mapped_file = m.name;
            row.offset = m.offset;
            row.inode = m.inode;
            row.device = m.device;
        }
        receive(m, row);
    }
}

}  // namespace snapcore::minidump
