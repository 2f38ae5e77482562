// SPDX-License-Identifier: Apache-2.0
//
// Columns: the storage of every table. Plain data; the bindings hand the vectors to NumPy without a
// copy.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace snapcore {

// One byte a row, shown to NumPy as bool_.
enum class Boolean : std::uint8_t { kFalse = 0, kTrue = 1 };

// Fixed-width values. A row that is not known holds 0 and is not valid. While all rows are known
// there is no mask; while none is there are no values either, so that a column which a system or an
// object does not have costs nothing.
template <class T>
class Column {
public:
    using Value = T;

    void append(const std::optional<T>& value) {
        if (value) {
            set(size(), *value);
        } else {
            pad(size() + 1);
        }
    }
    // For many rows of which few have this value: appends it as row `row`; those between are not
    // known.
    void set(std::size_t row, T value) {
        if (size() != row) pad(row);
        if (unknown_ != 0) materialize();
        if (values_.empty()) values_.reserve(expected_);
        values_.push_back(value);
        if (masked_) valid_.push_back(1);
    }
    // `rows` more, all of which the caller sets in the span.
    std::span<T> extend(std::size_t rows) {
        if (unknown_ != 0) materialize();
        if (values_.empty()) values_.reserve(expected_);
        values_.resize(values_.size() + rows);
        if (masked_) valid_.resize(values_.size(), 1);
        return std::span<T>(values_).last(rows);
    }
    // All rows of another column.
    void append(const Column& other) {
        if (other.values_.empty()) {
            pad(size() + other.size());
            return;
        }
        if (unknown_ != 0) materialize();
        if (other.masked_) mask();
        values_.insert(values_.end(), other.values_.begin(), other.values_.end());
        if (other.masked_) {
            valid_.insert(valid_.end(), other.valid_.begin(), other.valid_.end());
        } else if (masked_) {
            valid_.resize(values_.size(), 1);
        }
    }
    // Makes it `rows` long; the new ones are not known.
    void pad(std::size_t rows) {
        if (size() >= rows) return;
        if (values_.empty()) {
            unknown_ = rows;
            return;
        }
        mask();
        values_.resize(rows);
        valid_.resize(rows);
    }
    void reserve(std::size_t rows) { expected_ = rows; }
    std::size_t size() const { return values_.size() + unknown_; }
    // No row is known: there are neither values nor a mask.
    bool is_unknown() const { return unknown_ != 0; }
    const std::vector<T>& values() const { return values_; }
    // Empty when every row is known, or none; else one byte (0 or 1) a row.
    const std::vector<std::uint8_t>& valid() const { return valid_; }
    bool is_valid(std::size_t row) const { return !is_unknown() && (!masked_ || valid_[row] != 0); }
    std::optional<T> at(std::size_t row) const {
        return is_valid(row) ? std::optional<T>(values_[row]) : std::nullopt;
    }

private:
    void mask() {
        if (masked_) return;
        masked_ = true;
        valid_.reserve(values_.capacity());
        valid_.assign(values_.size(), 1);
    }
    void materialize() {
        values_.reserve(std::max(expected_, unknown_ + 1));
        values_.resize(unknown_);
        valid_.reserve(values_.capacity());
        valid_.resize(unknown_);
        masked_ = true;
        unknown_ = 0;
    }

    std::vector<T> values_;
    std::vector<std::uint8_t> valid_;
    std::size_t unknown_ = 0;  // rows, while no value was ever set
    std::size_t expected_ = 0;
    bool masked_ = false;  // a row is not known
};

// Byte strings one behind the other, as Arrow lays out a dictionary.
class StringHeap {
public:
    std::size_t size() const { return offsets_.size() - 1; }
    std::string_view operator[](std::size_t index) const {
        const auto begin = static_cast<std::size_t>(offsets_[index]);
        return std::string_view(bytes_).substr(
            begin, static_cast<std::size_t>(offsets_[index + 1]) - begin);
    }
    void append(std::string_view value) {
        bytes_ += value;
        offsets_.push_back(static_cast<std::int64_t>(bytes_.size()));
    }
    // size() + 1 of them; the first is 0.
    const std::vector<std::int64_t>& offsets() const { return offsets_; }
    const std::string& bytes() const { return bytes_; }

private:
    std::vector<std::int64_t> offsets_{0};
    std::string bytes_;
};

// Strings as codes into a table of unique byte strings, in the order of first use. A row that is
// not known has code -1; while none is known there are no codes.
class StringColumn {
public:
    using Value = std::string;

    void append(const std::optional<std::string>& value) {
        if (value) {
            set(size(), code_of(*value));
        } else {
            pad(size() + 1);
        }
    }
    // The code of a string, new or not; for a writer who remembers codes.
    std::int32_t code_of(std::string_view value) {
        if (2 * (categories_.size() + 1) > slots_.size()) grow();
        std::size_t slot = slot_of(value);
        for (; slots_[slot] >= 0; slot = (slot + 1) & (slots_.size() - 1)) {
            if (categories_[static_cast<std::size_t>(slots_[slot])] == value) return slots_[slot];
        }
        return slots_[slot] = add(value);
    }
    // The code of a string that the caller knows to be new. code_of() may not find it afterwards.
    std::int32_t add(std::string_view value) {
        categories_.append(value);
        return static_cast<std::int32_t>(categories_.size() - 1);
    }
    void set(std::size_t row, std::int32_t code) {
        if (size() != row) pad(row);
        if (codes_.empty()) {
            codes_.reserve(std::max(expected_, unknown_ + 1));
            codes_.resize(unknown_, -1);
            unknown_ = 0;
        }
        codes_.push_back(code);
    }
    // All rows of another column.
    void append(const StringColumn& other) {
        const std::size_t begin = size();
        if (!other.codes_.empty()) {
            std::vector<std::int32_t> ours(other.categories_.size());
            for (std::size_t i = 0; i < ours.size(); ++i) ours[i] = code_of(other.categories_[i]);
            for (std::size_t row = 0; row < other.codes_.size(); ++row) {
                const std::int32_t code = other.codes_[row];
                if (code >= 0) set(begin + row, ours[static_cast<std::size_t>(code)]);
            }
        }
        pad(begin + other.size());
    }
    void pad(std::size_t rows) {
        if (size() >= rows) return;
        if (codes_.empty()) {
            unknown_ = rows;
        } else {
            codes_.resize(rows, -1);
        }
    }
    void reserve(std::size_t rows) { expected_ = rows; }
    std::size_t size() const { return codes_.size() + unknown_; }
    // No row is known: there are no codes either.
    bool is_unknown() const { return unknown_ != 0; }
    const std::vector<std::int32_t>& codes() const { return codes_; }
    const StringHeap& categories() const { return categories_; }
    bool is_valid(std::size_t row) const { return !is_unknown() && codes_[row] >= 0; }
    std::optional<std::string> at(std::size_t row) const {
        if (!is_valid(row)) return std::nullopt;
        return std::string(categories_[static_cast<std::size_t>(codes_[row])]);
    }

private:
    std::size_t slot_of(std::string_view value) const {
        return std::hash<std::string_view>()(value) & (slots_.size() - 1);
    }
    void grow() {
        // add() may have made many since.
        slots_.assign(std::bit_ceil(4 * (categories_.size() + 4)), -1);
        for (std::size_t i = 0; i < categories_.size(); ++i) {
            std::size_t slot = slot_of(categories_[i]);
            while (slots_[slot] >= 0) slot = (slot + 1) & (slots_.size() - 1);
            slots_[slot] = static_cast<std::int32_t>(i);
        }
    }

    std::vector<std::int32_t> codes_;
    std::size_t unknown_ = 0;  // rows, while no value was ever set
    std::size_t expected_ = 0;
    StringHeap categories_;
    std::vector<std::int32_t> slots_;  // open addressing: codes, -1 where free; at most half full
};

}  // namespace snapcore
