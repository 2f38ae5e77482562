// SPDX-License-Identifier: Apache-2.0
#include "linux/gadgets.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "linux/arch.h"
#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

constexpr std::size_t kPiece = 256 * 1024;
constexpr std::uint64_t kMostText = 64 * 1024 * 1024;

bool holds(int memory, std::uint64_t address, std::string_view bytes) {
    std::array<char, 16> buffer;
    return address != 0 &&
           ::pread(memory, buffer.data(), bytes.size(), static_cast<off_t>(address)) ==
               static_cast<ssize_t>(bytes.size()) &&
           std::string_view(buffer.data(), bytes.size()) == bytes;
}

std::size_t find_code(const std::string& piece, std::string_view code) {
    std::size_t hit = piece.find(code);
    while (hit != std::string::npos && hit % kInstructionAlignment != 0) {
        hit = piece.find(code, hit + 1);
    }
    return hit;
}

// libc has both gadgets near its start, a static program has them itself.
int search_order(const Mapping& mapping) {
    const std::string_view name = mapping.name;
    const std::string_view base = name.substr(name.rfind('/') + 1);
    if (kVdsoComesHome && name == "[vdso]") return 0;
    if (base.starts_with("libc.so") || base.starts_with("libc-")) return 0;
    if (base.find(".so") == std::string_view::npos) return 1;
    return 2;
}

}  // namespace

Gadgets find_gadgets(int process_directory, int memory) {
    Gadgets found;
    std::vector<Mapping> candidates;
    for (Mapping& mapping : parse_maps(try_read_text(process_directory, "maps"))) {
        if (!mapping.readable || !mapping.executable || mapping.name == "[vsyscall]") continue;
        candidates.push_back(std::move(mapping));
    }
    std::stable_sort(candidates.begin(), candidates.end(), [](const auto& a, const auto& b) {
        return search_order(a) < search_order(b);
    });

    std::string piece;
    std::uint64_t read = 0;
    const auto search = [&](const Mapping& mapping, auto&& look) {
        // Pieces overlap by less than the shortest gadget would allow to be missed.
        constexpr std::size_t kOverlap = 16;
        for (std::uint64_t at = mapping.start; at < mapping.end && read < kMostText;) {
            piece.resize(std::min<std::uint64_t>(kPiece, mapping.end - at));
            const ssize_t n = ::pread(memory, piece.data(), piece.size(), static_cast<off_t>(at));
            if (n <= static_cast<ssize_t>(kOverlap)) return;
            piece.resize(static_cast<std::size_t>(n));
            read += piece.size();
            if (look(at)) return;
            at += piece.size() > kOverlap && at + piece.size() < mapping.end
                      ? piece.size() - kOverlap
                      : piece.size();
        }
    };
    for (const Mapping& mapping : candidates) {
        if (mapping.name == "[vdso]") {
            search(mapping, [&](std::uint64_t at) {
                const auto hit = find_code(piece, kPlainCall);
                if (hit != std::string::npos) found.plain_call = at + hit;
                return hit != std::string::npos;
            });
        }
        if (found.call != 0 && found.come_home != 0) continue;
        search(mapping, [&](std::uint64_t at) {
            if (found.call == 0) {
                const auto hit = find_code(piece, kCallGadget);
                if (hit != std::string::npos) found.call = at + hit;
            }
            for (const std::string_view gadget : kReturnGadgets) {
                const auto hit = find_code(piece, gadget);
                if (found.come_home == 0 && hit != std::string::npos) found.come_home = at + hit;
            }
            return found.call != 0 && found.come_home != 0;
        });
    }
    return found;
}

Gadgets still_there(const Gadgets& gadgets, int memory) {
    Gadgets there;
    if (holds(memory, gadgets.call, kCallGadget)) there.call = gadgets.call;
    if (holds(memory, gadgets.plain_call, kPlainCall)) there.plain_call = gadgets.plain_call;
    if (std::any_of(kReturnGadgets.begin(), kReturnGadgets.end(), [&](std::string_view gadget) {
            return holds(memory, gadgets.come_home, gadget);
        })) {
        there.come_home = gadgets.come_home;
    }
    return there;
}

}  // namespace snapcore::linux_os
