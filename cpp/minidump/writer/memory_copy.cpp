// SPDX-License-Identifier: Apache-2.0
#include "minidump/writer/memory_copy.h"

#include <algorithm>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace snapcore::minidump {
namespace {

constexpr std::size_t kPiece =
    512 * 1024;  // fits a second-level cache, so that looking for zeros is nearly free
constexpr std::uint64_t kPage = 4096;
constexpr std::size_t kLeastHole = 16 * 1024;
// Writes into space that is allocated already are a third quicker; in steps, so that a disk that
// fills up is not filled at once.
constexpr std::uint64_t kAllocation = 64 * 1024 * 1024;
constexpr int kWorkers = 2;
// What was read is given back in steps that cost little beside the reading.
constexpr std::uint64_t kGivenBack = 32 * 1024 * 1024;

bool is_zero(const std::byte* bytes, std::size_t size) {
    // Most pages differ in their first bytes; the rest compares with itself, one byte on.
    return bytes[0] == std::byte{0} && std::memcmp(bytes, bytes + 1, size - 1) == 0;
}

// Fills `out`. Pages that cannot be read are zeros, and `note` is told of each.
template <class Note>
void read_all(MemoryReader& memory, std::uint64_t address, std::span<std::byte> out, Note&& note) {
    std::size_t done = 0;
    while (done < out.size()) {
        done += memory.read(address + done, out.subspan(done));
        if (done == out.size()) break;
        // The page here cannot be read, and the next one is tried.
        const std::uint64_t page_end = align_down(address + done, kPage) + kPage;
        const std::size_t skip =
            std::min<std::uint64_t>(page_end - (address + done), out.size() - done);
        std::memset(out.data() + done, 0, skip);
        note(Range{address + done, skip});
        done += skip;
    }
}

void append_range(std::vector<Range>& ranges, Range range) {
    if (!ranges.empty() && ranges.back().end() == range.address) {
        ranges.back().size += range.size;
    } else {
        ranges.push_back(range);
    }
}

std::uint64_t size_of(const std::vector<Range>& ranges) {
    std::uint64_t size = 0;
    for (const Range& range : ranges) size += range.size;
    return size;
}

// What was read and is to be given back, in the order in which it was handed out.
class ReadSoFar {
public:
    // Returns the number of the piece.
    std::uint64_t hand_out(const Range& range) {
        pieces_.push_back({range, false});
        return first_ + pieces_.size() - 1;
    }
    // Ranges to give back, if it is time to.
    std::vector<Range> was_read(std::uint64_t number) {
        pieces_[static_cast<std::size_t>(number - first_)].read = true;
        while (!pieces_.empty() && pieces_.front().read) {
            append_range(behind_, pieces_.front().range);
            pieces_.pop_front();
            ++first_;
        }
        if (size_of(behind_) < kGivenBack) return {};
        return std::exchange(behind_, {});
    }

private:
    struct Piece {
        Range range;
        bool read;
    };
    std::deque<Piece> pieces_;
    std::uint64_t first_ = 0;
    std::vector<Range> behind_;
};

class Copier {
public:
    Copier(const MemoryLayout& layout,
           std::uint64_t base,
           MemoryReader& memory,
           OutputFile& file,
           Control& control)
        : layout_(layout), base_(base), memory_(memory), file_(file), control_(control) {}

    std::vector<Range> run() {
        std::thread second([this] { work(); });
        static_assert(kWorkers == 2, "this thread is the other worker");
        work();
        second.join();
        if (error_) std::rethrow_exception(error_);
        std::sort(unreadable_.begin(), unreadable_.end(), [](const Range& a, const Range& b) {
            return a.address < b.address;
        });
        return std::move(unreadable_);
    }

private:
    struct Piece {
        std::uint64_t address = 0, offset = 0;
        std::size_t size = 0;
        std::uint64_t number = 0;
    };

    void work() noexcept {
        try {
            std::vector<std::byte> buffer(kPiece);
            Piece piece;
            while (next(piece)) {
                control_.check();
                copy(piece, std::span(buffer).first(piece.size));
                control_.done_bytes.fetch_add(piece.size, std::memory_order_relaxed);
            }
        } catch (...) {
            const std::lock_guard lock(mutex_);
            if (!error_) error_ = std::current_exception();
            failed_ = true;
        }
    }

    bool next(Piece& piece) {
        const std::lock_guard lock(mutex_);
        if (failed_ || range_ == layout_.ranges().size()) return false;
        const PlacedRange& placed = layout_.ranges()[range_];
        // Pieces end at multiples of their size in the address space, so that no page is split
        // between workers.
        const std::uint64_t address = placed.range.address + inside_;
        const std::uint64_t boundary = align_down(address, kPiece) + kPiece;
        piece.address = address;
        piece.offset = base_ + placed.offset + inside_;
        piece.size = static_cast<std::size_t>(std::min(boundary, placed.range.end()) - address);
        if (piece.offset + piece.size > allocated_) {
            const std::uint64_t end = base_ + layout_.size();
            const std::uint64_t size =
                std::min(std::max<std::uint64_t>(kAllocation, piece.size), end - piece.offset);
            file_.allocate(piece.offset, size);
            allocated_ = piece.offset + size;
        }
        piece.number = so_far_.hand_out({piece.address, piece.size});
        inside_ += piece.size;
        if (inside_ == placed.range.size) {
            ++range_;
            inside_ = 0;
        }
        return true;
    }

    void copy(const Piece& piece, std::span<std::byte> buffer) {
        read_all(memory_, piece.address, buffer, [&](Range range) {
            const std::lock_guard lock(mutex_);
            append_range(unreadable_, range);
        });
        give_back(piece);
        write(piece, buffer);
    }

    void give_back(const Piece& piece) {
        std::vector<Range> ranges;
        {
            const std::lock_guard lock(mutex_);
            ranges = so_far_.was_read(piece.number);
        }
        for (const Range& range : ranges) memory_.finished(range);
    }

    void write(const Piece& piece, std::span<const std::byte> buffer) {
        // [begin, end) is to be written, [end, at) is zero so far; enough zeros become a hole.
        std::size_t begin = 0, end = 0;
        for (std::size_t at = 0; at < buffer.size();) {
            const std::size_t size = std::min<std::size_t>(kPage, buffer.size() - at);
            if (!is_zero(buffer.data() + at, size)) {
                if (at - end >= kLeastHole) {
                    flush(piece, buffer, begin, end);
                    file_.release(piece.offset + end, at - end);
                    begin = at;
                }
                end = at + size;
            }
            at += size;
        }
        flush(piece, buffer, begin, end);
        if (end < buffer.size()) file_.release(piece.offset + end, buffer.size() - end);
    }

    void flush(const Piece& piece,
               std::span<const std::byte> buffer,
               std::size_t begin,
               std::size_t end) {
        if (begin < end) file_.write(piece.offset + begin, buffer.subspan(begin, end - begin));
    }

    const MemoryLayout& layout_;
    const std::uint64_t base_;
    MemoryReader& memory_;
    OutputFile& file_;
    Control& control_;

    std::mutex mutex_;
    std::size_t range_ = 0;
    std::uint64_t inside_ = 0;
    std::uint64_t allocated_ = 0;  // offset in the file
    ReadSoFar so_far_;
    bool failed_ = false;
    std::exception_ptr error_;
    std::vector<Range> unreadable_;
};

// Memory in the order of the file. A thread reads ahead into a few buffers, which this thread hands
// on.
class Streamer {
public:
    Streamer(const MemoryLayout& layout,
             MemoryReader& memory,
             OutputStream& stream,
             Control& control)
        : layout_(layout), memory_(memory), stream_(stream), control_(control) {}

    std::vector<Range> run() {
        std::thread reader([this] { read_ahead(); });
        try {
            hand_on();
        } catch (...) {
            {
                const std::lock_guard lock(mutex_);
                given_up_ = true;
            }
            changed_.notify_all();
            reader.join();
            throw;
        }
        reader.join();
        if (error_) std::rethrow_exception(error_);
        std::sort(unreadable_.begin(), unreadable_.end(), [](const Range& a, const Range& b) {
            return a.address < b.address;
        });
        return std::move(unreadable_);
    }

private:
    struct Piece {
        std::vector<std::byte> bytes;
        std::size_t memory = 0;  // how much of it is not alignment
    };

    void read_ahead() noexcept {
        try {
            std::uint64_t at = 0;  // offset in the file's memory
            ReadSoFar so_far;
            for (const PlacedRange& placed : layout_.ranges()) {
                std::uint64_t done = 0;
                while (done < placed.range.size) {
                    const std::uint64_t address = placed.range.address + done;
                    const std::uint64_t boundary = align_down(address, kStreamPiece) + kStreamPiece;
                    const auto size =
                        static_cast<std::size_t>(std::min(boundary, placed.range.end()) - address);
                    const auto gap = static_cast<std::size_t>(placed.offset + done - at);
                    Piece piece;
                    if (!take_free(piece)) return;
                    piece.bytes.assign(gap, std::byte{0});
                    piece.bytes.resize(gap + size);
                    piece.memory = size;
                    read_all(
                        memory_, address, std::span(piece.bytes).subspan(gap), [&](Range range) {
                            append_range(unreadable_, range);
                        });
                    for (const Range& range : so_far.was_read(so_far.hand_out({address, size}))) {
                        memory_.finished(range);
                    }
                    done += size;
                    at += gap + size;
                    put(read_, std::move(piece));
                }
            }
        } catch (...) {
            error_ = std::current_exception();
        }
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
    }

    void hand_on() {
        for (;;) {
            Piece piece;
            {
                std::unique_lock lock(mutex_);
                changed_.wait(lock, [this] { return !read_.empty() || ended_; });
                if (read_.empty()) return;
                piece = std::move(read_.front());
                read_.pop_front();
            }
            control_.check();
            stream_.write(piece.bytes, [this] { control_.check(); });
            control_.done_bytes.fetch_add(piece.memory, std::memory_order_relaxed);
            put(free_, std::move(piece));
        }
    }

    // False where nobody hands on any more.
    bool take_free(Piece& piece) {
        std::unique_lock lock(mutex_);
        if (made_ < kPiecesAhead && free_.empty()) {
            ++made_;
            return !given_up_;
        }
        changed_.wait(lock, [this] { return !free_.empty() || given_up_; });
        if (given_up_) return false;
        piece = std::move(free_.front());
        free_.pop_front();
        return true;
    }

    void put(std::deque<Piece>& pieces, Piece piece) {
        {
            const std::lock_guard lock(mutex_);
            pieces.push_back(std::move(piece));
        }
        changed_.notify_all();
    }

    static constexpr std::size_t kStreamPiece = 1024 * 1024;
    static constexpr int kPiecesAhead = 4;

    const MemoryLayout& layout_;
    MemoryReader& memory_;
    OutputStream& stream_;
    Control& control_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Piece> free_, read_;
    int made_ = 0;
    bool given_up_ = false, ended_ = false;
    // The reader's until it has ended.
    std::exception_ptr error_;
    std::vector<Range> unreadable_;
};

}  // namespace

std::vector<Range> stream_memory(const MemoryLayout& layout,
                                 MemoryReader& memory,
                                 OutputStream& stream,
                                 Control& control) {
    return Streamer(layout, memory, stream, control).run();
}

std::vector<Range> copy_memory(const MemoryLayout& layout,
                               std::uint64_t base,
                               MemoryReader& memory,
                               OutputFile& file,
                               Control& control) {
    return Copier(layout, base, memory, file, control).run();
}

}  // namespace snapcore::minidump
