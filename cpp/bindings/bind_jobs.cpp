// SPDX-License-Identifier: Apache-2.0
#include <pybind11/stl.h>

#include <cstring>
#include <functional>
#include <map>
#include <tuple>
#include <vector>

#include "base/file.h"
#include "bindings/bindings.h"
#include "job/chunk_queue.h"
#include "job/dump_job.h"
#include "minidump/reader/dump_file.h"
#include "snapshot/policy.h"

namespace py = pybind11;

namespace snapcore::bindings {
namespace {

template <class T, class... Options>
using Class = py::class_<T, Options...>;

// Both jobs are polled in the same way.
template <class Job>
Class<Job> bind_job(py::module_& module, const char* name) {
    return Class<Job>(module, name, py::release_gil_before_calling_cpp_dtor())
        .def("wait", &Job::wait, py::arg("seconds"), py::call_guard<py::gil_scoped_release>())
        .def("cancel", &Job::cancel)
        .def("progress", [](const Job& job) {
            const Control& control = job.progress();
            return py::make_tuple(control.done_bytes.load(),
                                  control.total_bytes.load(),
                                  static_cast<int>(control.phase.load()));
        });
}

std::unique_ptr<CaptureJob> start_capture(std::uint32_t pid,
                                          std::uint32_t flags,
                                          std::uint32_t context_flags,
                                          std::uint64_t shared_budget,
                                          std::int64_t max_pause_ns,
                                          int memory,
                                          bool stop,
                                          int placement,
                                          bool live_fallback,
                                          bool debug_privilege,
                                          bool handle_peers) {
    CaptureOptions options;
    options.pid = pid;
    options.flags = flags;
    options.context_flags = context_flags;
    options.shared_budget_bytes = shared_budget;
    options.max_pause_ns = max_pause_ns;
    options.memory = static_cast<MemorySource>(memory);
    options.stop = stop;
    options.placement = static_cast<TracerPlacement>(placement);
    options.live_fallback = live_fallback;
    options.debug_privilege = debug_privilege;
    options.handle_peers = handle_peers;
    return std::make_unique<CaptureJob>(
        [options](Control& control) { return capture_process(options, control); });
}

// A dump whose bytes Python takes, where `chunks` is there.
class PolledDumpJob : public DumpJob {
public:
    PolledDumpJob(std::function<DumpOutcome(Control&)> work, std::shared_ptr<ChunkQueue> chunks)
        : DumpJob(std::move(work)), chunks_(std::move(chunks)) {}

    py::object next_chunk(double seconds) {
        if (!chunks_) throw py::value_error("the dump is not taken in chunks");
        const auto chunk = [&] {
            const py::gil_scoped_release release;
            return chunks_->take(seconds);
        }();
        if (!chunk) return py::none();
        return py::bytes(reinterpret_cast<const char*>(chunk->data()), chunk->size());
    }

private:
    std::shared_ptr<ChunkQueue> chunks_;
};

Identity to_identity(const std::string& bytes) {
    Identity out;
    if (bytes.size() != out.size()) throw py::value_error("an identity has 16 bytes");
    std::memcpy(out.data(), bytes.data(), out.size());
    return out;
}

// Severity, code, message and subject of what Python has to say.
using Notes = std::vector<std::tuple<std::string, std::string, std::string, std::uint64_t>>;

Diagnostics to_diagnostics(const Notes& notes) {
    Diagnostics out;
    for (const auto& [severity, code, message, subject] : notes) {
        out.push_back({severity == "warning" ? Severity::kWarning : Severity::kInfo,
                       code,
                       message,
                       "",
                       ErrorDomain::kNone,
                       0,
                       subject});
    }
    return out;
}

std::shared_ptr<BaseDump> make_base(std::string name,
                                    std::shared_ptr<minidump::DumpFile> file,
                                    std::shared_ptr<Snapshot> snapshot) {
    auto out = std::make_shared<BaseDump>();
    if (!file->identity()) throw py::value_error("the file has no identity");
    out->name = std::move(name);
    out->identity = *file->identity();
    out->size = file->file_size();
    for (const minidump::FileRange& range : file->memory_ranges()) {
        out->memory.push_back({range.address, range.present});
    }
    out->file = std::move(file);
    out->snapshot = std::move(snapshot);
    return out;
}

std::unique_ptr<PolledDumpJob> start_dump(std::uint32_t pid,
                                          std::optional<std::string> path,
                                          std::optional<int> descriptor,
                                          std::uint64_t dump_flags,
                                          std::optional<std::uint32_t> capture_flags,
                                          std::uint32_t context_flags,
                                          int method,
                                          bool overwrite,
                                          std::optional<std::string> comment,
                                          const std::map<std::uint32_t, std::string>& streams,
                                          bool environment,
                                          std::optional<std::int64_t> timeout_ns,
                                          std::int64_t max_pause_ns,
                                          std::uint64_t shared_budget,
                                          int placement,
                                          bool live_fallback,
                                          bool debug_privilege,
                                          std::shared_ptr<Snapshot> snapshot,
                                          const std::optional<std::string>& identity,
                                          std::shared_ptr<const BaseDump> base,
                                          const Notes& notes) {
    DumpRequest request;
    request.capture.pid = pid;
    request.capture.flags = capture_flags.value_or(0);
    request.capture.context_flags = context_flags;
    request.capture.max_pause_ns = max_pause_ns;
    request.capture.shared_budget_bytes = shared_budget;
    request.capture.placement = static_cast<TracerPlacement>(placement);
    request.capture.live_fallback = live_fallback;
    request.capture.debug_privilege = debug_privilege;
    request.capture_given = capture_flags.has_value();
    request.dump.flags = dump_flags;
    request.dump.comment = std::move(comment);
    for (const auto& [type, bytes] : streams) request.dump.streams.push_back({type, bytes});
    request.dump.environment = environment;
    if (identity) request.dump.identity = to_identity(*identity);
    request.dump.base = std::move(base);
    request.dump.diagnostics = to_diagnostics(notes);
    std::shared_ptr<ChunkQueue> chunks;
    if (path) {
        request.path = std::move(*path);
    } else if (descriptor) {
        request.stream = open_output_stream(*descriptor);
    } else {
        request.stream = chunks = std::make_shared<ChunkQueue>();
    }
    request.overwrite = overwrite;
    request.method = static_cast<Method>(method);
    request.timeout_ns = timeout_ns;
    request.snapshot = std::move(snapshot);
    return std::make_unique<PolledDumpJob>(
        [request](Control& control) { return dump_process(request, control); }, std::move(chunks));
}

// Into a file, or without a path in chunks.
std::unique_ptr<PolledDumpJob> start_whole(std::shared_ptr<minidump::DumpFile> dump,
                                           const std::optional<std::string>& path,
                                           bool overwrite) {
    WholeRequest request{std::move(dump), path.value_or(""), overwrite, nullptr};
    std::shared_ptr<ChunkQueue> chunks;
    if (!path) request.stream = chunks = std::make_shared<ChunkQueue>();
    return std::make_unique<PolledDumpJob>(
        [request](Control& control) { return write_whole(request, control); }, std::move(chunks));
}

py::dict to_python(const DumpOutcome& outcome) {
    py::dict out;
    out["path"] = py::bytes(outcome.path);
    out["file_size"] = outcome.file_size;
    out["bytes_written"] = outcome.bytes_written;
    out["pause_ns"] = outcome.pause_ns;
    out["elapsed_ns"] = outcome.elapsed_ns;
    out["method"] = static_cast<int>(outcome.method);
    out["flags"] = outcome.flags;
    out["threads"] = outcome.stats.threads;
    out["handles"] = outcome.stats.handles;
    out["regions"] = outcome.stats.regions;
    out["modules"] = outcome.stats.modules;
    out["memory_ranges"] = outcome.stats.memory_ranges;
    out["memory_bytes"] = outcome.stats.memory_bytes;
    out["bytes_not_of_the_instant"] = outcome.stats.bytes_not_of_the_instant;
    out["has_base"] = outcome.stats.has_base;
    out["base_bytes"] = outcome.stats.base_bytes;
    out["held_bytes"] = outcome.stats.held_bytes;
    out["compared_bytes"] = outcome.stats.compared_bytes;
    out["diagnostics"] = bindings::to_python(outcome.diagnostics);
    out["of_snapshot"] = outcome.of_snapshot;
    return out;
}

}  // namespace

void bind_jobs(py::module_& module) {
    bind_job<CaptureJob>(module, "CaptureJob")
        .def(py::init(&start_capture),
             py::arg("pid"),
             py::arg("flags"),
             py::arg("context_flags"),
             py::arg("shared_budget"),
             py::arg("max_pause_ns"),
             py::arg("memory"),
             py::arg("stop"),
             py::arg("placement"),
             py::arg("live_fallback"),
             py::arg("debug_privilege"),
             py::arg("handle_peers") = false)
        .def("result", &CaptureJob::result, py::call_guard<py::gil_scoped_release>());
    Class<BaseDump, std::shared_ptr<BaseDump>>(
        module, "BaseDump", py::release_gil_before_calling_cpp_dtor())
        .def(py::init(&make_base),
             py::arg("name"),
             py::arg("file"),
             py::arg("snapshot"),
             py::call_guard<py::gil_scoped_release>());
    bind_job<PolledDumpJob>(module, "DumpJob")
        .def(py::init(&start_dump),
             py::arg("pid"),
             py::arg("path"),
             py::arg("descriptor"),
             py::arg("dump_flags"),
             py::arg("capture_flags"),
             py::arg("context_flags"),
             py::arg("method"),
             py::arg("overwrite"),
             py::arg("comment"),
             py::arg("streams"),
             py::arg("environment"),
             py::arg("timeout_ns"),
             py::arg("max_pause_ns"),
             py::arg("shared_budget"),
             py::arg("placement"),
             py::arg("live_fallback"),
             py::arg("debug_privilege"),
             py::arg("snapshot"),
             py::arg("identity") = py::none(),
             py::arg("base") = py::none(),
             py::arg("notes") = Notes())
        .def("next_chunk", &PolledDumpJob::next_chunk, py::arg("seconds"))
        .def("result", [](PolledDumpJob& job) {
            const DumpOutcome outcome = [&] {
                const py::gil_scoped_release release;
                return job.result();
            }();
            return to_python(outcome);
        });
    module.def("write_whole",
               &start_whole,
               py::arg("dump"),
               py::arg("path"),
               py::arg("overwrite"),
               "The job that makes one plain minidump of a dump and its base.");
    module.def(
        "dump_requirements",
        [](std::uint64_t flags) {
            return py::make_tuple(capture_flags_for_dump(flags),
                                  static_cast<int>(memory_for_dump(flags)));
        },
        py::arg("flags"),
        "Capture flags and memory source that a dump needs.");
}

}  // namespace snapcore::bindings
