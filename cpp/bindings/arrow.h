// SPDX-License-Identifier: Apache-2.0
//
// Columns for other libraries, by the Arrow C data interface and its stream interface
// (https://arrow.apache.org/docs/format/CDataInterface.html).
//
// What is handed out owns no Python object: a consumer may release it on any thread, without the
// GIL, in any order, and after the table is gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tables/column.h"

// As the specification gives them, so that any library's declaration is the same.
extern "C" {
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char* format;
    const char* name;
    const char* metadata;
    std::int64_t flags;
    std::int64_t n_children;
    struct ArrowSchema** children;
    struct ArrowSchema* dictionary;
    void (*release)(struct ArrowSchema*);
    void* private_data;
};

struct ArrowArray {
    std::int64_t length;
    std::int64_t null_count;
    std::int64_t offset;
    std::int64_t n_buffers;
    std::int64_t n_children;
    const void** buffers;
    struct ArrowArray** children;
    struct ArrowArray* dictionary;
    void (*release)(struct ArrowArray*);
    void* private_data;
};
#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream*, struct ArrowSchema* out);
    int (*get_next)(struct ArrowArrayStream*, struct ArrowArray* out);
    const char* (*get_last_error)(struct ArrowArrayStream*);
    void (*release)(struct ArrowArrayStream*);
    void* private_data;
};
#endif
}

namespace snapcore::bindings::arrow {

struct Buffer {
    const void* data = nullptr;
    std::shared_ptr<const void> owner;
};

// What is handed out of one column. Shared by all that is handed out of it.
struct Column {
    std::string format;  // "I", "l", "b", ...; of a string column that of its indices
    std::int64_t length = 0;
    std::int64_t null_count = 0;
    std::vector<Buffer>
        buffers;  // the first is the validity bitmap, without data where all is known
    std::shared_ptr<const Column> dictionary;
};

using Metadata = std::vector<std::pair<std::string, std::string>>;

struct Field {
    std::string name;
    std::string format;
    bool is_dictionary = false;
    std::string metadata;  // encoded
};

// A record batch.
struct Batch {
    std::int64_t rows = 0;
    std::string metadata;  // encoded
    std::vector<Field> fields;
    std::vector<std::shared_ptr<const Column>> columns;
};

// As ArrowSchema::metadata wants it; empty where there is none.
std::string encode(const Metadata& metadata);

// `owner` keeps the column alive. Values are not copied, save those of Boolean, which become bits.
template <class T>
Column column_of(const snapcore::Column<T>& values, const std::shared_ptr<const void>& owner);
Column column_of(const StringColumn& values, const std::shared_ptr<const void>& owner);
// The same of bare values: `valid` is one byte a row, or null where all is known.
template <class T>
Column column_of(const T* values,
                 const std::uint8_t* valid,
                 std::size_t rows,
                 const std::shared_ptr<const void>& owner);

// Fill structures of the caller, who must release them.
void export_schema(const Batch& batch, ArrowSchema* out);
void export_array(const Batch& batch, ArrowArray* out);
void export_stream(std::shared_ptr<const Batch> batch, ArrowArrayStream* out);

}  // namespace snapcore::bindings::arrow
