// SPDX-License-Identifier: Apache-2.0
//
// ModuleList and UnloadedModuleList -> modules, with ids in the form of symbol servers.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "minidump/contents.h"
#include "minidump/reader/source.h"

namespace snapcore::minidump {

std::shared_ptr<const ModuleTable> read_modules(Source& source, const SystemInfo& system);

struct UnloadedModule {
    std::uint64_t base = 0;
    std::uint32_t size = 0, checksum = 0, timestamp = 0;
    std::string path;
};
std::vector<UnloadedModule> read_unloaded_modules(Source& source);

}  // namespace snapcore::minidump
