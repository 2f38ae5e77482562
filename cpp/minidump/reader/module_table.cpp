// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/module_table.h"

#include <algorithm>
#include <array>
#include <bit>

namespace snapcore::minidump {
namespace {

// A build id, or a path behind a GUID.
constexpr std::size_t kLargestCodeView = 32 * 1024;
constexpr std::uint32_t kVersionSignature = 0xfeef04bd;

constexpr const char* kUpper = "0123456789ABCDEF";
constexpr const char* kLower = "0123456789abcdef";

void append_number(std::string& out, std::uint64_t value, int digits, const char* alphabet) {
    const int needed = (static_cast<int>(std::bit_width(value)) + 3) / 4;
    for (int shift = 4 * (std::max(digits, needed) - 1); shift >= 0; shift -= 4) {
        out += alphabet[value >> shift & 0xf];
    }
}

void append_bytes(std::string& out, std::span<const std::byte> bytes, const char* alphabet) {
    const std::size_t begin = out.size();
    out.resize(begin + 2 * bytes.size());
    char* at = out.data() + begin;
    for (const std::byte b : bytes) {
        *at++ = alphabet[static_cast<std::size_t>(b >> 4)];
        *at++ = alphabet[static_cast<std::size_t>(b & std::byte{0xf})];
    }
}

// A GUID as symbol servers write it: its first three fields as numbers, the rest as bytes. What the
// bytes lack of it is zero.
void append_guid(std::string& out, std::span<const std::byte> guid, const char* alphabet) {
    const auto raw = take<std::array<std::byte, 16>>(guid);
    const std::byte ordered[] = {raw[3], raw[2], raw[1], raw[0], raw[5], raw[4], raw[7], raw[6]};
    append_bytes(out, ordered, alphabet);
    append_bytes(out, std::span(raw).subspan(8), alphabet);
}

// The id of the debug file, empty where the record has none that is known.
void append_debug_id(std::string& out, std::span<const std::byte> record) {
    const auto signature = take<std::uint32_t>(record);
    const auto body = record.subspan(std::min<std::size_t>(4, record.size()));
    if (signature == raw::kCvSignatureElf && !body.empty()) {
        append_guid(out, body.first(std::min<std::size_t>(16, body.size())), kUpper);
        out += '0';
    } else if (signature == raw::kCvSignaturePdb70 && body.size() >= 20) {
        append_guid(out, body, kUpper);
        append_number(out, take<std::uint32_t>(body, 16), 1, kLower);
    } else if (signature == raw::kCvSignaturePdb20 && body.size() >= 12) {
        append_number(out, take<std::uint32_t>(body, 4), 8, kUpper);
        append_number(out, take<std::uint32_t>(body, 8), 1, kLower);
    }
}

}  // namespace

std::shared_ptr<const ModuleTable> read_modules(Source& source, const SystemInfo& system) {
    source.begin_texts();
    auto table = std::make_shared<ModuleTable>();
    const StreamEntry* const stream = source.directory.find(raw::ModuleListStream);
    if (stream == nullptr) return table;
    const List list = source.counted_list(*stream, sizeof(raw::MINIDUMP_MODULE), "ModuleList");
    table->reserve(list.count);
    constexpr std::uint32_t kMacOs = 0x8101, kIos = 0x8102;
    const bool is_apple = system.platform_id == kMacOs || system.platform_id == kIos;
    std::size_t row = 0;
    std::string text;
    source.each<raw::MINIDUMP_MODULE>(list, [&](const raw::MINIDUMP_MODULE& entry) {
        table->base.set(row, entry.BaseOfImage);
        table->size.set(row, entry.SizeOfImage);
        table->path.set(row, table->path.code_of(source.string_at(entry.ModuleNameRva)));
        const raw::VS_FIXEDFILEINFO& version = entry.VersionInfo;
        if (version.dwSignature == kVersionSignature) {
            text.clear();
            for (const std::uint32_t word : {version.dwFileVersionMS, version.dwFileVersionLS}) {
                if (!text.empty()) text += '.';
                text += std::to_string(word >> 16) + '.' + std::to_string(word & 0xffff);
            }
            table->version.set(row, table->version.code_of(text));
        }
        const auto record = source.pieces.view(
            entry.CvRecord.Rva, std::min<std::size_t>(entry.CvRecord.DataSize, kLargestCodeView));
        text.clear();
        append_debug_id(text, record);
        if (!text.empty()) table->debug_id.set(row, table->debug_id.code_of(text));
        text.clear();
        if (take<std::uint32_t>(record) == raw::kCvSignatureElf && record.size() > 4) {
            if (source.spend(record.size())) append_bytes(text, record.subspan(4), kLower);
        } else if (is_apple && record.size() >= 20) {
            // The UUID of a Mach-O image; its time is no part of the id.
            append_guid(text, record.subspan(4), kLower);
        } else if (entry.TimeDateStamp != 0 && !is_apple) {
            append_number(text, entry.TimeDateStamp, 8, kUpper);
            append_number(text, entry.SizeOfImage, 1, kLower);
        }
        if (entry.TimeDateStamp != 0) {
            table->timestamp.set(row, entry.TimeDateStamp);
            table->checksum.set(row, entry.CheckSum);
        }
        if (!text.empty()) table->code_id.set(row, table->code_id.code_of(text));
        ++row;
    });
    table->pad(row);
    return table;
}

std::vector<UnloadedModule> read_unloaded_modules(Source& source) {
    source.begin_texts();
    std::vector<UnloadedModule> out;
    const StreamEntry* const stream = source.directory.find(raw::UnloadedModuleListStream);
    const auto header = source.head<raw::MINIDUMP_UNLOADED_MODULE_LIST>(
        raw::UnloadedModuleListStream, sizeof(raw::MINIDUMP_UNLOADED_MODULE_LIST));
    if (!header) return out;
    const List list = source.sized_list(*stream,
                                        header->SizeOfHeader,
                                        header->SizeOfEntry,
                                        header->NumberOfEntries,
                                        sizeof(raw::MINIDUMP_UNLOADED_MODULE),
                                        "UnloadedModuleList");
    source.each<raw::MINIDUMP_UNLOADED_MODULE>(list, [&](const auto& entry) {
        out.push_back({entry.BaseOfImage,
                       entry.SizeOfImage,
                       entry.CheckSum,
                       entry.TimeDateStamp,
                       std::string(source.string_at(entry.ModuleNameRva))});
    });
    return out;
}

}  // namespace snapcore::minidump
