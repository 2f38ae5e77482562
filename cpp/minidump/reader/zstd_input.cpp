// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/zstd_input.h"

#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace snapcore::minidump {
namespace {

// The seekable format (zstd's contrib/seekable_format), and frames as RFC 8878 has them.
constexpr std::uint32_t kFrameMagic = 0xfd2fb528;
constexpr std::uint32_t kSkippableMagic = 0x184d2a50, kSkippableMask = 0xfffffff0;
constexpr std::uint32_t kTableMagic = 0x184d2a5e, kFooterMagic = 0x8f92eab1;
constexpr std::uint64_t kSkippableHeader = 8, kFooter = 9;

constexpr std::uint64_t kMostFrame = 16 << 20;
// What zstd says of data that cannot be compressed (ZSTD_COMPRESSBOUND), and something for frames
// that were put together.
constexpr std::uint64_t kMostStored = kMostFrame + (kMostFrame >> 7);
constexpr std::size_t kKeptBytes = 32 << 20;
constexpr std::size_t kKeptFrames = 64;
// Of a file without a table; at a MiB each this is a TiB.
constexpr std::size_t kMostWalked = 1 << 20;

using Bytes = std::vector<std::byte>;

[[noreturn]] void broken(const std::string& what) {
    throw Error(ErrorKind::kFormat, ErrorDomain::kFormat, 0, "", what);
}

template <class T>
T value_at(const std::byte* bytes) {
    T value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
}

bool is_skippable(std::uint32_t magic) {
    return (magic & kSkippableMask) == kSkippableMagic;
}

// Where each frame begins in the file and in what is unpacked; one entry more than frames.
struct Frames {
    std::vector<std::uint64_t> stored{0}, unpacked{0};
    bool cut_off = false;

    std::size_t count() const { return unpacked.size() - 1; }
    void add(std::uint64_t stored_size, std::uint64_t size) {
        if (size > kMostFrame || stored_size > kMostStored) {
            broken("the compressed file has a frame of " +
                   std::to_string(std::max(size, stored_size)) +
                   " bytes, which is too large to be read in place; `zstd -d` unpacks the file");
        }
        stored.push_back(stored.back() + stored_size);
        unpacked.push_back(unpacked.back() + size);
    }
};

// Small pieces of a file, ascending.
class Window {
public:
    explicit Window(InputFile& file) : file_(file), buffer_(64 * 1024) {}

    // Null where the file ends before.
    const std::byte* at(std::uint64_t offset, std::size_t size) {
        if (offset < begin_ || offset + size > begin_ + size_) {
            begin_ = offset;
            size_ = file_.read(offset, buffer_);
        }
        return size <= size_ ? buffer_.data() + (offset - begin_) : nullptr;
    }
    template <class T>
    std::optional<T> get(std::uint64_t offset) {
        const std::byte* const bytes = at(offset, sizeof(T));
        return bytes == nullptr ? std::nullopt : std::optional<T>(value_at<T>(bytes));
    }

private:
    InputFile& file_;
    Bytes buffer_;
    std::uint64_t begin_ = 0;
    std::size_t size_ = 0;
};

// nullopt: the file does not end with a table.
std::optional<Frames> read_table(InputFile& file) {
    const std::uint64_t size = file.size();
    std::byte footer[kFooter];
    if (size < kFooter + kSkippableHeader || file.read(size - kFooter, footer) != kFooter ||
        value_at<std::uint32_t>(footer + 5) != kFooterMagic) {
        return std::nullopt;
    }
    const std::uint64_t count = value_at<std::uint32_t>(footer);
    const auto descriptor = static_cast<std::uint8_t>(footer[4]);
    constexpr std::uint8_t kChecksums = 0x80, kReserved = 0x7c;
    const std::uint64_t entry = (descriptor & kChecksums) != 0 ? 12 : 8;
    const std::uint64_t table = kSkippableHeader + count * entry + kFooter;
    if ((descriptor & kReserved) != 0 || table > size) {
        broken("the table at the end of the compressed file is broken");
    }
    Window window(file);
    const std::uint64_t begin = size - table;
    const auto magic = window.get<std::uint32_t>(begin);
    const auto said = window.get<std::uint32_t>(begin + 4);
    if (magic != kTableMagic || !said || *said != table - kSkippableHeader) {
        broken("the table at the end of the compressed file is broken");
    }
    Frames frames;
    frames.stored.reserve(count + 1);
    frames.unpacked.reserve(count + 1);
    for (std::uint64_t i = 0; i < count; ++i) {
        const auto sizes = window.get<std::uint64_t>(begin + kSkippableHeader + i * entry);
        if (!sizes) broken("the compressed file became shorter while its table was read");
        frames.add(*sizes & 0xffffffff, *sizes >> 32);
    }
    if (frames.stored.back() != begin) {
        broken("the table of the compressed file says " + std::to_string(frames.stored.back()) +
               " bytes of frames, and there are " + std::to_string(begin));
    }
    return frames;
}

struct Walked {
    std::uint64_t stored = 0;
    std::optional<std::uint64_t> unpacked;
};

// The frame at an offset; nullopt where it does not end in the file.
std::optional<Walked> walk_frame(Window& window, std::uint64_t offset, std::uint64_t end) {
    const auto magic = window.get<std::uint32_t>(offset);
    if (!magic) return std::nullopt;
    if (is_skippable(*magic)) {
        const auto size = window.get<std::uint32_t>(offset + 4);
        if (!size || offset + kSkippableHeader + *size > end) return std::nullopt;
        return Walked{kSkippableHeader + *size, 0};
    }
    if (*magic != kFrameMagic) broken("the compressed file has something else between its frames");
    const auto descriptor = window.get<std::uint8_t>(offset + 4);
    if (!descriptor) return std::nullopt;
    const bool single = (*descriptor & 0x20) != 0;
    const std::uint64_t dictionary = std::uint64_t{1} << (*descriptor & 3) >> 1;
    const unsigned content = *descriptor >> 6;
    const std::uint64_t content_size =
        content == 0 ? (single ? 1 : 0) : std::uint64_t{1} << content;
    std::uint64_t at = offset + 5 + (single ? 0 : 1) + dictionary;
    Walked out;
    if (content_size != 0) {
        const std::byte* const bytes = window.at(at, content_size);
        if (bytes == nullptr) return std::nullopt;
        std::uint64_t size = 0;
        std::memcpy(&size, bytes, content_size);
        out.unpacked = content == 1 ? size + 256 : size;
    }
    at += content_size;
    for (bool last = false; !last;) {
        const std::byte* const bytes = window.at(at, 3);
        if (bytes == nullptr) return std::nullopt;
        std::uint32_t header = 0;
        std::memcpy(&header, bytes, 3);
        last = (header & 1) != 0;
        constexpr std::uint32_t kRepeated = 1, kReserved = 3;
        const std::uint32_t type = header >> 1 & 3;
        if (type == kReserved) broken("the compressed file has a broken frame");
        at += 3 + (type == kRepeated ? 1 : header >> 3);
    }
    at += (*descriptor & 4) != 0 ? 4U : 0U;
    if (at > end) return std::nullopt;
    out.stored = at - offset;
    return out;
}

Frames walk(InputFile& file) {
    const std::uint64_t end = file.size();
    Window window(file);
    Frames frames;
    while (frames.stored.back() < end) {
        const auto frame = walk_frame(window, frames.stored.back(), end);
        if (!frame) {
            frames.cut_off = true;
            break;
        }
        if (!frame->unpacked || *frame->unpacked > kMostFrame || frames.count() == kMostWalked) {
            broken(
                "the compressed file is not in frames that can be read in place, as those of "
                "dump(compression=\"zstd\") are; `zstd -d` unpacks it");
        }
        frames.add(frame->stored, *frame->unpacked);
    }
    if (frames.unpacked.back() == 0) broken("the compressed file was cut off in its first frame");
    return frames;
}

struct FreeContext {
    void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

class ZstdInput final : public InputFile {
public:
    ZstdInput(std::unique_ptr<InputFile> file, Frames frames)
        : file_(std::move(file)), frames_(std::move(frames)), stored_size_(file_->size()) {}

    std::size_t read(std::uint64_t offset, std::span<std::byte> out) override {
        std::size_t done = 0;
        while (done < out.size() && offset < size()) {
            const auto next =
                std::upper_bound(frames_.unpacked.begin(), frames_.unpacked.end(), offset);
            const auto number = static_cast<std::size_t>(next - frames_.unpacked.begin()) - 1;
            const auto inside = static_cast<std::size_t>(offset - frames_.unpacked[number]);
            const auto n = static_cast<std::size_t>(
                std::min<std::uint64_t>(*next - offset, out.size() - done));
            const std::span<std::byte> part = out.subspan(done, n);
            const std::shared_ptr<const Bytes> kept = find(number);
            if (kept) {
                std::memcpy(part.data(), kept->data() + inside, n);
            } else if (n == *next - frames_.unpacked[number]) {
                unpack(number, part);
            } else {
                auto frame = std::make_shared<Bytes>(*next - frames_.unpacked[number]);
                unpack(number, *frame);
                std::memcpy(part.data(), frame->data() + inside, n);
                keep(number, std::move(frame));
            }
            done += n;
            offset += n;
        }
        return done;
    }
    std::uint64_t size() override { return frames_.unpacked.back(); }
    bool is_packed() override { return true; }
    std::uint64_t stored_size() override { return stored_size_; }
    bool is_cut_off() override { return frames_.cut_off; }

private:
    void unpack(std::size_t number, std::span<std::byte> out) {
        const std::uint64_t begin = frames_.stored[number];
        const auto size = static_cast<std::size_t>(frames_.stored[number + 1] - begin);
        const auto stored = std::make_unique_for_overwrite<std::byte[]>(size);
        if (file_->read(begin, {stored.get(), size}) != size) {
            broken("the compressed file became shorter while it was read");
        }
        const std::unique_ptr<ZSTD_DCtx, FreeContext> context(ZSTD_createDCtx());
        if (!context) throw std::bad_alloc();
        const std::size_t n =
            ZSTD_decompressDCtx(context.get(), out.data(), out.size(), stored.get(), size);
        if (ZSTD_isError(n) != 0 || n != out.size()) {
            broken("frame " + std::to_string(number) + " of the compressed file, at byte " +
                   std::to_string(begin) + ", is broken");
        }
    }

    std::shared_ptr<const Bytes> find(std::size_t number) {
        const std::lock_guard lock(mutex_);
        const auto found = std::find_if(
            kept_.begin(), kept_.end(), [&](const auto& frame) { return frame.first == number; });
        if (found == kept_.end()) return nullptr;
        kept_.splice(kept_.begin(), kept_, found);
        return found->second;
    }

    void keep(std::size_t number, std::shared_ptr<const Bytes> frame) {
        const std::lock_guard lock(mutex_);
        kept_bytes_ += frame->size();
        kept_.emplace_front(number, std::move(frame));
        while (kept_.size() > 1 && (kept_bytes_ > kKeptBytes || kept_.size() > kKeptFrames)) {
            kept_bytes_ -= kept_.back().second->size();
            kept_.pop_back();
        }
    }

    std::unique_ptr<InputFile> file_;
    const Frames frames_;
    const std::uint64_t stored_size_;

    std::mutex mutex_;
    // The one that was used last comes first.
    std::list<std::pair<std::size_t, std::shared_ptr<const Bytes>>> kept_;
    std::size_t kept_bytes_ = 0;
};

}  // namespace

std::unique_ptr<InputFile> unpacked(std::unique_ptr<InputFile> file) {
    std::byte begin[4];
    if (file->read(0, begin) != sizeof begin) return file;
    const auto magic = value_at<std::uint32_t>(begin);
    if (magic != kFrameMagic && !is_skippable(magic)) return file;
    std::optional<Frames> frames = read_table(*file);
    if (!frames) frames = walk(*file);
    return std::make_unique<ZstdInput>(std::move(file), std::move(*frames));
}

std::unique_ptr<InputFile> open_dump_input(const std::string& path) {
    return unpacked(open_input_file(path));
}

}  // namespace snapcore::minidump
