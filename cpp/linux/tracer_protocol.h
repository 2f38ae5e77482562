// SPDX-License-Identifier: Apache-2.0
//
// What the tracer and its client say to each other over a SOCK_SEQPACKET pair: one request, one
// answer with descriptors, what the clone may give back, then a release and its answer. The end of
// the connection means release as well.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostics.h"
#include "base/owners.h"
#include "base/range.h"
#include "linux/arch.h"
#include "linux/descriptors.h"

namespace snapcore::linux_os {

namespace need {
inline constexpr std::uint32_t kExtendedState = 1;  // FP, SSE, AVX
inline constexpr std::uint32_t kDebugRegisters = 2;
inline constexpr std::uint32_t kClone = 4;
inline constexpr std::uint32_t kParts = 8;  // stacks, and what dump_flags add; read in the stop
inline constexpr std::uint32_t kHold = 16;  // stand still until released
inline constexpr std::uint32_t kHandles = 32;
inline constexpr std::uint32_t kMaps = 64;        // text of maps, in the stop
inline constexpr std::uint32_t kOldKernel = 128;  // for tests: as if there were no close_range
}  // namespace need

enum class RequestKind : std::uint32_t { kCapture, kReap, kGiveBack };

struct TracerRequest {
    RequestKind kind = RequestKind::kCapture;
    std::uint32_t pid = 0;
    std::uint32_t needs = 0;
    // kReap: a clone whose tracer was killed, by its pid here and in the target's namespace.
    std::int32_t clone = 0;
    std::int32_t clone_in_target = 0;
    std::uint32_t padding = 0;
    std::int64_t max_pause_ns = 0;
    std::uint64_t shared_budget_bytes = 0;
    std::uint64_t dump_flags = 0;  // MiniDumpType, for kParts
    Range range;                   // kGiveBack
};

struct ThreadSample {
    std::uint32_t tid = 0;
    ThreadRegisters registers;
};

struct MemoryCopy {
    std::uint64_t address = 0;
    std::vector<std::byte> bytes;
};

// Everything that was read in the stop.
struct CaptureRecord {
    std::int64_t captured_at_ns = 0;
    std::int64_t pause_ns = 0;  // not known yet where the target is held
    std::int32_t clone = 0;
    std::int32_t clone_in_target = 0;
    std::vector<ThreadSample> threads;
    std::vector<MemoryCopy>
        memory;  // parts, or shared mappings within the budget; ascending, not overlapping
    // Shared mappings of which all that the target had mapped is in `memory`.
    std::vector<Range> copied;
    std::vector<DescriptorLink> descriptors;
    bool descriptors_complete = true;
    std::string maps;
    std::vector<std::pair<std::string, std::int64_t>> phases;
    Diagnostics diagnostics;
};

// Descriptors that travel with the answer, in this order; -1 where there is none.
struct CaptureDescriptors {
    UniqueDescriptor directory;  // /proc/CLONE, or /proc/PID without a clone
    UniqueDescriptor memory;     // mem of the same
    UniqueDescriptor pagemap;
    UniqueDescriptor maps;
};

struct ReleaseRecord {
    std::int64_t pause_ns = 0;
    bool held_to_the_end = true;  // false: max_pause let the target go before
    Diagnostics diagnostics;
};

void send_request(int socket, const TracerRequest& request);
// Where the other side is not keeping up, nothing is sent.
void offer_request(int socket, const TracerRequest& request) noexcept;
// nullopt: the other side has gone, or has sent nothing yet and `wait` is false.
std::optional<TracerRequest> receive_request(int socket, bool wait = true);

void send_capture(int socket, const CaptureRecord& record, const CaptureDescriptors& descriptors);
void send_release(int socket, const ReleaseRecord& record);
void send_error(int socket, const Error& error);

// Throw the Error that the tracer sent; nullopt: the tracer has gone without an answer.
std::optional<std::pair<CaptureRecord, CaptureDescriptors>> receive_capture(int socket);
std::optional<ReleaseRecord> receive_release(int socket);

}  // namespace snapcore::linux_os
