// SPDX-License-Identifier: Apache-2.0
#include "linux/page_compare.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "base/owners.h"
#include "linux/pagemap.h"
#include "linux/procfs.h"

namespace snapcore::linux_os {
namespace {

// Of an entry of /proc/PID/pagemap.
constexpr std::uint64_t kFrame = (1ull << 55) - 1, kExclusive = 1ull << 56, kGuard = 1ull << 58,
                        kFile = 1ull << 61, kSwapped = 1ull << 62, kPresent = 1ull << 63;

constexpr std::uint64_t kBatch = 64 * 1024 * 1024;  // 1 to 2 ms of page maps
constexpr std::size_t kMostPieces = 4096;           // of a batch
constexpr std::size_t kBlock = 256 * 1024;          // two of them fit a second-level cache
constexpr int kTries = 3;

// How often the kernel has moved pages to other frames so far, in the ways that it has; nullopt
// where that is not known.
std::optional<std::string> moves_of_pages() {
    constexpr std::string_view kCounters[] = {"pgmigrate_success ",
                                              "thp_migration_success ",
                                              "thp_collapse_alloc ",
                                              "pswpin ",
                                              "pswpout ",
                                              "zswpin ",
                                              "zswpout ",
                                              "ksm_swpin_copy "};
    const UniqueDescriptor file(::open("/proc/vmstat", O_RDONLY | O_CLOEXEC));
    const std::string text = file ? read_all(file.get()) : std::string();
    if (text.empty()) return std::nullopt;
    std::string out;
    std::string_view rest = text;
    while (!rest.empty()) {
        const std::string_view line = rest.substr(0, rest.find('\n'));
        rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        for (const std::string_view counter : kCounters) {
            if (line.starts_with(counter)) out.append(line).push_back('\n');
        }
    }
    return out;
}

// As many entries as the page map gives.
std::size_t read_page_map(int pagemap, std::uint64_t address, std::span<std::uint64_t> out) {
    const std::span<std::byte> bytes = std::as_writable_bytes(out);
    std::size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t n = ::pread(pagemap,
                                  bytes.data() + done,
                                  bytes.size() - done,
                                  static_cast<off_t>(address / kPageSize * 8 + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        done += static_cast<std::size_t>(n);
    }
    return done / sizeof out[0];
}

// Part of one range of memory that the base holds as well.
struct Piece {
    Range range;
    std::size_t whole = 0;  // which range of the snapshot's memory
};

void append(std::vector<Piece>& pieces, Range range, std::size_t whole) {
    if (!pieces.empty() && pieces.back().whole == whole &&
        pieces.back().range.end() == range.address) {
        pieces.back().range.size += range.size;
    } else {
        pieces.push_back({range, whole});
    }
}

class Comparer {
public:
    Comparer(const CompareSource& source, Control& control)
        : source_(source),
          control_(control),
          by_frames_(source.pagemap >= 0 && source.base_pagemap >= 0) {
        for (std::size_t i = 0; i < source.memory.size(); ++i) add(source.memory[i].range, i);
        finish_batch();
        add_always();
    }

    Compared run() {
        std::thread second([this] { work(); });
        work();
        second.join();
        if (error_) std::rethrow_exception(error_);
        std::sort(changed_.begin(), changed_.end(), [](const Piece& a, const Piece& b) {
            return a.range.address < b.range.address;
        });
        Compared out;
        out.held_bytes = held_bytes_;
        out.compared_bytes = compared_bytes_;
        std::size_t last = 0;
        for (const Piece& piece : changed_) {
            auto& changed = out.changed;
            if (!changed.empty() && last == piece.whole &&
                piece.range.address <= changed.back().range.end()) {
                Range& before = changed.back().range;
                before.size = std::max(before.end(), piece.range.end()) - before.address;
            } else {
                changed.push_back({piece.range, source_.memory[piece.whole].of_the_instant});
            }
            last = piece.whole;
        }
        return out;
    }

private:
    struct Batch {
        std::size_t first = 0, count = 0;  // of pieces_
    };
    // What a worker keeps from one piece to the next.
    struct Buffers {
        std::vector<std::uint64_t> before, now, after;
        std::vector<std::byte> ours, theirs;
        std::vector<Piece> changed;
        std::uint64_t compared = 0;
    };

    void add(const Range& range, std::size_t whole) {
        std::uint64_t at = range.address;
        auto base = std::upper_bound(source_.base_memory.begin(),
                                     source_.base_memory.end(),
                                     at,
                                     [](std::uint64_t a, const Range& r) { return a < r.end(); });
        for (; base != source_.base_memory.end() && base->address < range.end(); ++base) {
            const std::uint64_t begin = std::max(at, base->address);
            const std::uint64_t end = std::min(range.end(), base->end());
            if (at < begin) append(changed_, {at, begin - at}, whole);
            for (at = begin; at < end;) {
                const std::uint64_t cut = std::min(end, align_down(at, kBatch) + kBatch);
                add_piece({at, cut - at}, whole);
                at = cut;
            }
        }
        if (at < range.end()) append(changed_, {at, range.end() - at}, whole);
    }

    void add_piece(const Range& range, std::size_t whole) {
        if (in_batch_ + range.size > kBatch ||
            pieces_.size() -
                    (batches_.empty() ? 0 : batches_.back().first + batches_.back().count) >=
                kMostPieces) {
            finish_batch();
        }
        pieces_.push_back({range, whole});
        in_batch_ += range.size;
    }

    void finish_batch() {
        const std::size_t first =
            batches_.empty() ? 0 : batches_.back().first + batches_.back().count;
        if (first != pieces_.size()) batches_.push_back({first, pieces_.size() - first});
        in_batch_ = 0;
    }

    void add_always() {
        for (const Range& wanted : source_.always) {
            const auto next = std::upper_bound(
                source_.memory.begin(),
                source_.memory.end(),
                wanted.address,
                [](std::uint64_t a, const minidump::MemoryRange& m) { return a < m.range.end(); });
            if (next == source_.memory.end() || !next->range.contains(wanted.address)) continue;
            const std::uint64_t begin =
                std::max(next->range.address, align_down(wanted.address, kPageSize));
            const std::uint64_t end =
                std::min(next->range.end(), align_up(wanted.end(), kPageSize));
            changed_.push_back(
                {{begin, end - begin}, static_cast<std::size_t>(next - source_.memory.begin())});
        }
    }

    void work() noexcept {
        try {
            Buffers buffers;
            for (;;) {
                const std::size_t batch = next_.fetch_add(1);
                if (batch >= batches_.size()) break;
                compare(std::span(pieces_).subspan(batches_[batch].first, batches_[batch].count),
                        buffers);
            }
            const std::lock_guard lock(mutex_);
            changed_.insert(changed_.end(), buffers.changed.begin(), buffers.changed.end());
            compared_bytes_ += buffers.compared;
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!error_) error_ = std::current_exception();
            next_ = batches_.size();
        }
    }

    void compare(std::span<const Piece> batch, Buffers& buffers) {
        std::vector<Piece> unknown(batch.begin(), batch.end());
        if (by_frames_) {
            if (auto rest = compare_frames(batch, buffers)) unknown = std::move(*rest);
        }
        for (const Piece& piece : unknown) compare_content(piece, buffers);
    }

    // What frames do not tell to be unchanged; nullopt where the kernel moves pages all the time.
    //
    // A frame that is seen in both at different times proves nothing: the page may have left it
    // and another one come. So the earlier clone is looked at before and after, and nothing may
    // have been moved meanwhile as far as the kernel has counted.
    std::optional<std::vector<Piece>> compare_frames(std::span<const Piece> batch,
                                                     Buffers& buffers) {
        for (int attempt = 0; attempt < kTries; ++attempt) {
            const auto moves = moves_of_pages();
            if (!moves) return std::nullopt;
            std::vector<Piece> unknown;
            std::uint64_t held = 0;
            for (const Piece& piece : batch) {
                control_.check();
                held += look_at_frames(piece, buffers, unknown);
            }
            if (moves_of_pages() != moves) continue;
            held_bytes_.fetch_add(held);
            return unknown;
        }
        return std::nullopt;
    }

    // Returns bytes in frames that the earlier clone alone has.
    std::uint64_t look_at_frames(const Piece& piece,
                                 Buffers& buffers,
                                 std::vector<Piece>& unknown) const {
        const std::uint64_t begin = align_down(piece.range.address, kPageSize);
        const std::size_t pages = (align_up(piece.range.end(), kPageSize) - begin) / kPageSize;
        const auto read = [&](int pagemap, std::vector<std::uint64_t>& out) {
            out.resize(pages);
            return read_page_map(pagemap, begin, out) == pages;
        };
        if (!read(source_.base_pagemap, buffers.before) || !read(source_.pagemap, buffers.now) ||
            !read(source_.base_pagemap, buffers.after)) {
            unknown.push_back(piece);
            return 0;
        }
        std::uint64_t held = 0;
        auto anonymous =
            std::upper_bound(source_.anonymous.begin(),
                             source_.anonymous.end(),
                             begin,
                             [](std::uint64_t a, const Range& r) { return a < r.end(); });
        for (std::size_t i = 0; i < pages; ++i) {
            const std::uint64_t address = begin + i * kPageSize;
            const std::uint64_t was = buffers.before[i], is = buffers.now[i];
            if (was == buffers.after[i] && is_same_frame(was, is)) continue;
            while (anonymous != source_.anonymous.end() && anonymous->end() <= address) ++anonymous;
            if (is_untouched(was) && is_untouched(is) && is_untouched(buffers.after[i]) &&
                anonymous != source_.anonymous.end() && anonymous->address <= address) {
                continue;
            }
            if ((was & kFrame) != 0 && (was & kFile) == 0 && (was & kFrame) != (is & kFrame)) {
                held += kPageSize;
            }
            const std::uint64_t from = std::max(address, piece.range.address);
            const std::uint64_t to = std::min(address + kPageSize, piece.range.end());
            append(unknown, {from, to - from}, piece.whole);
        }
        return held;
    }

    static bool is_same_frame(std::uint64_t a, std::uint64_t b) {
        constexpr std::uint64_t kThere = kPresent | kSwapped;
        constexpr std::uint64_t kWhat = kFrame | kThere | kFile | kExclusive | kGuard;
        // What a file has may have been written since, in the same frame.
        return (a & kFrame) != 0 && (a & kThere) != 0 && (a & (kFile | kExclusive | kGuard)) == 0 &&
               (a & kWhat) == (b & kWhat);
    }

    static bool is_untouched(std::uint64_t entry) {
        return (entry & (kFrame | kPresent | kSwapped | kFile | kGuard)) == 0;
    }

    void compare_content(const Piece& piece, Buffers& buffers) {
        buffers.ours.resize(kBlock);
        buffers.theirs.resize(kBlock);
        for (std::uint64_t at = piece.range.address; at < piece.range.end();) {
            control_.check();
            const std::uint64_t end = std::min(piece.range.end(), align_down(at, kBlock) + kBlock);
            const auto size = static_cast<std::size_t>(end - at);
            const std::span<std::byte> ours = std::span(buffers.ours).first(size);
            const std::span<std::byte> theirs = std::span(buffers.theirs).first(size);
            const std::size_t have = source_.reader.read(at, ours);
            const std::size_t had = source_.base_file.read(at, theirs);
            buffers.compared += size;
            if (have == size && had == size && std::memcmp(ours.data(), theirs.data(), size) == 0) {
                at = end;
                continue;
            }
            // Up to the page that one of them lacks, which is taken for changed.
            const std::uint64_t both = at + std::min(have, had);
            for (;;) {
                const std::uint64_t page_end = std::min(end, align_down(at, kPageSize) + kPageSize);
                const auto offset = static_cast<std::size_t>(at - (end - size));
                const bool same =
                    page_end <= both &&
                    std::memcmp(ours.data() + offset, theirs.data() + offset, page_end - at) == 0;
                if (!same) append(buffers.changed, {at, page_end - at}, piece.whole);
                const bool lacking = page_end > both;
                at = page_end;
                if (at == end || lacking) break;
            }
        }
    }

    const CompareSource& source_;
    Control& control_;
    const bool by_frames_;
    std::vector<Piece> pieces_;
    std::vector<Batch> batches_;
    std::uint64_t in_batch_ = 0;
    std::atomic<std::size_t> next_{0};
    std::atomic<std::uint64_t> held_bytes_{0};
    std::mutex mutex_;
    std::exception_ptr error_;
    std::vector<Piece> changed_;
    std::uint64_t compared_bytes_ = 0;
};

}  // namespace

Compared compare_memory(const CompareSource& source, Control& control) {
    return Comparer(source, control).run();
}

bool sees_page_frames() {
    const UniqueDescriptor pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    std::uint64_t entry = 0;
    volatile char here = 1;
    const auto address = reinterpret_cast<std::uintptr_t>(&here);
    return pagemap && read_page_map(pagemap.get(), address, std::span(&entry, 1)) == 1 &&
           (entry & kPresent) != 0 && (entry & kFrame) != 0;
}

std::vector<Range> intersection(std::span<const Range> a, std::span<const Range> b) {
    std::vector<Range> out;
    for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
        const std::uint64_t begin = std::max(x->address, y->address);
        const std::uint64_t end = std::min(x->end(), y->end());
        if (begin < end) out.push_back({begin, end - begin});
        if (x->end() < y->end()) {
            ++x;
        } else {
            ++y;
        }
    }
    return out;
}

}  // namespace snapcore::linux_os
