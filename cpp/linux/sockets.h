// SPDX-License-Identifier: Apache-2.0
//
// The sockets of a network namespace by their inode. Parsing is pure (bytes in, records out). No
// namespace is ever entered: of another than our own, /proc/PID/net tells.
//
// clang-format off
// call                               | purpose                                 | can block on
// newfstatat ns/net                  | which namespace                         | nothing
// socket, sendto, recvfrom sock_diag | every socket of our namespace           | locks of the kernel's hash tables; bounded by SO_RCVTIMEO
// openat, read /proc/PID/net/*       | the same of another namespace           | the same locks
// clang-format on
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/owners.h"

namespace snapcore::linux_os {

struct InternetAddress {
    std::array<std::uint8_t, 16> bytes{};  // network order; of IPv4 the first four
    std::uint16_t port = 0;
    bool operator==(const InternetAddress&) const = default;
};

struct Socket {
    std::uint64_t inode = 0;
    int family = 0;    // AF_*
    int type = 0;      // SOCK_*, 0 where it is not told
    int protocol = 0;  // IPPROTO_*, NETLINK_*, or an EtherType
    int state = 0;     // of netinet/tcp.h, for every family; 0 where there is none
    InternetAddress local, remote;
    std::string name;              // AF_UNIX: a path, or an abstract name behind '@'
    std::uint64_t peer_inode = 0;  // AF_UNIX: of the socket at the other end, 0 if not known
    std::uint32_t number = 0;      // AF_NETLINK: port id. AF_PACKET: interface
    bool operator==(const Socket&) const = default;
};

enum class Dump : std::uint8_t { kMore, kDone, kFailed };
// One datagram of a NETLINK_SOCK_DIAG dump. inet_diag does not repeat the protocol that was asked
// for, so it is given.
Dump parse_socket_diag(std::span<const std::byte> datagram,
                       int protocol,
                       std::vector<Socket>& sockets);

// /proc/net/{tcp,udp,raw,icmp} and those with a 6.
void parse_net_inet(std::string_view text, int family, int protocol, std::vector<Socket>& sockets);
void parse_net_unix(std::string_view text, std::vector<Socket>& sockets);
void parse_net_netlink(std::string_view text, std::vector<Socket>& sockets);
void parse_net_packet(std::string_view text, std::vector<Socket>& sockets);

// A socket in words; empty where there is nothing to say.
struct SocketText {
    std::string family, type, protocol, state, local, remote;
    std::string name;  // "tcp 127.0.0.1:80 -> 127.0.0.1:4711", "unix /run/x.sock"
};
// `peer` is the other end of an AF_UNIX socket, or null.
SocketText describe(const Socket& socket, const Socket* peer);
// The little that the kernel's name of the protocol ("TCPv6", "UNIX-STREAM", "ALG") tells of a
// socket that is in no table, as one that was never bound.
SocketText describe_protocol(std::string_view name);

// The sockets of one network namespace. A kind is read when a socket was not among those read
// before, once.
class SocketTable {
public:
    // Of our own namespace without a directory of /proc, else of that process's.
    explicit SocketTable(UniqueDescriptor process_directory);

    // Null where it is not there. The pointer is good until the next call of find().
    const Socket* find(std::uint64_t inode);
    // The same among those that were read already.
    const Socket* known(std::uint64_t inode) const;
    // Inode of the socket at the other end, 0 where it is not known.
    std::uint64_t peer_of(const Socket& socket);

private:
    enum Group : std::uint8_t { kUnix, kTcp, kUdp, kRaw, kOthers, kGroups };

    void read_next_group();
    void read_inet(int protocol, int family, const char* file);
    bool dump(std::span<const std::byte> request, int protocol);
    std::string text(const char* file) const;

    UniqueDescriptor directory_, netlink_;
    int next_ = kUnix;
    std::vector<Socket> sockets_;
    std::unordered_map<std::uint64_t, std::size_t> by_inode_;
    std::optional<std::unordered_map<std::string, std::uint64_t>> connections_;
};

// The tables of the namespaces that were met.
class SocketTables {
public:
    // Of the namespace that the process is in.
    SocketTable& of(int process_directory);
    SocketTable& own() { return own_; }

private:
    SocketTable own_{UniqueDescriptor()};
    std::unordered_map<std::uint64_t, std::unique_ptr<SocketTable>> others_;  // by inode of ns/net
};

}  // namespace snapcore::linux_os
