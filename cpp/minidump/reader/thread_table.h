// SPDX-License-Identifier: Apache-2.0
//
// ThreadList or ThreadExList, ThreadNames, ThreadInfoList -> threads and their registers.
#pragma once

#include <memory>

#include "minidump/contents.h"
#include "minidump/reader/source.h"

namespace snapcore::minidump {

std::shared_ptr<const ThreadTable> read_threads(Source& source, const SystemInfo& system);
std::shared_ptr<const ContextTable> read_contexts(Source& source, const SystemInfo& system);

// The registers of every Exception stream, a row each, in the order of the file.
std::shared_ptr<const ContextTable> read_exception_contexts(Source& source,
                                                            const SystemInfo& system);

}  // namespace snapcore::minidump
