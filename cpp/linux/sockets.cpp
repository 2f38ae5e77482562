// SPDX-License-Identifier: Apache-2.0
#include "linux/sockets.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

constexpr std::size_t kDatagram = 65536;
constexpr timeval kPatience{2, 0};

struct Name {
    int number;
    std::string_view text;
};

constexpr Name kFamilies[] = {{AF_UNIX, "AF_UNIX"},
                              {AF_INET, "AF_INET"},
                              {AF_INET6, "AF_INET6"},
                              {AF_NETLINK, "AF_NETLINK"},
                              {AF_PACKET, "AF_PACKET"}};
constexpr Name kTypes[] = {{SOCK_STREAM, "SOCK_STREAM"},
                           {SOCK_DGRAM, "SOCK_DGRAM"},
                           {SOCK_RAW, "SOCK_RAW"},
                           {SOCK_SEQPACKET, "SOCK_SEQPACKET"},
                           {SOCK_PACKET, "SOCK_PACKET"}};
constexpr Name kProtocols[] = {{IPPROTO_TCP, "tcp"},
                               {IPPROTO_UDP, "udp"},
                               {IPPROTO_ICMP, "icmp"},
                               {IPPROTO_ICMPV6, "ipv6-icmp"}};
constexpr Name kNetlinkFamilies[] = {
    {0, "route"},          {2, "usersock"},    {3, "firewall"},        {4, "sock_diag"},
    {5, "nflog"},          {6, "xfrm"},        {7, "selinux"},         {8, "iscsi"},
    {9, "audit"},          {10, "fib_lookup"}, {11, "connector"},      {12, "netfilter"},
    {13, "ip6_fw"},        {14, "dnrtmsg"},    {15, "kobject_uevent"}, {16, "generic"},
    {18, "scsitransport"}, {19, "ecryptfs"},   {20, "rdma"},           {21, "crypto"}};
constexpr Name kTcpStates[] = {{TCP_ESTABLISHED, "ESTABLISHED"},
                               {TCP_SYN_SENT, "SYN_SENT"},
                               {TCP_SYN_RECV, "SYN_RECV"},
                               {TCP_FIN_WAIT1, "FIN_WAIT1"},
                               {TCP_FIN_WAIT2, "FIN_WAIT2"},
                               {TCP_TIME_WAIT, "TIME_WAIT"},
                               {TCP_CLOSE, "CLOSE"},
                               {TCP_CLOSE_WAIT, "CLOSE_WAIT"},
                               {TCP_LAST_ACK, "LAST_ACK"},
                               {TCP_LISTEN, "LISTEN"},
                               {TCP_CLOSING, "CLOSING"}};

std::string name_of(std::span<const Name> names, int number) {
    for (const Name& name : names) {
        if (name.number == number) return std::string(name.text);
    }
    return std::to_string(number);
}

// --- netlink ---

template <class T>
std::optional<T> read_as(std::span<const std::byte> bytes) {
    if (bytes.size() < sizeof(T)) return std::nullopt;
    T out;
    std::memcpy(&out, bytes.data(), sizeof out);
    return out;
}

std::span<const std::byte> skip(std::span<const std::byte> bytes, std::size_t n) {
    return bytes.subspan(std::min((n + 3) & ~std::size_t{3}, bytes.size()));
}

void parse_inet_message(std::span<const std::byte> body, int protocol, std::vector<Socket>& out) {
    const auto message = read_as<inet_diag_msg>(body);
    // What nobody holds a descriptor of (TIME_WAIT, a connection not accepted yet) has no inode.
    if (!message || message->idiag_inode == 0) return;
    Socket socket;
    socket.inode = message->idiag_inode;
    socket.family = message->idiag_family;
    socket.state = message->idiag_state;
    socket.protocol = protocol;
    const std::size_t size = socket.family == AF_INET6 ? 16 : 4;
    std::memcpy(socket.local.bytes.data(), message->id.idiag_src, size);
    std::memcpy(socket.remote.bytes.data(), message->id.idiag_dst, size);
    socket.local.port = ntohs(message->id.idiag_sport);
    socket.remote.port = ntohs(message->id.idiag_dport);
    socket.type = protocol == IPPROTO_TCP   ? SOCK_STREAM
                  : protocol == IPPROTO_UDP ? SOCK_DGRAM
                                            : SOCK_RAW;
    if (protocol == IPPROTO_RAW) {
        // There the port is the protocol.
        socket.protocol = std::exchange(socket.local.port, std::uint16_t{0});
        socket.remote.port = 0;
    }
    out.push_back(std::move(socket));
}

void parse_unix_message(std::span<const std::byte> body, std::vector<Socket>& out) {
    const auto message = read_as<unix_diag_msg>(body);
    if (!message || message->udiag_ino == 0) return;
    Socket socket;
    socket.inode = message->udiag_ino;
    socket.family = AF_UNIX;
    socket.type = message->udiag_type;
    socket.state = message->udiag_state;
    for (auto rest = skip(body, sizeof(unix_diag_msg)); !rest.empty();) {
        const auto attribute = read_as<nlattr>(rest);
        if (!attribute || attribute->nla_len < sizeof(nlattr) || attribute->nla_len > rest.size())
            break;
        const auto value = rest.subspan(sizeof(nlattr), attribute->nla_len - sizeof(nlattr));
        if (attribute->nla_type == UNIX_DIAG_NAME) {
            socket.name.assign(reinterpret_cast<const char*>(value.data()), value.size());
            // An abstract name begins with NUL and may hold more; they are shown as /proc does.
            if (!socket.name.empty() && socket.name[0] == '\0') {
                std::replace(socket.name.begin(), socket.name.end(), '\0', '@');
            } else {
                socket.name.resize(std::min(socket.name.find('\0'), socket.name.size()));
            }
        } else if (attribute->nla_type == UNIX_DIAG_PEER) {
            socket.peer_inode = read_as<std::uint32_t>(value).value_or(0);
        }
        rest = skip(rest, attribute->nla_len);
    }
    out.push_back(std::move(socket));
}

// --- /proc/net ---

std::string_view next_line(std::string_view& text) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return line;
}

// The fields of a line; what is beyond them stays in `line`, without its leading blank.
template <std::size_t N>
bool split(std::string_view& line, std::array<std::string_view, N>& fields) {
    for (std::string_view& field : fields) {
        const auto start = line.find_first_not_of(' ');
        if (start == std::string_view::npos) return false;
        line.remove_prefix(start);
        field = line.substr(0, line.find(' '));
        line.remove_prefix(field.size());
    }
    if (!line.empty()) line.remove_prefix(1);
    return true;
}

template <class T>
bool read_number(std::string_view text, T& out, int base = 10) {
    const auto result = std::from_chars(text.data(), text.data() + text.size(), out, base);
    return result.ec == std::errc{} && result.ptr == text.data() + text.size();
}

// "0100007F:0050": words of 32 bits as the processor has them.
bool read_address(std::string_view text, int family, InternetAddress& out) {
    const std::size_t words = family == AF_INET6 ? 4 : 1;
    if (text.size() != words * 8 + 5 || text[words * 8] != ':') return false;
    for (std::size_t i = 0; i < words; ++i) {
        std::uint32_t word = 0;
        if (!read_number(text.substr(i * 8, 8), word, 16)) return false;
        std::memcpy(out.bytes.data() + i * 4, &word, sizeof word);
    }
    return read_number(text.substr(words * 8 + 1), out.port, 16);
}

// --- words ---

bool is_any(const InternetAddress& address) {
    return address == InternetAddress{};
}

std::string address_text(const InternetAddress& address, int family, bool with_port) {
    char buffer[INET6_ADDRSTRLEN] = "";
    ::inet_ntop(family, address.bytes.data(), buffer, sizeof buffer);
    std::string out = family == AF_INET6 ? '[' + std::string(buffer) + ']' : buffer;
    if (with_port) out += ':' + std::to_string(address.port);
    return out;
}

std::string state_text(const Socket& socket) {
    if (socket.state == 0) return {};
    if (socket.family != AF_UNIX && socket.protocol == IPPROTO_TCP && socket.type == SOCK_STREAM)
        return name_of(kTcpStates, socket.state);
    if (socket.state == TCP_ESTABLISHED || socket.state == TCP_LISTEN)
        return name_of(kTcpStates, socket.state);
    return "UNCONNECTED";
}

// Two ends of a connection have the same key with `local` and `remote` exchanged, be one of them
// IPv4 and the other the same within IPv6.
std::string connection_key(const Socket& socket, bool exchanged) {
    static constexpr std::uint8_t kMapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    std::string key;
    const auto append = [&](const InternetAddress& address) {
        if (socket.family == AF_INET) {
            key.append(reinterpret_cast<const char*>(kMapped), sizeof kMapped);
            key.append(reinterpret_cast<const char*>(address.bytes.data()), 4);
        } else {
            key.append(reinterpret_cast<const char*>(address.bytes.data()), 16);
        }
        key.append(reinterpret_cast<const char*>(&address.port), sizeof address.port);
    };
    append(exchanged ? socket.remote : socket.local);
    append(exchanged ? socket.local : socket.remote);
    return key;
}

bool is_connected_tcp(const Socket& socket) {
    return (socket.family == AF_INET || socket.family == AF_INET6) && socket.type == SOCK_STREAM &&
           !is_any(socket.remote);
}

}  // namespace

Dump parse_socket_diag(std::span<const std::byte> datagram,
                       int protocol,
                       std::vector<Socket>& sockets) {
    while (const auto header = read_as<nlmsghdr>(datagram)) {
        if (header->nlmsg_len < sizeof(nlmsghdr) || header->nlmsg_len > datagram.size())
            return Dump::kFailed;
        if (header->nlmsg_type == NLMSG_ERROR) return Dump::kFailed;
        const auto body = datagram.subspan(sizeof(nlmsghdr), header->nlmsg_len - sizeof(nlmsghdr));
        // A kind that the kernel was built without ends at once, with an error.
        if (header->nlmsg_type == NLMSG_DONE)
            return read_as<std::int32_t>(body).value_or(0) < 0 ? Dump::kFailed : Dump::kDone;
        if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY && !body.empty()) {
            // Every answer begins with its family.
            const auto family = std::to_integer<int>(body[0]);
            if (family == AF_UNIX) {
                parse_unix_message(body, sockets);
            } else if (family == AF_INET || family == AF_INET6) {
                parse_inet_message(body, protocol, sockets);
            }
        }
        datagram = skip(datagram, header->nlmsg_len);
    }
    return Dump::kMore;
}

void parse_net_inet(std::string_view text, int family, int protocol, std::vector<Socket>& sockets) {
    next_line(text);
    while (!text.empty()) {
        std::string_view line = next_line(text);
        // sl local_address rem_address st tx:rx tr:tm->when retrnsmt uid timeout inode
        std::array<std::string_view, 10> f;
        Socket socket;
        socket.family = family;
        socket.protocol = protocol;
        if (!split(line, f) || !read_address(f[1], family, socket.local) ||
            !read_address(f[2], family, socket.remote) || !read_number(f[3], socket.state, 16) ||
            !read_number(f[9], socket.inode) || socket.inode == 0) {
            continue;
        }
        socket.type = protocol == IPPROTO_TCP   ? SOCK_STREAM
                      : protocol == IPPROTO_RAW ? SOCK_RAW
                                                : SOCK_DGRAM;
        if (protocol == IPPROTO_RAW) {
            socket.protocol = std::exchange(socket.local.port, std::uint16_t{0});
            socket.remote.port = 0;
        }
        sockets.push_back(std::move(socket));
    }
}

void parse_net_unix(std::string_view text, std::vector<Socket>& sockets) {
    constexpr std::uint32_t kListens = 0x10000;  // __SO_ACCEPTCON
    constexpr int kConnected = 3;                // SS_CONNECTED
    next_line(text);
    while (!text.empty()) {
        std::string_view line = next_line(text);
        // Num: RefCount Protocol Flags Type St Inode Path
        std::array<std::string_view, 7> f;
        std::uint32_t flags = 0;
        int state = 0;
        Socket socket;
        socket.family = AF_UNIX;
        if (!split(line, f) || !read_number(f[3], flags, 16) ||
            !read_number(f[4], socket.type, 16) || !read_number(f[5], state, 16) ||
            !read_number(f[6], socket.inode) || socket.inode == 0) {
            continue;
        }
        socket.state = (flags & kListens) != 0 ? TCP_LISTEN
                       : state == kConnected   ? TCP_ESTABLISHED
                                               : TCP_CLOSE;
        socket.name = line;
        sockets.push_back(std::move(socket));
    }
}

void parse_net_netlink(std::string_view text, std::vector<Socket>& sockets) {
    next_line(text);
    while (!text.empty()) {
        std::string_view line = next_line(text);
        // sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
        std::array<std::string_view, 10> f;
        Socket socket;
        socket.family = AF_NETLINK;
        if (!split(line, f) || !read_number(f[1], socket.protocol) ||
            !read_number(f[2], socket.number) || !read_number(f[9], socket.inode) ||
            socket.inode == 0) {
            continue;
        }
        sockets.push_back(std::move(socket));
    }
}

void parse_net_packet(std::string_view text, std::vector<Socket>& sockets) {
    next_line(text);
    while (!text.empty()) {
        std::string_view line = next_line(text);
        // sk RefCnt Type Proto Iface R Rmem User Inode
        std::array<std::string_view, 9> f;
        Socket socket;
        socket.family = AF_PACKET;
        if (!split(line, f) || !read_number(f[2], socket.type) ||
            !read_number(f[3], socket.protocol, 16) || !read_number(f[4], socket.number) ||
            !read_number(f[8], socket.inode) || socket.inode == 0) {
            continue;
        }
        sockets.push_back(std::move(socket));
    }
}

SocketText describe(const Socket& socket, const Socket* peer) {
    SocketText out;
    out.family = name_of(kFamilies, socket.family);
    if (socket.type != 0) out.type = name_of(kTypes, socket.type);
    out.state = state_text(socket);
    std::string kind;
    switch (socket.family) {
        case AF_UNIX:
            kind = "unix";
            out.local = socket.name;
            if (peer != nullptr) out.remote = peer->name;
            if (out.local.empty() && out.remote.empty()) return out;
            break;
        case AF_INET:
        case AF_INET6: {
            const bool raw = socket.type == SOCK_RAW;
            out.protocol = name_of(kProtocols, socket.protocol);
            kind = raw ? "raw " + out.protocol : out.protocol;
            out.local = address_text(socket.local, socket.family, !raw);
            if (!is_any(socket.remote))
                out.remote = address_text(socket.remote, socket.family, !raw);
            break;
        }
        case AF_NETLINK:
            out.protocol = name_of(kNetlinkFamilies, socket.protocol);
            kind = "netlink " + out.protocol;
            out.local = std::to_string(socket.number);
            break;
        case AF_PACKET: {
            char protocol[16];
            std::snprintf(protocol, sizeof protocol, "0x%04x", socket.protocol);
            out.protocol = protocol;
            kind = "packet " + out.protocol;
            if (socket.number != 0) out.local = "if" + std::to_string(socket.number);
            break;
        }
        default: return out;
    }
    out.name = kind;
    if (!out.local.empty()) out.name += ' ' + out.local;
    if (!out.remote.empty()) out.name += " -> " + out.remote;
    return out;
}

SocketText describe_protocol(std::string_view name) {
    struct Known {
        std::string_view name, family, type, protocol;
    };
    static constexpr Known kKnown[] = {
        {"TCP", "AF_INET", "SOCK_STREAM", "tcp"},
        {"TCPv6", "AF_INET6", "SOCK_STREAM", "tcp"},
        {"UDP", "AF_INET", "SOCK_DGRAM", "udp"},
        {"UDPv6", "AF_INET6", "SOCK_DGRAM", "udp"},
        {"RAW", "AF_INET", "SOCK_RAW", ""},
        {"RAWv6", "AF_INET6", "SOCK_RAW", ""},
        {"PING", "AF_INET", "SOCK_DGRAM", "icmp"},
        {"PINGv6", "AF_INET6", "SOCK_DGRAM", "ipv6-icmp"},
        {"UNIX", "AF_UNIX", "", ""},
        {"UNIX-STREAM", "AF_UNIX", "SOCK_STREAM", ""},
        {"NETLINK", "AF_NETLINK", "", ""},
        {"PACKET", "AF_PACKET", "", ""},
        {"ALG", "AF_ALG", "SOCK_SEQPACKET", ""},
        {"AF_VSOCK", "AF_VSOCK", "", ""},
    };
    SocketText out;
    for (const Known& known : kKnown) {
        if (known.name != name) continue;
        out.family = known.family;
        out.type = known.type;
        out.protocol = known.protocol;
        return out;
    }
    out.protocol = name;
    return out;
}

SocketTable::SocketTable(UniqueDescriptor process_directory)
    : directory_(std::move(process_directory)) {}

std::string SocketTable::text(const char* file) const {
    const std::string path =
        (directory_ ? std::string("net/") : std::string("/proc/thread-self/net/")) + file;
    return try_read_text(directory_.get(), path.c_str());
}

// False where the namespace is not ours, or the kernel refuses or lacks this kind; what was read
// till then is dropped.
bool SocketTable::dump(std::span<const std::byte> request, int protocol) {
    if (directory_) return false;
    if (!netlink_) {
        netlink_.reset(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
        if (!netlink_) return false;
        ::setsockopt(netlink_.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    }
    const std::size_t before = sockets_.size();
    std::vector<std::byte> message(sizeof(nlmsghdr) + request.size());
    nlmsghdr header{};
    header.nlmsg_len = static_cast<std::uint32_t>(message.size());
    header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
    header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    header.nlmsg_seq = 1;
    std::memcpy(message.data(), &header, sizeof header);
    std::memcpy(message.data() + sizeof header, request.data(), request.size());
    Dump state = Dump::kFailed;
    if (::send(netlink_.get(), message.data(), message.size(), 0) >= 0) {
        std::vector<std::byte> buffer(kDatagram);
        do {
            ssize_t n = 0;
            do {
                n = ::recv(netlink_.get(), buffer.data(), buffer.size(), 0);
            } while (n < 0 && errno == EINTR);
            state = n <= 0 ? Dump::kFailed
                           : parse_socket_diag(
                                 {buffer.data(), static_cast<std::size_t>(n)}, protocol, sockets_);
        } while (state == Dump::kMore);
    }
    if (state == Dump::kDone) return true;
    netlink_.reset();  // what it may still have to say is not for the next dump
    sockets_.resize(before);
    return false;
}

void SocketTable::read_inet(int protocol, int family, const char* file) {
    inet_diag_req_v2 request{};
    request.sdiag_family = static_cast<std::uint8_t>(family);
    request.sdiag_protocol = static_cast<std::uint8_t>(protocol);
    request.idiag_states = ~(1u << TCP_TIME_WAIT);
    if (!dump(std::as_bytes(std::span(&request, 1)), protocol))
        parse_net_inet(text(file), family, protocol, sockets_);
}

void SocketTable::read_next_group() {
    const std::size_t before = sockets_.size();
    switch (next_++) {
        case kUnix: {
            unix_diag_req request{};
            request.sdiag_family = AF_UNIX;
            request.udiag_states = ~0u;
            request.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER;
            if (!dump(std::as_bytes(std::span(&request, 1)), 0))
                parse_net_unix(text("unix"), sockets_);
            break;
        }
        case kTcp:
            read_inet(IPPROTO_TCP, AF_INET, "tcp");
            read_inet(IPPROTO_TCP, AF_INET6, "tcp6");
            break;
        case kUdp:
            read_inet(IPPROTO_UDP, AF_INET, "udp");
            read_inet(IPPROTO_UDP, AF_INET6, "udp6");
            break;
        case kRaw:
            read_inet(IPPROTO_RAW, AF_INET, "raw");
            read_inet(IPPROTO_RAW, AF_INET6, "raw6");
            break;
        default:
            // Few, and sock_diag knows no more of them.
            parse_net_inet(text("icmp"), AF_INET, IPPROTO_ICMP, sockets_);
            parse_net_inet(text("icmp6"), AF_INET6, IPPROTO_ICMPV6, sockets_);
            parse_net_netlink(text("netlink"), sockets_);
            parse_net_packet(text("packet"), sockets_);
            break;
    }
    by_inode_.reserve(sockets_.size());
    for (std::size_t i = before; i < sockets_.size(); ++i) by_inode_[sockets_[i].inode] = i;
}

const Socket* SocketTable::known(std::uint64_t inode) const {
    const auto found = by_inode_.find(inode);
    return found == by_inode_.end() ? nullptr : &sockets_[found->second];
}

const Socket* SocketTable::find(std::uint64_t inode) {
    for (;;) {
        if (const Socket* const socket = known(inode)) return socket;
        if (next_ == kGroups) return nullptr;
        read_next_group();
    }
}

std::uint64_t SocketTable::peer_of(const Socket& socket) {
    if (socket.family == AF_UNIX) return socket.peer_inode;
    if (!is_connected_tcp(socket)) return 0;
    if (!connections_) {
        connections_.emplace();
        for (const Socket& each : sockets_) {
            if (is_connected_tcp(each))
                connections_->try_emplace(connection_key(each, false), each.inode);
        }
    }
    const auto found = connections_->find(connection_key(socket, true));
    return found == connections_->end() ? 0 : found->second;
}

SocketTable& SocketTables::of(int process_directory) {
    struct stat own{}, theirs{};
    // Where it may not be asked for, ours can do no harm: an inode names one socket of the system.
    if (::fstatat(process_directory, "ns/net", &theirs, 0) < 0 ||
        ::stat("/proc/thread-self/ns/net", &own) < 0 || own.st_ino == theirs.st_ino) {
        return own_;
    }
    auto& table = others_[theirs.st_ino];
    if (!table) {
        table = std::make_unique<SocketTable>(
            UniqueDescriptor(::openat(process_directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
    }
    return *table;
}

}  // namespace snapcore::linux_os
