// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <array>
#include <cstddef>
#include <cstring>

namespace snapcore {
namespace {

constexpr char32_t kReplacement = 0xfffd;
constexpr char32_t kInvalid = 0xffffffff;

// Decodes one character at `at` and moves past it; kInvalid for a byte that starts none, which is
// skipped alone.
char32_t decode_utf8(std::string_view bytes, std::size_t& at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned char first = byte(at);
    if (first < 0x80) {
        ++at;
        return first;
    }
    const std::size_t length = first >= 0xf0 && first < 0xf5   ? 4
                               : first >= 0xe0 && first < 0xf0 ? 3
                               : first >= 0xc2 && first < 0xe0 ? 2
                                                               : 0;
    if (length == 0 || at + length > bytes.size()) {
        ++at;
        return kInvalid;
    }
    char32_t value = first & (0x7fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(at + i) & 0xc0) != 0x80) {
            ++at;
            return kInvalid;
        }
        value = value << 6 | (byte(at + i) & 0x3f);
    }
    constexpr std::array<char32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
    if (value < kLeast[length] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
        ++at;
        return kInvalid;
    }
    at += length;
    return value;
}

void append_utf8(std::string& out, char32_t c) {
    const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xc0 | c >> 6);
        put(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        put(0xe0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3f));
        put(0x80 | (c & 0x3f));
    } else {
        put(0xf0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3f));
        put(0x80 | (c >> 6 & 0x3f));
        put(0x80 | (c & 0x3f));
    }
}

void append_hex(std::string& out, char byte) {
    constexpr std::string_view kHex = "0123456789abcdef";
    out += kHex[static_cast<unsigned char>(byte) >> 4];
    out += kHex[static_cast<unsigned char>(byte) & 0xf];
}

}  // namespace

std::u16string utf8_to_utf16(std::string_view bytes) {
    std::u16string out;
    out.reserve(bytes.size());
    for (std::size_t at = 0; at < bytes.size();) {
        char32_t c = decode_utf8(bytes, at);
        if (c == kInvalid) c = kReplacement;
        if (c < 0x10000) {
            out += static_cast<char16_t>(c);
        } else {
            c -= 0x10000;
            out += static_cast<char16_t>(0xd800 | c >> 10);
            out += static_cast<char16_t>(0xdc00 | (c & 0x3ff));
        }
    }
    return out;
}

void append_utf16(std::string& out, std::span<const std::byte> text) {
    const std::size_t units = text.size() / 2;
    const auto unit = [&](std::size_t i) {
        std::uint16_t value;
        std::memcpy(&value, text.data() + 2 * i, sizeof value);
        return char32_t{value};
    };
    const std::size_t begin = out.size();
    out.resize(begin + units);
    std::size_t at = 0;
    // Most names are ASCII and nothing else.
    for (; at < units && unit(at) < 0x80; ++at) out[begin + at] = static_cast<char>(unit(at));
    out.resize(begin + at);
    for (; at < units; ++at) {
        char32_t c = unit(at);
        if (c >= 0xd800 && c < 0xe000) {
            const bool pair =
                c < 0xdc00 && at + 1 < units && unit(at + 1) >= 0xdc00 && unit(at + 1) < 0xe000;
            if (pair) {
                c = 0x10000 + ((c & 0x3ff) << 10 | (unit(at + 1) & 0x3ff));
                ++at;
            } else {
                c = kReplacement;
            }
        }
        append_utf8(out, c);
    }
}

std::string utf16_to_utf8(std::span<const std::byte> text) {
    std::string out;
    append_utf16(out, text);
    return out;
}

std::string utf16_to_utf8(std::u16string_view text) {
    return utf16_to_utf8(std::as_bytes(std::span(text)));
}

bool is_utf8(std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size();) {
        if (decode_utf8(bytes, at) == kInvalid) return false;
    }
    return true;
}

std::string escaped_utf8(std::string_view bytes) {
    std::string out;
    out.reserve(bytes.size());
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t begin = at;
        if (decode_utf8(bytes, at) == kInvalid) {
            out += "\\x";
            append_hex(out, bytes[begin]);
        } else {
            out += bytes.substr(begin, at - begin);
        }
    }
    return out;
}

std::string json_quote(std::string_view bytes) {
    std::string out = "\"";
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t begin = at;
        const char32_t c = decode_utf8(bytes, at);
        if (c == kInvalid) {
            // The backslash is part of the text, so JSON wants it doubled.
            out += "\\\\x";
            append_hex(out, bytes[begin]);
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += static_cast<char>(c);
        } else if (c < 0x20) {
            out += "\\u00";
            append_hex(out, static_cast<char>(c));
        } else {
            out += bytes.substr(begin, at - begin);
        }
    }
    out += '"';
    return out;
}

std::string unescape_octal(std::string_view text) {
    if (text.find('\\') == std::string_view::npos) return std::string(text);
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto octal = [&](std::size_t k) { return text[k] >= '0' && text[k] <= '7'; };
        if (text[i] == '\\' && i + 3 < text.size() && octal(i + 1) && octal(i + 2) &&
            octal(i + 3)) {
            out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                     (text[i + 3] - '0'));
            i += 3;
        } else {
            out += text[i];
        }
    }
    return out;
}

}  // namespace snapcore
