// SPDX-License-Identifier: Apache-2.0
#include <exception>

#include "base/error.h"
#include "base/text.h"
#include "bindings/bindings.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

const char* name_of(ErrorKind kind) {
    switch (kind) {
        case ErrorKind::kAccessDenied: return "access_denied";
        case ErrorKind::kProcessGone: return "process_gone";
        case ErrorKind::kTimedOut: return "timed_out";
        case ErrorKind::kUnsupported: return "unsupported";
        case ErrorKind::kFormat: return "format";
        default: return "other";
    }
}

py::object path_object(const std::string& path) {
    return py::module_::import("os").attr("fsdecode")(py::bytes(path));
}

// A message may name what a process calls itself: any bytes, and codes for a terminal.
py::str message_of(const std::string& text) {
    const py::str decoded(escaped_utf8(text));
    return py::module_::import("snapcore.display.text").attr("printable")(decoded);
}

void raise(const Error& error, const py::handle& cancelled) {
    switch (error.kind()) {
        case ErrorKind::kCancelled: py::set_error(cancelled, message_of(error.what())); return;
        case ErrorKind::kInvalidArgument:
            py::set_error(PyExc_ValueError, message_of(error.what()));
            return;
        case ErrorKind::kFile: {
            // OSError itself chooses FileExistsError, FileNotFoundError, ... by the number.
            const auto code = static_cast<int>(error.code());
            const py::str text(os_error_text(error.domain(), code));
            const py::object path =
                error.detail().empty() ? py::none() : path_object(error.detail());
            // On Windows the fourth argument is the number, and the first follows from it.
            const bool win32 = error.domain() == ErrorDomain::kWin32;
            const py::object raised = win32 ? py::handle(PyExc_OSError)(0, text, path, code)
                                            : py::handle(PyExc_OSError)(code, text, path);
            py::set_error(py::type::of(raised), raised);
            return;
        }
        default: {
            const py::object raised = py::module_::import("snapcore.errors")
                                          .attr("from_native")(name_of(error.kind()),
                                                               domain_name(error.domain()),
                                                               error.code(),
                                                               error.call(),
                                                               message_of(error.detail()),
                                                               error.pid(),
                                                               message_of(error.what()));
            py::set_error(py::type::of(raised), raised);
        }
    }
}

}  // namespace

void bind_errors(py::module_& module) {
    static py::handle cancelled;
    cancelled = py::exception<Error>(module, "Cancelled").release();
    // pybind11 gives it by value.
    // NOLINTNEXTLINE(performance-unnecessary-value-param)
    py::register_local_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) std::rethrow_exception(pointer);
        } catch (const Error& error) {
            raise(error, cancelled);
        }
    });
}

py::list to_python(const Diagnostics& diagnostics) {
    py::list out;
    for (const Diagnostic& d : diagnostics) {
        out.append(py::make_tuple(d.severity == Severity::kWarning ? "warning" : "info",
                                  d.code,
                                  message_of(d.message),
                                  d.call,
                                  domain_name(d.domain),
                                  d.error,
                                  d.subject));
    }
    return out;
}

}  // namespace snapcore::bindings
