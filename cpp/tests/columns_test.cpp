// SPDX-License-Identifier: Apache-2.0
#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "tables/column.h"

using namespace snapcore;

namespace {

template <class ColumnType>
ColumnType column_of(const std::vector<std::optional<typename ColumnType::Value>>& rows) {
    ColumnType out;
    for (const auto& row : rows) out.append(row);
    return out;
}

// Whatever two columns are, appending one gives what appending its rows gives.
template <class ColumnType>
void check_appended(
    const std::vector<std::vector<std::optional<typename ColumnType::Value>>>& parts) {
    for (const auto& first : parts) {
        for (const auto& second : parts) {
            for (const auto& third : parts) {
                auto whole = column_of<ColumnType>(first);
                auto expected = first;
                for (const auto* part : {&second, &third}) {
                    whole.append(column_of<ColumnType>(*part));
                    expected.insert(expected.end(), part->begin(), part->end());
                }
                REQUIRE(whole.size() == expected.size());
                for (std::size_t row = 0; row < expected.size(); ++row) {
                    CHECK(whole.at(row) == expected[row]);
                }
            }
        }
    }
}

}  // namespace

TEST_CASE("a column behind another") {
    check_appended<Column<std::uint32_t>>(
        {{}, {std::nullopt, std::nullopt}, {1, 2}, {std::nullopt, 3}, {4, std::nullopt}});
}

TEST_CASE("a column of strings behind another") {
    check_appended<StringColumn>(
        {{}, {std::nullopt, std::nullopt}, {"a", "b"}, {std::nullopt, "b"}, {"c", std::nullopt}});
    auto strings = column_of<StringColumn>({"a", "b"});
    strings.append(column_of<StringColumn>({"b", "c"}));
    CHECK(strings.categories().size() == 3);
}
