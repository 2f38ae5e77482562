// SPDX-License-Identifier: Apache-2.0
#include "bindings/bindings.h"

PYBIND11_MODULE(_core, module) {
    module.doc() = "Native core of snapcore; use the package, not this.";
    module.attr("__version__") = SNAPCORE_VERSION;
    module.attr("backend") = SNAPCORE_BACKEND;
    snapcore::bindings::bind_errors(module);
    snapcore::bindings::bind_arrow(module);
    snapcore::bindings::bind_columns(module);
    snapcore::bindings::bind_snapshot(module);
    snapcore::bindings::bind_dump_file(module);
    snapcore::bindings::bind_file(module);
    snapcore::bindings::bind_jobs(module);
    snapcore::bindings::bind_scan(module);
    snapcore::bindings::bind_system(module);
}
