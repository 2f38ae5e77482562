// SPDX-License-Identifier: Apache-2.0
//
// The same table of many dump files, as one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/diagnostics.h"
#include "tables/tables.h"

namespace snapcore::minidump {

// What is known of a file whose rows are in the table.
struct ScannedFile {
    std::size_t rows = 0;
    std::int64_t captured_at_ns = 0;
    std::optional<std::uint32_t> pid;
    std::optional<std::string> process_name;
    bool is_read = false;
    // Of a file that was not read the one reason.
    Diagnostics diagnostics;
};

// Reads files one after the other until there are `most_rows` or none is left; `files` tells how
// many it read and has one entry each. A file that cannot be read has no rows and is no error.
template <class Table>
std::shared_ptr<const Table> scan(std::span<const std::string> paths,
                                  std::size_t most_rows,
                                  std::vector<ScannedFile>& files);
extern template std::shared_ptr<const ThreadTable> scan(std::span<const std::string>,
                                                        std::size_t,
                                                        std::vector<ScannedFile>&);
extern template std::shared_ptr<const HandleTable> scan(std::span<const std::string>,
                                                        std::size_t,
                                                        std::vector<ScannedFile>&);
extern template std::shared_ptr<const RegionTable> scan(std::span<const std::string>,
                                                        std::size_t,
                                                        std::vector<ScannedFile>&);
extern template std::shared_ptr<const ModuleTable> scan(std::span<const std::string>,
                                                        std::size_t,
                                                        std::vector<ScannedFile>&);

}  // namespace snapcore::minidump
