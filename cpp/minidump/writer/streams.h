// SPDX-License-Identifier: Apache-2.0
//
// One function a stream; each adds its bytes and its directory entry.
#pragma once

#include "minidump/contents.h"
#include "minidump/writer/memory_layout.h"
#include "minidump/writer/metadata.h"
#include "minidump/writer/xstate.h"

namespace snapcore::minidump {

// process_streams.cpp
void add_system_info(Metadata& out, const Contents& contents);
void add_misc_info(Metadata& out, const Contents& contents, const XstateLayout& xstate);
void add_module_list(Metadata& out, const Contents& contents);
void add_handle_data(Metadata& out, const Contents& contents);
void add_comment(Metadata& out, const Contents& contents);
void add_vm_counters(Metadata& out, const Contents& contents);
void add_system_memory(Metadata& out, const Contents& contents);
void add_raw_streams(Metadata& out, const Contents& contents);
void add_columns(Metadata& out, const Contents& contents);

// thread_streams.cpp
void add_thread_list(Metadata& out,
                     const Contents& contents,
                     const MemoryLayout& layout,
                     const XstateLayout& xstate);
void add_thread_names(Metadata& out, const Contents& contents);
void add_thread_info_list(Metadata& out, const Contents& contents);

// memory_streams.cpp
void add_memory_list(Metadata& out, const MemoryLayout& layout);  // MemoryList or Memory64List
void add_memory_info_list(Metadata& out, const Contents& contents, const MemoryLayout& layout);
void add_ranges(Metadata& out, const Contents& contents);
void add_base(Metadata& out, const Contents& contents);  // identity, and what the base holds

}  // namespace snapcore::minidump
