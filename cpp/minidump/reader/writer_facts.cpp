// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/writer_facts.h"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string_view>

#include "base/text.h"

namespace snapcore::minidump {
namespace {

// Texts and lists of Crashpad may be shared: a hostile file that points everything at one place
// gets no more out of it than this.
constexpr std::size_t kMostTexts = 100'000;
constexpr std::size_t kLargestToken = 64 * 1024;

std::string uuid_text(const raw::CRASHPAD_UUID& id) {
    char out[37];
    std::snprintf(out,
                  sizeof out,
                  "%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                  unsigned{id.Data1},
                  unsigned{id.Data2},
                  unsigned{id.Data3},
                  unsigned{id.Data4[0]},
                  unsigned{id.Data4[1]},
                  unsigned{id.Data4[2]},
                  unsigned{id.Data4[3]},
                  unsigned{id.Data4[4]},
                  unsigned{id.Data4[5]},
                  unsigned{id.Data4[6]},
                  unsigned{id.Data4[7]});
    return out;
}

class CrashpadReader {
public:
    explicit CrashpadReader(Source& source) : source_(source) {}

    std::string text(raw::RVA rva) {
        if (left_ == 0) return {};
        --left_;
        return source_.utf8_at(rva);
    }
    // Entries of a list that begins with a count, at a location.
    template <class T, class Receive>
    void each(const raw::MINIDUMP_LOCATION_DESCRIPTOR& where, Receive&& receive) {
        if (where.DataSize < 4) return;
        const StreamEntry as_stream{raw::CrashpadInfo,
                                    where.Rva,
                                    where.DataSize,
                                    source_.input.available(where.Rva, where.DataSize)};
        List list = source_.counted_list(as_stream, sizeof(T), "a list of Crashpad");
        list.count = std::min(list.count, left_);
        left_ -= list.count;
        source_.each<T>(list, receive);
    }
    CrashpadFacts::Dictionary dictionary(const raw::MINIDUMP_LOCATION_DESCRIPTOR& where) {
        CrashpadFacts::Dictionary out;
        each<raw::CRASHPAD_DICTIONARY_ENTRY>(where, [&](const auto& entry) {
            std::string key = text(entry.Key);
            out.emplace_back(std::move(key), text(entry.Value));
        });
        return out;
    }
    CrashpadFacts::Module module(const raw::CRASHPAD_MODULE_LINK& link) {
        CrashpadFacts::Module out;
        out.index = link.ModuleListIndex;
        const auto info = link.Location.DataSize < sizeof(raw::CRASHPAD_MODULE_INFO)
                              ? std::nullopt
                              : source_.pieces.get<raw::CRASHPAD_MODULE_INFO>(link.Location.Rva);
        if (!info) return out;
        each<raw::RVA>(info->ListAnnotations,
                       [&](const raw::RVA& rva) { out.list.push_back(text(rva)); });
        out.simple = dictionary(info->SimpleAnnotations);
        each<raw::CRASHPAD_ANNOTATION>(info->AnnotationObjects, [&](const auto& entry) {
            std::string name = text(entry.Name);
            out.annotations.push_back({std::move(name), entry.Type, text(entry.Value)});
        });
        return out;
    }

private:
    Source& source_;
    std::size_t left_ = kMostTexts;
};

}  // namespace

std::vector<Token> read_tokens(Source& source) {
    std::vector<Token> out;
    const StreamEntry* const stream = source.directory.find(raw::TokenStream);
    const auto header = source.head<raw::MINIDUMP_TOKEN_INFO_LIST>(
        raw::TokenStream, sizeof(raw::MINIDUMP_TOKEN_INFO_LIST));
    if (!header) return out;
    std::uint64_t at = header->ListHeaderSize;
    const std::size_t least = sizeof(raw::MINIDUMP_TOKEN_INFO_HEADER);
    for (std::uint32_t i = 0; i < header->TokenListEntries; ++i) {
        const auto element =
            at + least > stream->present
                ? std::nullopt
                : source.pieces.get<raw::MINIDUMP_TOKEN_INFO_HEADER>(stream->offset + at);
        const std::uint64_t head = std::max<std::uint64_t>(header->ElementHeaderSize, least);
        if (!element || element->TokenInfoSize < head || element->TokenInfoSize > kLargestToken ||
            element->TokenInfoSize > stream->present - at) {
            source.findings.add("list_truncated",
                                "Token says " + std::to_string(header->TokenListEntries) +
                                    " entries, of which " + std::to_string(i) + " are whole",
                                raw::TokenStream);
            break;
        }
        const auto bytes = source.pieces.view(
            stream->offset + at + head, static_cast<std::size_t>(element->TokenInfoSize - head));
        out.push_back({element->TokenInfoId, element->TokenHandle, {bytes.begin(), bytes.end()}});
        at += element->TokenInfoSize;
    }
    return out;
}

std::optional<BreakpadFacts> read_breakpad(Source& source) {
    BreakpadFacts out;
    const auto info =
        source.head<raw::BREAKPAD_INFO>(raw::BreakpadInfo, sizeof(raw::BREAKPAD_INFO));
    const auto assertion = source.head<raw::BREAKPAD_ASSERTION_INFO>(
        raw::BreakpadAssertionInfo, sizeof(raw::BREAKPAD_ASSERTION_INFO));
    if (!info && !assertion) return std::nullopt;
    if (info && (info->Validity & raw::BREAKPAD_DUMP_THREAD_ID) != 0) {
        out.dump_thread_id = info->DumpThreadId;
    }
    if (info && (info->Validity & raw::BREAKPAD_REQUESTING_THREAD_ID) != 0) {
        out.requesting_thread_id = info->RequestingThreadId;
    }
    if (assertion) {
        out.assertion = BreakpadFacts::Assertion{fixed_text(assertion->Expression),
                                                 fixed_text(assertion->Function),
                                                 fixed_text(assertion->File),
                                                 assertion->Line,
                                                 assertion->Type};
    }
    return out;
}

std::optional<CrashpadFacts> read_crashpad(Source& source) {
    const auto info =
        source.head<raw::CRASHPAD_INFO>(raw::CrashpadInfo, sizeof(raw::CRASHPAD_INFO));
    if (!info) return std::nullopt;
    source.begin_texts();
    CrashpadReader reader(source);
    CrashpadFacts out;
    out.version = info->Version;
    out.report_id = uuid_text(info->ReportId);
    out.client_id = uuid_text(info->ClientId);
    out.simple = reader.dictionary(info->SimpleAnnotations);
    reader.each<raw::CRASHPAD_MODULE_LINK>(
        info->ModuleList, [&](const auto& link) { out.modules.push_back(reader.module(link)); });
    return out;
}

std::vector<MacCrashInfo> read_mac_crash_info(Source& source) {
    std::vector<MacCrashInfo> out;
    constexpr std::size_t kMostTextsOfRecord = 5, kLargestRecord = 64 * 1024;
    const auto info = source.head<raw::MAC_CRASH_INFO>(raw::MozMacosCrashInfo, 12);
    if (!info) return out;
    const std::size_t start = info->RecordStartSize;
    const std::size_t count = std::min<std::size_t>(info->RecordCount, std::size(info->Records));
    for (std::size_t i = 0; i < count; ++i) {
        const auto& where = info->Records[i];
        const auto bytes =
            source.pieces.view(where.Rva, std::min<std::size_t>(where.DataSize, kLargestRecord));
        const auto record =
            take<raw::MAC_CRASH_INFO_RECORD>(bytes.first(std::min(start, bytes.size())));
        if (bytes.size() < 16 || start < 16 || bytes.size() < start) {
            source.findings.add("list_truncated",
                                "MozMacosCrashInfo says " + std::to_string(info->RecordCount) +
                                    " records, of which " + std::to_string(i) + " are whole",
                                raw::MozMacosCrashInfo);
            break;
        }
        MacCrashInfo one;
        one.version = record.Version;
        if (record.Version >= 4 && start >= 32) {
            one.thread = copied(record.Thread);
            one.dialog_mode = copied(record.DialogMode);
        }
        if (record.Version >= 5 && start >= 40) one.abort_cause = copied(record.AbortCause);
        std::string_view left(reinterpret_cast<const char*>(bytes.data()) + start,
                              bytes.size() - start);
        while (!left.empty() && one.texts.size() < kMostTextsOfRecord) {
            const auto end = std::min(left.find('\0'), left.size());
            one.texts.emplace_back(left.substr(0, end));
            left.remove_prefix(std::min(end + 1, left.size()));
        }
        out.push_back(std::move(one));
    }
    return out;
}

std::optional<std::string> read_mac_boot_arguments(Source& source) {
    const auto info =
        source.head<raw::MAC_BOOTARGS>(raw::MozMacosBootargs, sizeof(raw::MAC_BOOTARGS));
    if (!info) return std::nullopt;
    source.begin_texts();
    return std::string(source.string_at(info->BootArgs));
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> read_auxiliary_vector(Source& source,
                                                                           bool is_64_bit) {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> out;
    const auto bytes = source.stream(raw::LinuxAuxv);
    if (!bytes) return out;
    const std::size_t word = is_64_bit ? 8 : 4;
    const auto value = [&](std::size_t at) {
        return is_64_bit ? take<std::uint64_t>(*bytes, at) : take<std::uint32_t>(*bytes, at);
    };
    // AT_NULL ends it.
    for (std::size_t at = 0; at + 2 * word <= bytes->size() && value(at) != 0; at += 2 * word) {
        out.emplace_back(value(at), value(at + word));
    }
    return out;
}

std::optional<DsoDebug> read_dso_debug(Source& source) {
    const auto bytes = source.stream(raw::LinuxDsoDebug);
    // What is left behind the structure are the entries of _DYNAMIC, 16 bytes each.
    constexpr std::size_t kNatural = 40, kPacked = 36, kDynamic = 16;
    if (!bytes || bytes->size() < kPacked) return std::nullopt;
    const bool natural = bytes->size() >= kNatural && (bytes->size() - kNatural) % kDynamic == 0;
    const std::size_t words = natural ? 16 : 12;
    source.begin_texts();
    DsoDebug out;
    out.version = take<std::uint32_t>(*bytes, 0);
    const auto map_rva = take<std::uint32_t>(*bytes, 4);
    const auto count = take<std::uint32_t>(*bytes, 8);
    out.breakpoint = take<std::uint64_t>(*bytes, words);
    out.loader_base = take<std::uint64_t>(*bytes, words + 8);
    out.dynamic = take<std::uint64_t>(*bytes, words + 16);
    const std::size_t stride = natural ? 24 : 20;
    const std::uint64_t room = source.input.available(map_rva, std::uint64_t{count} * stride);
    const std::size_t whole = static_cast<std::size_t>(room / stride);
    if (whole < count) {
        source.findings.add("list_truncated",
                            "LinuxDsoDebug says " + std::to_string(count) +
                                " entries and the file has " + std::to_string(whole),
                            raw::LinuxDsoDebug);
    }
    for (std::size_t i = 0; i < std::min(whole, kMostTexts); ++i) {
        const auto entry = source.pieces.view(map_rva + i * stride, stride);
        const auto address = take<std::uint64_t>(entry, 0);
        const auto name = take<std::uint32_t>(entry, 8);
        const auto dynamic = take<std::uint64_t>(entry, natural ? 16 : 12);
        out.link_map.push_back({address, dynamic, std::string(source.string_at(name))});
    }
    return out;
}

}  // namespace snapcore::minidump
