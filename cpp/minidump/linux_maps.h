// SPDX-License-Identifier: Apache-2.0
//
// The text of /proc/PID/maps and smaps: a stream of dump files (LinuxMaps), and what Linux says of
// a live process. Pure: text in, records and rows out.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tables/tables.h"

namespace snapcore::minidump {

// One line of maps.
struct MapsLine {
    std::uint64_t start = 0, end = 0, offset = 0, inode = 0, device = 0;  // device as st_dev
    bool readable = false, writable = false, executable = false, shared = false;
    std::string_view name;  // as it stands there, octal escapes and " (deleted)" included
};
// False for anything else, "Rss: 4 kB" of smaps included.
bool parse_maps_line(std::string_view line, MapsLine& out);

// Every line of maps in a text, in its order. A last line without its end is ignored: it is torn.
std::vector<MapsLine> parse_maps_lines(std::string_view text);

// One line of maps, or one entry of smaps, on its own.
struct Mapping {
    std::uint64_t start = 0, end = 0, offset = 0, inode = 0, device = 0;  // device as st_dev
    bool readable = false, writable = false, executable = false, shared = false;
    std::string name;  // as the kernel shows it, octal escapes undone, " (deleted)" kept
    // From smaps only:
    std::optional<std::uint64_t> resident;  // bytes
    std::string vm_flags;                   // "rd ex mr mw me sd"
    bool has_vm_flag(std::string_view two_letters) const;
    bool operator==(const Mapping&) const = default;
};
// Takes maps and smaps text alike.
std::vector<Mapping> parse_maps(std::string_view text);

// The text with the paths of files cut to their last component; names in brackets stay.
std::string without_folders(std::string_view maps);

// For each mapping, whether it belongs to an ELF image: it lies in a run of mappings of one file of
// which some are executable.
std::vector<bool> image_mappings(std::span<const Mapping> mappings);

// The mapping that holds an address, of mappings that ascend; null where there is none.
const Mapping* mapping_at(std::span<const Mapping> mappings, std::uint64_t address);

// What the mappings say of each region, one call a row. `details`: names, offsets, inodes and
// devices of the files.
void for_each_region(std::span<const Mapping> mappings,
                     bool details,
                     const std::function<void(const Mapping&, RegionRow&)>& row);

}  // namespace snapcore::minidump
