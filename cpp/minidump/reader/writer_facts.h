// SPDX-License-Identifier: Apache-2.0
//
// What single writers say besides: tokens, and the streams of Breakpad, Crashpad and Linux.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "minidump/contents.h"
#include "minidump/reader/source.h"

namespace snapcore::minidump {

// MINIDUMP_TOKEN_INFO_HEADER and the data behind it, whose layout Microsoft does not specify.
struct Token {
    std::uint32_t id = 0;  // of the process or thread
    std::uint64_t handle = 0;
    std::vector<std::byte> bytes;
};
std::vector<Token> read_tokens(Source& source);

struct BreakpadFacts {
    std::optional<std::uint32_t> dump_thread_id, requesting_thread_id;
    struct Assertion {
        std::string expression, function, file;
        std::uint32_t line = 0, type = 0;
    };
    std::optional<Assertion> assertion;
};
std::optional<BreakpadFacts> read_breakpad(Source& source);

struct CrashpadFacts {
    using Dictionary = std::vector<std::pair<std::string, std::string>>;
    struct Annotation {
        std::string name;
        std::uint16_t type = 0;  // 1: a string
        std::string value;
    };
    struct Module {
        std::uint32_t index = 0;  // in the module list
        std::vector<std::string> list;
        Dictionary simple;
        std::vector<Annotation> annotations;
    };
    std::uint32_t version = 0;
    std::string report_id, client_id;  // as UUIDs are written
    Dictionary simple;
    std::vector<Module> modules;
};
std::optional<CrashpadFacts> read_crashpad(Source& source);

// What one module's __crash_info says (macOS, by Mozilla's writer).
struct MacCrashInfo {
    std::uint64_t version = 0;
    std::optional<std::uint64_t> thread, dialog_mode, abort_cause;
    // Path of the module, message, signature, backtrace, second message: as many as there are.
    std::vector<std::string> texts;
};
std::vector<MacCrashInfo> read_mac_crash_info(Source& source);
std::optional<std::string> read_mac_boot_arguments(Source& source);

// Pairs of a key (AT_*) and a value.
std::vector<std::pair<std::uint64_t, std::uint64_t>> read_auxiliary_vector(Source& source,
                                                                           bool is_64_bit);

// r_debug and its link map, as Breakpad lays them out, or packed to 4 bytes as minidump-writer
// does.
struct LinkMapEntry {
    std::uint64_t address = 0, dynamic = 0;
    std::string name;
};
struct DsoDebug {
    std::uint32_t version = 0;
    std::uint64_t breakpoint = 0, loader_base = 0, dynamic = 0;
    std::vector<LinkMapEntry> link_map;
};
std::optional<DsoDebug> read_dso_debug(Source& source);

}  // namespace snapcore::minidump
