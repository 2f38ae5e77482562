// SPDX-License-Identifier: Apache-2.0
#include "snapshot/snapshot.h"

#include "base/error.h"

namespace snapcore {

std::shared_ptr<const AuxiliaryPageTable> Snapshot::auxiliary_pages() {
    throw Error::unsupported(
        "", "auxiliary pages exist on Windows alone (PSS_WALK_AUXILIARY_PAGES)", pid());
}

std::string Snapshot::handle_trace() {
    throw Error::unsupported(
        "", "handle traces exist on Windows alone (PSS_QUERY_HANDLE_TRACE_INFORMATION)", pid());
}

}  // namespace snapcore
