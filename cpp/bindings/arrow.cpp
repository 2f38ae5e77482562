// SPDX-License-Identifier: Apache-2.0
#include "bindings/arrow.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <type_traits>

#include "base/text.h"
#include "bindings/blocks.h"

namespace snapcore::bindings::arrow {
namespace {

// Buffers end at a multiple of this, as the format recommends.
constexpr std::size_t kPadding = 64;

template <class T>
constexpr const char* format_of() {
    if constexpr (std::is_same_v<T, Boolean>) return "b";
    if constexpr (std::is_same_v<T, std::int8_t>) return "c";
    if constexpr (std::is_same_v<T, std::uint8_t>) return "C";
    if constexpr (std::is_same_v<T, std::int16_t>) return "s";
    if constexpr (std::is_same_v<T, std::uint16_t>) return "S";
    if constexpr (std::is_same_v<T, std::int32_t>) return "i";
    if constexpr (std::is_same_v<T, std::uint32_t>) return "I";
    if constexpr (std::is_same_v<T, std::int64_t>) return "l";
    if constexpr (std::is_same_v<T, std::uint64_t>) return "L";
    if constexpr (std::is_same_v<T, float>) return "f";
    if constexpr (std::is_same_v<T, double>) return "g";
}

template <class T>
Buffer owned(T values) {
    const auto held = std::make_shared<const T>(std::move(values));
    return {held->data(), held};
}

// One bit a row, the least significant first: whether `is_set(row)`.
template <class IsSet>
std::vector<std::uint8_t> bitmap(std::size_t rows, IsSet&& is_set) {
    const std::size_t bytes = (rows + 7) / 8;
    std::vector<std::uint8_t> out((bytes + kPadding - 1) / kPadding * kPadding);
    const std::size_t whole = rows / 8;
    for (std::size_t byte = 0; byte < whole; ++byte) {
        unsigned bits = 0;
        for (unsigned bit = 0; bit < 8; ++bit) {
            bits |= static_cast<unsigned>(is_set(8 * byte + bit)) << bit;
        }
        out[byte] = static_cast<std::uint8_t>(bits);
    }
    for (std::size_t row = 8 * whole; row < rows; ++row) {
        out[whole] =
            static_cast<std::uint8_t>(out[whole] | static_cast<unsigned>(is_set(row)) << (row % 8));
    }
    return out;
}

template <class IsValid>
void set_validity(Column& column, std::size_t rows, IsValid&& is_valid) {
    std::size_t known = 0;
    for (std::size_t row = 0; row < rows; ++row) known += is_valid(row) ? 1U : 0U;
    column.null_count = static_cast<std::int64_t>(rows - known);
    column.buffers[0] = known == rows ? Buffer() : owned(bitmap(rows, is_valid));
}

Buffer zeros(std::size_t size) {
    // Never null, which some readers do not take for a buffer of no bytes.
    const auto block = block_of<0>(std::max(size, kPadding));
    return {block->data(), block};
}

Column nothing_known(const char* format, std::size_t rows, std::size_t width) {
    Column out;
    out.format = format;
    out.length = out.null_count = static_cast<std::int64_t>(rows);
    const Buffer shared = zeros(rows * width);  // long enough for the bitmap too
    out.buffers = {rows == 0 ? Buffer() : shared, shared};
    return out;
}

Column texts_of(const StringHeap& heap, const std::shared_ptr<const void>& owner) {
    Column out;
    out.format = "U";
    out.length = static_cast<std::int64_t>(heap.size());
    const bool is_empty = heap.bytes().empty();
    out.buffers = {Buffer(),
                   {heap.offsets().data(), owner},
                   is_empty ? zeros(0) : Buffer{heap.bytes().data(), owner}};
    return out;
}

bool is_text(const StringHeap& heap) {
    const bool is_ascii = std::all_of(heap.bytes().begin(), heap.bytes().end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x80;
    });
    if (is_ascii) return true;
    // Each for itself: a character must not lie in two of them.
    for (std::size_t i = 0; i < heap.size(); ++i) {
        if (!is_utf8(heap[i])) return false;
    }
    return true;
}

}  // namespace

std::string encode(const Metadata& metadata) {
    std::string out;
    if (metadata.empty()) return out;
    const auto put_number = [&](std::size_t number) {
        const auto value = static_cast<std::int32_t>(number);
        out.append(reinterpret_cast<const char*>(&value), sizeof value);
    };
    put_number(metadata.size());
    for (const auto& [key, value] : metadata) {
        for (const std::string* text : {&key, &value}) {
            put_number(text->size());
            out += *text;
        }
    }
    return out;
}

template <class T>
Column column_of(const T* values,
                 const std::uint8_t* valid,
                 std::size_t rows,
                 const std::shared_ptr<const void>& owner) {
    Column out;
    out.format = format_of<T>();
    out.length = static_cast<std::int64_t>(rows);
    out.buffers.resize(2);
    if (valid != nullptr) {
        set_validity(out, rows, [&](std::size_t row) { return valid[row] != 0; });
    }
    if (rows == 0) {
        out.buffers[1] = zeros(0);
    } else if constexpr (std::is_same_v<T, Boolean>) {
        out.buffers[1] =
            owned(bitmap(rows, [&](std::size_t row) { return values[row] != Boolean::kFalse; }));
    } else {
        out.buffers[1] = {values, owner};
    }
    return out;
}

template <class T>
Column column_of(const snapcore::Column<T>& values, const std::shared_ptr<const void>& owner) {
    const std::size_t rows = values.size();
    if (values.is_unknown()) return nothing_known(format_of<T>(), rows, sizeof(T));
    const std::uint8_t* const valid = values.valid().empty() ? nullptr : values.valid().data();
    return column_of(values.values().data(), valid, rows, owner);
}

Column column_of(const StringColumn& values, const std::shared_ptr<const void>& owner) {
    const std::size_t rows = values.size();
    Column out;
    if (values.is_unknown()) {
        out = nothing_known("i", rows, sizeof(std::int32_t));
        const auto none = std::make_shared<const StringHeap>();
        out.dictionary = std::make_shared<const Column>(texts_of(*none, none));
        return out;
    }
    out = column_of(values.codes().data(), nullptr, rows, owner);
    set_validity(out, rows, [&](std::size_t row) { return values.codes()[row] >= 0; });
    if (is_text(values.categories())) {
        out.dictionary = std::make_shared<const Column>(texts_of(values.categories(), owner));
        return out;
    }
    // Two byte strings may be the same text when they are escaped; a dictionary has each text once.
    struct Escaped {
        StringColumn texts;
        std::vector<std::int32_t> codes;
    };
    const auto escaped = std::make_shared<Escaped>();
    std::vector<std::int32_t> code_of(values.categories().size());
    for (std::size_t i = 0; i < code_of.size(); ++i) {
        code_of[i] = escaped->texts.code_of(escaped_utf8(values.categories()[i]));
    }
    escaped->codes = values.codes();
    for (std::int32_t& code : escaped->codes) {
        if (code >= 0) code = code_of[static_cast<std::size_t>(code)];
    }
    if (rows != 0) out.buffers[1] = {escaped->codes.data(), escaped};
    out.dictionary = std::make_shared<const Column>(texts_of(escaped->texts.categories(), escaped));
    return out;
}

#define SNAPCORE_ARROW_BARE(T) \
    template Column column_of( \
        const T*, const std::uint8_t*, std::size_t, const std::shared_ptr<const void>&)
#define SNAPCORE_ARROW_COLUMN(T)                                                               \
    template Column column_of(const snapcore::Column<T>&, const std::shared_ptr<const void>&); \
    SNAPCORE_ARROW_BARE(T)
SNAPCORE_ARROW_COLUMN(Boolean);
SNAPCORE_ARROW_COLUMN(std::uint8_t);
SNAPCORE_ARROW_COLUMN(std::uint16_t);
SNAPCORE_ARROW_COLUMN(std::uint32_t);
SNAPCORE_ARROW_COLUMN(std::uint64_t);
SNAPCORE_ARROW_COLUMN(std::int32_t);
SNAPCORE_ARROW_COLUMN(std::int64_t);
SNAPCORE_ARROW_BARE(std::int8_t);
SNAPCORE_ARROW_BARE(std::int16_t);
SNAPCORE_ARROW_BARE(float);
SNAPCORE_ARROW_BARE(double);
#undef SNAPCORE_ARROW_COLUMN
#undef SNAPCORE_ARROW_BARE

// --- Handing out. A consumer may move a structure, children too: it copies the bytes and sets
// `release` of the place that they were in to null. So each structure owns what is behind it, and a
// parent releases only what is still in its place.

namespace {

template <class Structure>
struct Released {
    void operator()(Structure* structure) const {
        if (structure->release != nullptr) structure->release(structure);
        delete structure;
    }
};
template <class Structure>
using Owned = std::unique_ptr<Structure, Released<Structure>>;

// What `private_data` of a schema or an array points to.
template <class Structure>
struct Held {
    std::vector<Owned<Structure>> children;
    std::vector<Structure*> places;
    Owned<Structure> dictionary;
    // Of a schema.
    std::string format, name, metadata;
    // Of an array.
    std::shared_ptr<const Column> column;
    std::vector<const void*> buffers;

    Structure* add_child() {
        children.emplace_back(new Structure());
        places.push_back(children.back().get());
        return places.back();
    }
    Structure* add_dictionary() {
        dictionary.reset(new Structure());
        return dictionary.get();
    }
};

template <class Structure>
void release(Structure* structure) {
    delete static_cast<Held<Structure>*>(structure->private_data);
    structure->private_data = nullptr;
    structure->release = nullptr;
}

// Links what is held to the structure, which owns it from now on.
template <class Structure>
void give(std::unique_ptr<Held<Structure>> held, Structure* out) {
    out->n_children = static_cast<std::int64_t>(held->places.size());
    out->children = held->places.empty() ? nullptr : held->places.data();
    out->dictionary = held->dictionary.get();
    out->release = &release<Structure>;
    out->private_data = held.release();
}

void give_schema(std::unique_ptr<Held<ArrowSchema>> held, std::int64_t flags, ArrowSchema* out) {
    *out = {};
    out->format = held->format.c_str();
    out->name = held->name.c_str();
    out->metadata = held->metadata.empty() ? nullptr : held->metadata.data();
    out->flags = flags;
    give(std::move(held), out);
}

void export_field(const Field& field, ArrowSchema* out) {
    auto held = std::make_unique<Held<ArrowSchema>>();
    held->format = field.format;
    held->name = field.name;
    held->metadata = field.metadata;
    if (field.is_dictionary) {
        auto texts = std::make_unique<Held<ArrowSchema>>();
        texts->format = "U";
        give_schema(std::move(texts), 0, held->add_dictionary());
    }
    give_schema(std::move(held), ARROW_FLAG_NULLABLE, out);
}

void export_column(std::shared_ptr<const Column> column, ArrowArray* out) {
    auto held = std::make_unique<Held<ArrowArray>>();
    if (column->dictionary) export_column(column->dictionary, held->add_dictionary());
    for (const Buffer& buffer : column->buffers) held->buffers.push_back(buffer.data);
    *out = {};
    out->length = column->length;
    out->null_count = column->null_count;
    out->n_buffers = static_cast<std::int64_t>(held->buffers.size());
    out->buffers = held->buffers.data();
    held->column = std::move(column);
    give(std::move(held), out);
}

// A stream of one batch.
struct Stream {
    std::shared_ptr<const Batch> batch;
    bool is_at_end = false;
    const char* error = nullptr;
};

template <class Action>
int guarded(ArrowArrayStream* stream, Action&& action) {
    auto* const held = static_cast<Stream*>(stream->private_data);
    try {
        action(*held);
        return 0;
    } catch (const std::bad_alloc&) {
        held->error = "out of memory";
        return ENOMEM;
    }
}

}  // namespace

void export_schema(const Batch& batch, ArrowSchema* out) {
    auto held = std::make_unique<Held<ArrowSchema>>();
    held->format = "+s";
    held->metadata = batch.metadata;
    for (const Field& field : batch.fields) export_field(field, held->add_child());
    give_schema(std::move(held), 0, out);
}

void export_array(const Batch& batch, ArrowArray* out) {
    auto held = std::make_unique<Held<ArrowArray>>();
    for (const auto& column : batch.columns) export_column(column, held->add_child());
    held->buffers = {nullptr};
    *out = {};
    out->length = batch.rows;
    out->n_buffers = 1;
    out->buffers = held->buffers.data();
    give(std::move(held), out);
}

void export_stream(std::shared_ptr<const Batch> batch, ArrowArrayStream* out) {
    auto owned_stream = std::make_unique<Stream>();
    owned_stream->batch = std::move(batch);
    *out = {};
    out->get_schema = [](ArrowArrayStream* stream, ArrowSchema* schema) {
        return guarded(stream, [&](Stream& held) { export_schema(*held.batch, schema); });
    };
    out->get_next = [](ArrowArrayStream* stream, ArrowArray* array) {
        return guarded(stream, [&](Stream& held) {
            *array = {};
            if (held.is_at_end) return;  // an array that is released is the end
            export_array(*held.batch, array);
            held.is_at_end = true;
        });
    };
    out->get_last_error = [](ArrowArrayStream* stream) {
        return static_cast<const Stream*>(stream->private_data)->error;
    };
    out->release = [](ArrowArrayStream* stream) {
        delete static_cast<Stream*>(stream->private_data);
        stream->private_data = nullptr;
        stream->release = nullptr;
    };
    out->private_data = owned_stream.release();
}

}  // namespace snapcore::bindings::arrow
