// SPDX-License-Identifier: Apache-2.0
//
// A dump that holds only what differs from an earlier one: which one that is, and finding it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/range.h"
#include "minidump/contents.h"
#include "minidump/reader/source.h"

namespace snapcore::minidump {

class DumpFile;

// What the file says; nullopt where it needs no base. The name is as it stands there, be it
// hostile.
std::optional<BaseReference> read_base_reference(Source& source);
// Of the dump itself.
std::optional<Identity> read_identity(Source& source);

// All memory that such a dump stands for; ascending, not overlapping.
std::vector<Range> base_ranges(Source& source);

// The base's file by its name, which has no folder and no other path in it. Throws
// ErrorKind::kFile.
using OpenBase = std::function<std::unique_ptr<InputFile>(const std::string& name)>;

// The base, if it is the one that is meant; else null, and a finding that says why.
std::unique_ptr<DumpFile> find_base(Source& source,
                                    const BaseReference& reference,
                                    const OpenBase& open,
                                    bool strict);

// A dump file and its base, which lies in the same folder.
std::shared_ptr<DumpFile> open_dump(const std::string& path, bool strict);

}  // namespace snapcore::minidump
