// SPDX-License-Identifier: Apache-2.0
//
// Columns: the storage of every table. Plain data; the bindings hand the vectors to NumPy without a
// copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace snapcore {

// One byte a row, shown to NumPy as bool_.
enum class Boolean : std::uint8_t { kFalse = 0, kTrue = 1 };

// Fixed-width values. A row that is not known holds 0 and is not valid; `valid` stays empty while
// all are.
template <class T>
class Column {
public:
    using Value = T;

    void append(const std::optional<T>& value) {
        if (!value && !masked_) {
            masked_ = true;
            valid_.assign(values_.size(), 1);
        }
        if (masked_) valid_.push_back(value.has_value() ? 1 : 0);
        values_.push_back(value.value_or(T{}));
    }
    void reserve(std::size_t rows) { values_.reserve(rows); }
    std::size_t size() const { return values_.size(); }
    const std::vector<T>& values() const { return values_; }
    // Empty when every row is known, else one byte (0 or 1) a row.
    const std::vector<std::uint8_t>& valid() const { return valid_; }
    bool is_valid(std::size_t row) const { return !masked_ || valid_[row] != 0; }
    std::optional<T> at(std::size_t row) const {
        return is_valid(row) ? std::optional<T>(values_[row]) : std::nullopt;
    }

private:
    std::vector<T> values_;
    std::vector<std::uint8_t> valid_;
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
        const auto [it, added] =
            index_.try_emplace(*value, static_cast<std::int32_t>(categories_.size()));
        if (added) categories_.push_back(*value);
        codes_.push_back(it->second);
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
