// SPDX-License-Identifier: Apache-2.0
//
// Columns: the storage of every table. Plain data; the bindings hand the vectors to NumPy without a
// copy.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
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
    // Makes it `rows` long; the new ones are not known.
    void pad(std::size_t rows) {
        if (size() >= rows) return;
        if (values_.empty()) {
            unknown_ = rows;
            return;
        }
        if (!masked_) {
            masked_ = true;
            valid_.reserve(values_.capacity());
            valid_.assign(values_.size(), 1);
        }
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

// Strings as codes into a table of unique byte strings, in the order of first use. A row that is
// not known has code -1.
class StringColumn {
public:
    using Value = std::string;

    void append(const std::optional<std::string>& value) {
        if (!value) {
            codes_.push_back(-1);
            return;
        }
        codes_.push_back(code_of(*value));
    }
    // The code of a string, new or not; for a writer who remembers codes.
    std::int32_t code_of(const std::string& value) {
        const auto [it, added] =
            index_.try_emplace(value, static_cast<std::int32_t>(categories_.size()));
        if (added) categories_.push_back(value);
        return it->second;
    }
    // The code of a string that the caller knows to be new. code_of() does not find it afterwards.
    std::int32_t add(std::string value) {
        categories_.push_back(std::move(value));
        return static_cast<std::int32_t>(categories_.size() - 1);
    }
    void set(std::size_t row, std::int32_t code) {
        pad(row);
        codes_.push_back(code);
    }
    void pad(std::size_t rows) {
        if (codes_.size() < rows) codes_.resize(rows, -1);
    }
    void reserve(std::size_t rows) { codes_.reserve(rows); }
    std::size_t size() const { return codes_.size(); }
    const std::vector<std::int32_t>& codes() const { return codes_; }
    const std::vector<std::string>& categories() const { return categories_; }
    bool is_valid(std::size_t row) const { return codes_[row] >= 0; }
    std::optional<std::string> at(std::size_t row) const {
        if (codes_[row] < 0) return std::nullopt;
        return categories_[static_cast<std::size_t>(codes_[row])];
    }

private:
    std::vector<std::int32_t> codes_;
    std::vector<std::string> categories_;
    std::unordered_map<std::string, std::int32_t> index_;
};

}  // namespace snapcore
