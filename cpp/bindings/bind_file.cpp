// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "base/file.h"
#include "bindings/bindings.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

// A file that Python writes from start to end, with the same guarantees as a dump.
class NewFile {
public:
    NewFile(const std::string& path, bool overwrite)
        : overwrite_(overwrite), file_(create_output_file(path, overwrite)) {}

    std::size_t write(const py::buffer& data) {
        const py::buffer_info info = data.request();
        if (!PyBuffer_IsContiguous(info.view(), 'C')) {
            throw py::value_error("the bytes must be contiguous");
        }
        const std::size_t size = static_cast<std::size_t>(info.size * info.itemsize);
        const py::gil_scoped_release release;
        file().write(size_, {static_cast<const std::byte*>(info.ptr), size});
        size_ += size;
        return size;
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

}  // namespace

void bind_file(py::module_& module) {
    py::class_<NewFile>(module, "NewFile")
        .def(py::init<const std::string&, bool>(), py::arg("path"), py::arg("overwrite"))
        .def("write", &NewFile::write, py::arg("data"))
        .def("commit", &NewFile::commit)
        .def("close", &NewFile::close);
}

}  // namespace snapcore::bindings
