// SPDX-License-Identifier: Apache-2.0
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"
#include "base/file.h"
#include "bindings/bindings.h"
#include "snapshot/control.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

std::span<const std::byte> bytes_of(const py::buffer_info& info) {
    if (PyBuffer_IsContiguous(info.view(), 'C') == 0) {
        throw py::value_error("the bytes must be contiguous");
    }
    return {static_cast<const std::byte*>(info.ptr),
            static_cast<std::size_t>(info.size * info.itemsize)};
}

// A file that Python writes from start to end, with the same guarantees as a dump.
class NewFile {
public:
    NewFile(const std::string& path, bool overwrite)
        : overwrite_(overwrite), file_(create_output_file(path, overwrite)) {}

    std::size_t write(const py::buffer& data) {
        const py::buffer_info info = data.request();
        const auto bytes = bytes_of(info);
        const py::gil_scoped_release release;
        file().write(size_, bytes);
        size_ += bytes.size();
        return bytes.size();
    }
    std::uint64_t allocated_size() {
        const py::gil_scoped_release release;
        return file().allocated_size();
    }
    void commit() {
        const py::gil_scoped_release release;
        file().commit(overwrite_);
        file_.reset();
    }
    void close() {
        const py::gil_scoped_release release;
        file_.reset();
    }

private:
    OutputFile& file() {
        if (!file_) throw py::value_error("the file is closed");
        return *file_;
    }

    bool overwrite_;
    std::unique_ptr<OutputFile> file_;
    std::uint64_t size_ = 0;
};

// A descriptor that Python writes to. Ctrl-C and the end of the time are seen while nobody reads.
class DescriptorStream {
public:
    DescriptorStream(int descriptor, std::optional<std::int64_t> timeout_ns)
        : stream_(open_output_stream(descriptor)) {
        if (timeout_ns) control_.deadline_ns = monotonic_ns() + *timeout_ns;
    }

    std::size_t write(const py::buffer& data) {
        const py::buffer_info info = data.request();
        const auto bytes = bytes_of(info);
        const py::gil_scoped_release release;
        stream_->write(bytes, [&] {
            control_.check();
            const py::gil_scoped_acquire acquire;
            if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        });
        return bytes.size();
    }

private:
    std::unique_ptr<OutputStream> stream_;
    Control control_;
};

}  // namespace

void bind_file(py::module_& module) {
    py::class_<NewFile>(module, "NewFile")
        .def(py::init<const std::string&, bool>(), py::arg("path"), py::arg("overwrite"))
        .def("write", &NewFile::write, py::arg("data"))
        .def("allocated_size", &NewFile::allocated_size)
        .def("commit", &NewFile::commit)
        .def("close", &NewFile::close);
    py::class_<DescriptorStream>(module, "DescriptorStream")
        .def(py::init<int, std::optional<std::int64_t>>(),
             py::arg("descriptor"),
             py::arg("timeout_ns"))
        .def("write", &DescriptorStream::write, py::arg("data"));
}

}  // namespace snapcore::bindings
