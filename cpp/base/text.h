// SPDX-License-Identifier: Apache-2.0
//
// Text between the OS's bytes, UTF-8 and the UTF-16 of a minidump.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace snapcore {

// Undecodable bytes become U+FFFD: a minidump reader drops a string that is not valid UTF-16.
std::u16string utf8_to_utf16(std::string_view bytes);

// Lone surrogates become U+FFFD.
std::string utf16_to_utf8(std::u16string_view text);
std::string utf16_to_utf8(std::span<const std::byte> text);  // little-endian, of any alignment
void append_utf16(std::string& out, std::span<const std::byte> text);  // the same, in UTF-8

// Whether Python's strict decoder takes it.
bool is_utf8(std::string_view bytes);
// Bytes that are not UTF-8 escaped as \xNN, all else as it is.
std::string escaped_utf8(std::string_view bytes);

// A JSON string literal, quotes included; bytes that are not UTF-8 are escaped as \xNN in the text.
std::string json_quote(std::string_view bytes);

// Undoes \ooo, as Linux writes a newline, and in some names a backslash, in /proc.
std::string unescape_octal(std::string_view text);

}  // namespace snapcore
