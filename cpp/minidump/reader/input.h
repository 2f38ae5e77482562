// SPDX-License-Identifier: Apache-2.0
//
// Bytes of a dump file, bounded by what is there.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/file.h"
#include "base/range.h"

namespace snapcore::minidump {

class Input {
public:
    explicit Input(std::unique_ptr<InputFile> file)
        : file_(std::move(file)), size_(file_->size()), stored_size_(file_->stored_size()) {}

    // As it was when the file was opened; a file that shrinks later gives short reads.
    std::uint64_t size() const { return size_; }
    bool is_packed() const { return file_->is_packed(); }
    bool is_cut_off() const { return file_->is_cut_off(); }
    // How much of it tables may be. A small packed file can hold any amount of zeros, which as
    // memory cost nothing before they are read, and as rows of tables would.
    std::uint64_t credible_size() const {
        constexpr std::uint64_t kAlways = 1 << 20, kMostRatio = 100;
        if (!is_packed() || stored_size_ > size_ / kMostRatio) return size_;
        return std::min(size_, kAlways + kMostRatio * stored_size_);
    }
    // How much of [offset, offset + wanted) the file has.
    std::uint64_t available(std::uint64_t offset, std::uint64_t wanted) const {
        return offset >= size_ ? 0 : std::min(wanted, size_ - offset);
    }
    std::size_t read(std::uint64_t offset, std::span<std::byte> out) const {
        const auto n = static_cast<std::size_t>(available(offset, out.size()));
        return n == 0 ? 0 : file_->read(offset, out.first(n));
    }
    // Owned bytes, as many of `size` as there are.
    std::vector<std::byte> block(std::uint64_t offset, std::uint64_t size) const {
        std::vector<std::byte> out(static_cast<std::size_t>(available(offset, size)));
        out.resize(read(offset, out));
        return out;
    }
    template <class T>
    std::optional<T> get(std::uint64_t offset) const {
        T value{};
        if (read(offset, std::as_writable_bytes(std::span(&value, 1))) != sizeof value)
            return std::nullopt;
        return value;
    }

private:
    std::unique_ptr<InputFile> file_;
    std::uint64_t size_, stored_size_;
};

// Small pieces of a file, mostly near each other: strings, contexts, records of modules. Keeps a
// few blocks, so that a hundred thousand names are not as many system calls.
class Pieces {
public:
    explicit Pieces(const Input& input) : input_(input) {}

    // As many of `size` bytes as there are; valid until the next call.
    std::span<const std::byte> view(std::uint64_t offset, std::size_t size);
    // What follows an offset up to the end of its block, without a copy; empty at the file's end.
    std::span<const std::byte> rest_of_block(std::uint64_t offset);
    template <class T>
    std::optional<T> get(std::uint64_t offset) {
        const auto bytes = view(offset, sizeof(T));
        if (bytes.size() != sizeof(T)) return std::nullopt;
        T value;
        std::memcpy(&value, bytes.data(), sizeof value);
        return value;
    }

    static constexpr std::size_t kBlock = 32 * 1024;

private:
    static constexpr std::size_t kBlocks = 16;

    struct Block {
        std::uint64_t number = ~std::uint64_t{0};
        std::size_t size = 0;
        std::unique_ptr<std::byte[]> bytes;
    };

    const Input& input_;
    Block blocks_[kBlocks];
    std::vector<std::byte> joined_;  // a piece that lies in two blocks, or in more
};

}  // namespace snapcore::minidump
