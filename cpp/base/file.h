// SPDX-License-Identifier: Apache-2.0
//
// The only file I/O of the core: a dump that appears under its name whole or not at all, one that
// is handed on as it comes, and a dump that is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace snapcore {

// Positional writes into a file that is not there yet. Thread-safe but for commit().
class OutputFile {
public:
    virtual ~OutputFile() = default;

    // Writes all of `bytes`; throws ErrorKind::kFile (ENOSPC, EIO, ...).
    virtual void write(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
    // Reserves space so that the writes that follow need no block allocation; best effort, never
    // throws.
    virtual void allocate(std::uint64_t offset, std::uint64_t size) = 0;
    // Gives space back; the bytes read as zeros. Best effort, never throws.
    virtual void release(std::uint64_t offset, std::uint64_t size) = 0;
    // Sets the length; bytes never written read as zeros and take no space.
    virtual void set_size(std::uint64_t size) = 0;
    // Reads back; returns how many bytes there were before the end. Throws ErrorKind::kFile.
    virtual std::size_t read(std::uint64_t offset, std::span<std::byte> out) = 0;
    // The descriptor or HANDLE, for a function of the OS that writes by itself; still owned here.
    virtual std::intptr_t native_handle() = 0;
    virtual std::uint64_t size() = 0;
    // Bytes that the file takes on the disk (holes not counted).
    virtual std::uint64_t allocated_size() = 0;
    // Gives the file its name. Without `overwrite` an existing file is ErrorKind::kFile, EEXIST.
    virtual void commit(bool overwrite) = 0;
    // Leaving without commit() leaves nothing behind.
};

// Bytes in order, to whoever takes them.
class OutputStream {
public:
    virtual ~OutputStream() = default;

    // Hands on all of `bytes`. While nobody takes them, `check` is called several times a second;
    // what it throws reaches the caller. Throws ErrorKind::kFile (EPIPE, ...).
    virtual void write(std::span<const std::byte> bytes, const std::function<void()>& check) = 0;
    // Nothing more comes.
    virtual void finish() {}
};

// Positional reads of a file that is there. Thread-safe. Never a mapping: a file that shrinks is a
// short read.
class InputFile {
public:
    virtual ~InputFile() = default;

    // How many bytes there were before the end; throws ErrorKind::kFile (EIO, ...).
    virtual std::size_t read(std::uint64_t offset, std::span<std::byte> out) = 0;
    virtual std::uint64_t size() = 0;  // now
    // Where another file is unpacked: how long that one is, and whether it ends too early.
    virtual bool is_packed() { return false; }
    virtual std::uint64_t stored_size() { return size(); }
    virtual bool is_cut_off() { return false; }
};

// A regular file; anything else (a directory, a pipe, a device) is ErrorKind::kFile, and nothing
// waits for a writer.
std::unique_ptr<InputFile> open_input_file(const std::string& path);

// The same of a file in the folder of another one, which `name` is without any path; a link is
// ErrorKind::kFile, ELOOP.
std::unique_ptr<InputFile> open_input_beside(const std::string& path, const std::string& name);

// Owner-only (0600, or the owner's ACL) in the folder of `path` (UTF-8 on Windows, bytes on Linux).
// Without `overwrite` an existing `path` fails here already, before any target is stopped.
std::unique_ptr<OutputFile> create_output_file(const std::string& path, bool overwrite);

// Owner-only, without a name or gone with its last handle, in the folder for temporary files; not
// to be committed.
std::unique_ptr<OutputFile> create_spool_file();

// What a descriptor writes to (a pipe, a socket, a file, a device), by a descriptor of its own. Who
// reads may go away: that is EPIPE and never SIGPIPE. Unsupported on Windows, where a write that
// nobody takes cannot be given up.
std::unique_ptr<OutputStream> open_output_stream(int descriptor);

}  // namespace snapcore
