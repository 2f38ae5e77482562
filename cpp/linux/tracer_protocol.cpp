// SPDX-License-Identifier: Apache-2.0
#include "linux/tracer_protocol.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "linux/procfs.h"
#include "linux/wire.h"

namespace snapcore::linux_os {
namespace {

enum class AnswerKind : std::uint32_t { kCapture, kRelease, kError };

struct AnswerHeader {
    AnswerKind kind;
    std::uint32_t descriptors;  // bit i: slot i is sent
};

constexpr std::size_t kSlots = 5;  // the record itself, then CaptureDescriptors

void put(WireWriter& out, const Diagnostics& diagnostics) {
    out.put<std::uint64_t>(diagnostics.size());
    for (const Diagnostic& d : diagnostics) {
        out.put(d.severity);
        out.put(d.code);
        out.put(d.message);
        out.put(d.call);
        out.put(d.domain);
        out.put(d.error);
        out.put(d.subject);
    }
}

Diagnostics get_diagnostics(WireReader& in) {
    Diagnostics out;
    for (auto n = in.get<std::uint64_t>(); n > 0; --n) {
        Diagnostic d;
        d.severity = in.get<Severity>();
        d.code = in.text();
        d.message = in.text();
        d.call = in.text();
        d.domain = in.get<ErrorDomain>();
        d.error = in.get<std::int64_t>();
        d.subject = in.get<std::uint64_t>();
        out.push_back(std::move(d));
    }
    return out;
}

std::string encode(const CaptureRecord& record) {
    WireWriter out;
    out.put(record.captured_at_ns);
    out.put(record.pause_ns);
    out.put(record.clone);
    out.put(record.clone_in_target);
    out.put<std::uint64_t>(record.threads.size());
    for (const ThreadSample& thread : record.threads) {
        out.put(thread.tid);
        out.put(thread.registers.general);
        out.put(thread.registers.extended);
        out.put(thread.registers.debug);
    }
    out.put<std::uint64_t>(record.memory.size());
    for (const MemoryCopy& copy : record.memory) {
        out.put(copy.address);
        out.put(copy.bytes);
    }
    out.put(record.copied);
    out.put<std::uint64_t>(record.descriptors.size());
    for (const DescriptorLink& link : record.descriptors) {
        out.put(link.number);
        out.put(link.link);
        out.put(link.captured_at_ns);
    }
    out.put(record.descriptors_complete);
    out.put(record.maps);
    out.put<std::uint64_t>(record.phases.size());
    for (const auto& [name, ns] : record.phases) {
        out.put(name);
        out.put(ns);
    }
    put(out, record.diagnostics);
    return out.bytes();
}

CaptureRecord decode(std::string_view bytes) {
    WireReader in(bytes);
    CaptureRecord record;
    record.captured_at_ns = in.get<std::int64_t>();
    record.pause_ns = in.get<std::int64_t>();
    record.clone = in.get<std::int32_t>();
    record.clone_in_target = in.get<std::int32_t>();
    record.threads.resize(in.get<std::uint64_t>());
    for (ThreadSample& thread : record.threads) {
        thread.tid = in.get<std::uint32_t>();
        thread.registers.general = in.get<UserRegisters>();
        thread.registers.extended = in.values<std::byte>();
        thread.registers.debug = in.get<DebugRegisters>();
    }
    record.memory.resize(in.get<std::uint64_t>());
    for (MemoryCopy& copy : record.memory) {
        copy.address = in.get<std::uint64_t>();
        copy.bytes = in.values<std::byte>();
    }
    record.copied = in.values<Range>();
    record.descriptors.resize(in.get<std::uint64_t>());
    for (DescriptorLink& link : record.descriptors) {
        link.number = in.get<int>();
        link.link = in.text();
        link.captured_at_ns = in.get<std::int64_t>();
    }
    record.descriptors_complete = in.get<bool>();
    record.maps = in.text();
    record.phases.resize(in.get<std::uint64_t>());
    for (auto& [name, ns] : record.phases) {
        name = in.text();
        ns = in.get<std::int64_t>();
    }
    record.diagnostics = get_diagnostics(in);
    return record;
}

UniqueDescriptor to_memory_file(const std::string& bytes) {
    UniqueDescriptor file(::memfd_create("snapcore", MFD_CLOEXEC));
    if (!file) throw Error::from_errno(errno, "memfd_create");
    for (std::size_t at = 0; at < bytes.size();) {
        const ssize_t n = ::write(file.get(), bytes.data() + at, bytes.size() - at);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            throw Error::from_errno(
                errno,
                "write",
                "what the tracer hands over goes through a file in memory, to which the limit of "
                "memory and that of file sizes (RLIMIT_FSIZE) apply as well");
        }
        at += static_cast<std::size_t>(n);
    }
    return file;
}

void send_message(int socket,
                  AnswerKind kind,
                  std::string_view payload,
                  const std::array<int, kSlots>& slots) {
    AnswerHeader header{kind, 0};
    std::array<int, kSlots> sent{};
    std::size_t count = 0;
    for (std::size_t i = 0; i < kSlots; ++i) {
        if (slots[i] < 0) continue;
        header.descriptors |= 1u << i;
        sent[count++] = slots[i];
    }
    iovec parts[2] = {{&header, sizeof header},
                      {const_cast<char*>(payload.data()), payload.size()}};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kSlots)> control{};
    if (count > 0) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
        cmsghdr* const head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * count);
        std::memcpy(CMSG_DATA(head), sent.data(), sizeof(int) * count);
    }
    while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) throw Error::from_errno(errno, "sendmsg");
    }
}

struct Answer {
    AnswerKind kind;
    std::string payload;
    std::array<UniqueDescriptor, kSlots> slots;
};

std::optional<Answer> receive_message(int socket) {
    AnswerHeader header{};
    std::string payload(64 * 1024, '\0');
    iovec parts[2] = {{&header, sizeof header}, {payload.data(), payload.size()}};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int) * kSlots)> control{};
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t n;
    while ((n = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC)) < 0) {
        if (errno != EINTR) return std::nullopt;  // ECONNRESET: as good as the end
    }
    if (n < static_cast<ssize_t>(sizeof header)) return std::nullopt;
    Answer answer;
    answer.kind = header.kind;
    payload.resize(static_cast<std::size_t>(n) - sizeof header);
    answer.payload = std::move(payload);
    std::array<int, kSlots> received{};
    std::size_t count = 0;
    if (const cmsghdr* const head = CMSG_FIRSTHDR(&message); head != nullptr) {
        count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        std::memcpy(received.data(), CMSG_DATA(head), sizeof(int) * count);
    }
    std::size_t next = 0;
    for (std::size_t i = 0; i < kSlots; ++i) {
        if ((header.descriptors >> i & 1) != 0 && next < count) {
            answer.slots[i].reset(received[next++]);
        }
    }
    if (answer.kind == AnswerKind::kError) {
        WireReader in(answer.payload);
        const auto kind = in.get<ErrorKind>();
        const auto domain = in.get<ErrorDomain>();
        const auto code = in.get<std::int64_t>();
        const auto pid = in.get<std::uint32_t>();
        const std::string call(in.text());
        throw Error(kind, domain, code, call, in.text(), pid);
    }
    return answer;
}

}  // namespace

void send_request(int socket, const TracerRequest& request) {
    while (::send(socket, &request, sizeof request, MSG_NOSIGNAL) < 0) {
        if (errno != EINTR) throw Error::from_errno(errno, "send");
    }
}

void offer_request(int socket, const TracerRequest& request) noexcept {
    (void)::send(socket, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::optional<TracerRequest> receive_request(int socket, bool wait) {
    TracerRequest request;
    ssize_t n;
    while ((n = ::recv(socket, &request, sizeof request, wait ? 0 : MSG_DONTWAIT)) < 0) {
        if (errno != EINTR) return std::nullopt;
    }
    if (n != sizeof request) return std::nullopt;
    return request;
}

void send_capture(int socket, const CaptureRecord& record, const CaptureDescriptors& descriptors) {
    const UniqueDescriptor file = to_memory_file(encode(record));
    send_message(socket,
                 AnswerKind::kCapture,
                 {},
                 {file.get(),
                  descriptors.directory.get(),
                  descriptors.memory.get(),
                  descriptors.pagemap.get(),
                  descriptors.maps.get()});
}

void send_release(int socket, const ReleaseRecord& record) {
    WireWriter out;
    out.put(record.pause_ns);
    out.put(record.held_to_the_end);
    put(out, record.diagnostics);
    send_message(socket, AnswerKind::kRelease, out.bytes(), {-1, -1, -1, -1, -1});
}

void send_error(int socket, const Error& error) {
    WireWriter out;
    out.put(error.kind());
    out.put(error.domain());
    out.put(error.code());
    out.put(error.pid());
    out.put(error.call());
    out.put(error.detail());
    send_message(socket, AnswerKind::kError, out.bytes(), {-1, -1, -1, -1, -1});
}

std::optional<std::pair<CaptureRecord, CaptureDescriptors>> receive_capture(int socket) {
    auto answer = receive_message(socket);
    if (!answer || answer->kind != AnswerKind::kCapture || !answer->slots[0]) return std::nullopt;
    ::lseek(answer->slots[0].get(), 0, SEEK_SET);
    CaptureRecord record = decode(read_all(answer->slots[0].get()));
    CaptureDescriptors descriptors;
    descriptors.directory = std::move(answer->slots[1]);
    descriptors.memory = std::move(answer->slots[2]);
    descriptors.pagemap = std::move(answer->slots[3]);
    descriptors.maps = std::move(answer->slots[4]);
    return std::pair{std::move(record), std::move(descriptors)};
}

std::optional<ReleaseRecord> receive_release(int socket) {
    const auto answer = receive_message(socket);
    if (!answer || answer->kind != AnswerKind::kRelease) return std::nullopt;
    WireReader in(answer->payload);
    ReleaseRecord record;
    record.pause_ns = in.get<std::int64_t>();
    record.held_to_the_end = in.get<bool>();
    record.diagnostics = get_diagnostics(in);
    return record;
}

}  // namespace snapcore::linux_os
