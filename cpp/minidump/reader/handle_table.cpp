// SPDX-License-Identifier: Apache-2.0
#include "minidump/reader/handle_table.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "minidump/reader/column_stream.h"
#include "minidump/reader/system_facts.h"

namespace snapcore::minidump {
namespace {

// Longer chains than there are kinds of information go in circles.
constexpr std::size_t kLongestChain = 16;
constexpr std::size_t kLargestInformation = 4096;

std::optional<List> descriptors(Source& source) {
    const StreamEntry* const stream = source.directory.find(raw::HandleDataStream);
    const auto header = source.head<raw::MINIDUMP_HANDLE_DATA_STREAM>(
        raw::HandleDataStream, sizeof(raw::MINIDUMP_HANDLE_DATA_STREAM));
    if (!header) return std::nullopt;
    return source.sized_list(*stream,
                             header->SizeOfHeader,
                             header->SizeOfDescriptor,
                             header->NumberOfDescriptors,
                             sizeof(raw::MINIDUMP_HANDLE_DESCRIPTOR),
                             "HandleData");
}

// Handles of one name mostly share its string: a few codes are kept by where their strings lie.
class Names {
public:
    Names(Source& source, StringColumn& column) : source_(source), column_(column) {}
    void set(std::size_t row, raw::RVA rva) {
        if (rva == 0) return;
        Kept& kept = kept_[(rva >> 2) % kept_.size()];
        if (kept.rva != rva) kept = {rva, column_.code_of(source_.string_at(rva))};
        column_.set(row, kept.code);
    }

private:
    struct Kept {
        raw::RVA rva = 0;
        std::int32_t code = 0;
    };

    Source& source_;
    StringColumn& column_;
    std::array<Kept, 1024> kept_;
};

}  // namespace

std::shared_ptr<const HandleTable> read_handles(Source& source, const SystemInfo& system) {
    const auto list = descriptors(source);
    if (!list) {
        throw Error::invalid_argument(
            "the file holds no handles; dump with MiniDumpType.WITH_HANDLE_DATA");
    }
    source.begin_texts();
    auto table = std::make_shared<HandleTable>();
    table->reserve(list->count);
    Names types(source, table->type_name), names(source, table->object_name);
    // Linux counts neither.
    const bool counted = system.platform_id != kPlatformLinux;
    std::size_t row = 0;
    source.each_block<raw::MINIDUMP_HANDLE_DESCRIPTOR>(
        *list, [&](std::size_t count, const auto& at) {
            const auto handle = table->handle.extend(count);
            const auto attributes = table->attributes.extend(count);
            const auto granted_access = table->granted_access.extend(count);

            for (std::size_t i = 0; i < count; ++i, ++row) {
                const raw::MINIDUMP_HANDLE_DESCRIPTOR entry = at(i);
                handle[i] = entry.Handle;
                attributes[i] = entry.Attributes;
                granted_access[i] = entry.GrantedAccess;
                if (counted) {
                    table->handle_count.set(row, entry.HandleCount);
                    table->pointer_count.set(row, entry.PointerCount);
                }
                types.set(row, entry.TypeNameRva);
                names.set(row, entry.ObjectNameRva);
            }
        });
    table->pad(row);
    add_unfiled(source, *table);
    return table;
}

std::vector<HandleInformation> read_handle_information(Source& source) {
    std::vector<HandleInformation> out;
    const auto list = descriptors(source);
    if (!list || list->stride < sizeof(raw::MINIDUMP_HANDLE_DESCRIPTOR_2)) return out;
    // A hostile file may point every handle at one chain: no more bytes than the file has.
    std::uint64_t left = source.input.size();
    bool cut = false;
    source.each<raw::MINIDUMP_HANDLE_DESCRIPTOR_2>(*list, [&](const auto& entry) {
        raw::RVA rva = entry.ObjectInfoRva;
        std::size_t links = 0;
        for (; rva != 0 && links < kLongestChain; ++links) {
            const auto info = source.pieces.get<raw::MINIDUMP_HANDLE_OBJECT_INFORMATION>(rva);
            const std::uint64_t cost =
                sizeof(raw::MINIDUMP_HANDLE_OBJECT_INFORMATION) + (info ? info->SizeOfInfo : 0);
            if (!info || info->SizeOfInfo > kLargestInformation || cost > left) break;
            left -= cost;
            const auto bytes = source.pieces.view(rva + sizeof *info, info->SizeOfInfo);
            if (bytes.size() < info->SizeOfInfo) break;
            out.push_back({entry.Version1.Handle, info->InfoType, {bytes.begin(), bytes.end()}});
            rva = info->NextInfoRva;
        }
        cut = cut || rva != 0;
    });
    if (cut) {
        source.findings.add("handle_information_broken",
                            "chains of object information lead out of the file, or in circles",
                            raw::HandleDataStream);
    }
    return out;
}

std::vector<raw::AVRF_HANDLE_OPERATION> read_handle_operations(Source& source) {
    std::vector<raw::AVRF_HANDLE_OPERATION> out;
    const StreamEntry* const stream = source.directory.find(raw::HandleOperationListStream);
    const auto header = source.head<raw::MINIDUMP_HANDLE_OPERATION_LIST>(
        raw::HandleOperationListStream, sizeof(raw::MINIDUMP_HANDLE_OPERATION_LIST));
    if (!header) return out;
    const List list = source.sized_list(*stream,
                                        header->SizeOfHeader,
                                        header->SizeOfEntry,
                                        header->NumberOfEntries,
                                        sizeof(raw::AVRF_HANDLE_OPERATION),
                                        "HandleOperationList");
    out.reserve(list.count);
    source.each<raw::AVRF_HANDLE_OPERATION>(list, [&](const auto& entry) { out.push_back(entry); });
    return out;
}

}  // namespace snapcore::minidump
