// SPDX-License-Identifier: Apache-2.0
//
// HandleData, of both versions, and HandleOperationList.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "minidump/contents.h"
#include "minidump/raw.h"
#include "minidump/reader/source.h"

namespace snapcore::minidump {

// Throws ErrorKind::kInvalidArgument where the file has none.
std::shared_ptr<const HandleTable> read_handles(Source& source, const SystemInfo& system);

// What the second version says of a handle's object: MINIDUMP_HANDLE_OBJECT_INFORMATION_TYPE and
// bytes whose layout Microsoft does not specify.
struct HandleInformation {
    std::uint64_t handle = 0;
    std::uint32_t type = 0;
    std::vector<std::byte> bytes;
};
std::vector<HandleInformation> read_handle_information(Source& source);

std::vector<raw::AVRF_HANDLE_OPERATION> read_handle_operations(Source& source);

}  // namespace snapcore::minidump
