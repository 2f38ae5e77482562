// SPDX-License-Identifier: Apache-2.0
#include "linux/modules.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "linux/regions.h"

namespace snapcore::linux_os {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

std::string hex(std::string_view bytes, const char* digits) {
    std::string out;
    for (const char c : bytes) {
        out += digits[static_cast<unsigned char>(c) >> 4];
        out += digits[static_cast<unsigned char>(c) & 0xf];
    }
    return out;
}

// The first 16 bytes as a GUID, whose first three fields are little-endian, then the age 0: the
// form that symbol servers use for ELF.
std::string debug_id(const std::string& build_id) {
    std::array<char, 16> guid{};
    std::memcpy(guid.data(), build_id.data(), std::min(build_id.size(), guid.size()));
    std::reverse(guid.begin(), guid.begin() + 4);
    std::reverse(guid.begin() + 4, guid.begin() + 6);
    std::reverse(guid.begin() + 6, guid.begin() + 8);
    return hex({guid.data(), guid.size()}, "0123456789ABCDEF") + "0";
}

// "libfoo.so.1.2" is version 1.2.
std::optional<std::string> version_of(std::string_view path) {
    const auto at = path.rfind(".so.");
    if (at == std::string_view::npos || path.find('/', at) != std::string_view::npos)
        return std::nullopt;
    return std::string(path.substr(at + 4));
}

ModuleRow to_row(const LoadedImage& image) {
    ModuleRow row;
    row.base = image.range.address;
    row.size = image.range.size;
    row.path = image.path;
    row.version = version_of(image.path);
    const std::string& build_id = image.elf.build_id;
    if (!build_id.empty()) {
        row.debug_id = debug_id(build_id);
        row.code_id = hex(build_id, "0123456789abcdef");
    }
    return row;
}

}  // namespace

std::vector<LoadedImage> find_images(std::span<const Mapping> mappings,
                                     minidump::MemoryReader& memory) {
    const std::vector<bool> image = image_mappings(mappings);
    std::vector<LoadedImage> found;
    for (std::size_t i = 0; i < mappings.size(); ++i) {
        const Mapping& m = mappings[i];
        const bool first =
            i == 0 || mappings[i - 1].name != m.name || mappings[i - 1].inode != m.inode;
        if (!image[i] || !first) continue;
        std::uint64_t end = m.end;
        for (std::size_t k = i + 1;
             k < mappings.size() && mappings[k].name == m.name && mappings[k].inode == m.inode;
             ++k) {
            end = mappings[k].end;
        }
        auto elf = read_elf_image(m.start, {m.start, end - m.start}, memory);
        if (!elf) continue;
        end = std::max(end, m.start + elf->size);
        found.push_back({{m.start, end - m.start}, m.name, std::move(*elf)});
    }
    // One overlap makes some readers drop the whole list.
    for (std::size_t i = 0; i + 1 < found.size(); ++i) {
        Range& range = found[i].range;
        range.size = std::min(range.end(), found[i + 1].range.address) - range.address;
    }
    return found;
}

Modules read_modules(std::span<const Mapping> mappings,
                     const std::string& executable,
                     minidump::MemoryReader& memory) {
    std::vector<LoadedImage> found = find_images(mappings, memory);
    for (LoadedImage& image : found) {
        // Readers look the file up by name; that it was deleted shows in the regions.
        if (image.path.ends_with(kDeleted)) image.path.resize(image.path.size() - kDeleted.size());
        if (image.path == "[vdso]") image.path = "linux-gate.so";
    }
    std::string main_path = executable;
    if (main_path.ends_with(kDeleted)) main_path.resize(main_path.size() - kDeleted.size());
    std::stable_partition(found.begin(), found.end(), [&](const LoadedImage& image) {
        return image.path == main_path;
    });

    Modules modules;
    auto table = std::make_shared<ModuleTable>();
    for (const LoadedImage& image : found) {
        table->append(to_row(image));
        modules.build_ids.push_back(image.elf.build_id);
    }
    modules.table = std::move(table);
    return modules;
}

}  // namespace snapcore::linux_os
