// SPDX-License-Identifier: Apache-2.0
#include "bindings/bindings.h"
#include "snapshot/doctor.h"
#include "snapshot/snapshot.h"

namespace py = pybind11;

namespace snapcore::bindings {

void bind_system(py::module_& module) {
    module.def(
        "list_processes",
        [] {
            const std::vector<ProcessEntry> processes = [] {
                const py::gil_scoped_release release;
                return list_processes();
            }();
            py::list out;
            for (const ProcessEntry& process : processes) {
                out.append(py::make_tuple(
                    process.pid, py::bytes(process.name), py::bytes(process.short_name)));
            }
            return out;
        },
        "(pid, name of the executable, the system's short name) of every process.");
    module.def(
        "process_parents",
        [] {
            const std::vector<ProcessEntry> processes = [] {
                const py::gil_scoped_release release;
                return list_processes();
            }();
            py::list out;
            for (const ProcessEntry& process : processes) {
                out.append(py::make_tuple(process.pid, process.parent_pid));
            }
            return out;
        },
        "(pid, pid of the parent) of every process.");
    module.def(
        "system_facts",
        [] {
            const SystemFacts facts = [] {
                const py::gil_scoped_release release;
                return system_facts();
            }();
            py::list out;
            for (const auto& [name, value] : facts) {
                out.append(py::make_tuple(name, py::bytes(value)));
            }
            return out;
        },
        "(name, value) of what the system allows here.");
    module.def(
        "check_access",
        [](std::uint32_t pid) {
            const std::vector<AccessCheck> checks = [pid] {
                const py::gil_scoped_release release;
                return check_access(pid);
            }();
            py::list out;
            for (const AccessCheck& check : checks) {
                out.append(py::make_tuple(
                    check.operation, check.allowed, check.call, py::bytes(check.reason)));
            }
            return out;
        },
        py::arg("pid"),
        "(operation, allowed, refused call, reason) each; nothing is captured.");
    module.def(
        "system_handles",
        [](bool peers) {
            Diagnostics diagnostics;
            const auto table = [&] {
                const py::gil_scoped_release release;
                return read_system_handles(peers, diagnostics);
            }();
            return py::make_tuple(columns_of(table), to_python(diagnostics));
        },
        py::arg("peers"),
        "Columns and diagnostics.");
    module.def(
        "system_threads",
        [] {
            Diagnostics diagnostics;
            const auto table = [&] {
                const py::gil_scoped_release release;
                return read_system_threads(diagnostics);
            }();
            return py::make_tuple(columns_of(table), to_python(diagnostics));
        },
        "Columns and diagnostics.");
}

}  // namespace snapcore::bindings
