// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/scan.h"

#include <type_traits>

#include "minidump/reader/dump_file.h"
#include "minidump/reader/zstd_input.h"

namespace snapcore::minidump {
namespace {

const char* code_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::kFile: return "file_unreadable";
        case ErrorKind::kFormat: return "no_minidump";
        case ErrorKind::kInvalidArgument: return "table_missing";
        default: return "failed";
    }
}

template <class Table>
std::shared_ptr<const Table> table_of(DumpFile& file) {
    if constexpr (std::is_same_v<Table, ThreadTable>) return file.threads();
    if constexpr (std::is_same_v<Table, HandleTable>) return file.handles();
    if constexpr (std::is_same_v<Table, RegionTable>) return file.regions();
    if constexpr (std::is_same_v<Table, ModuleTable>) return file.modules();
}

template <class Table>
ScannedFile add(const std::string& path, Table& all) {
    ScannedFile out;
    try {
        DumpFile file(open_dump_input(path), false);
        const auto table = table_of<Table>(file);
        const ProcessInfo& process = file.process();
        out.captured_at_ns = file.captured_at_ns();
        out.pid = process.pid;
        out.process_name = process.name;
        out.diagnostics = file.diagnostics();
        all.append(*table);
        out.rows = table->rows();
        out.is_read = true;
    } catch (const Error& error) {
        out.diagnostics = {Diagnostic{.severity = Severity::kWarning,
                                      .code = code_of(error.kind()),
                                      .message = error.what(),
                                      .call = error.call(),
                                      .domain = error.domain(),
                                      .error = error.code()}};
    }
    return out;
}

}  // namespace

template <class Table>
std::shared_ptr<const Table> scan(std::span<const std::string> paths,
                                  std::size_t most_rows,
                                  std::vector<ScannedFile>& files) {
    auto all = std::make_shared<Table>();
    for (const std::string& path : paths) {
        if (all->rows() >= most_rows) break;
        files.push_back(add(path, *all));
    }
    return all;
}

template std::shared_ptr<const ThreadTable> scan(std::span<const std::string>,
                                                 std::size_t,
                                                 std::vector<ScannedFile>&);
template std::shared_ptr<const HandleTable> scan(std::span<const std::string>,
                                                 std::size_t,
                                                 std::vector<ScannedFile>&);
template std::shared_ptr<const RegionTable> scan(std::span<const std::string>,
                                                 std::size_t,
                                                 std::vector<ScannedFile>&);
template std::shared_ptr<const ModuleTable> scan(std::span<const std::string>,
                                                 std::size_t,
                                                 std::vector<ScannedFile>&);

}  // namespace snapcore::minidump
