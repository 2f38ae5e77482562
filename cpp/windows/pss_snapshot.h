// SPDX-License-Identifier: Apache-2.0
//
// One HPSS from its capture to its end.
#pragma once

#include <cstdint>

#include "base/diagnostics.h"
#include "base/error.h"
#include "windows/system_api.h"

namespace snapcore::windows_os {

class PssSnapshot {
public:
    // Throws Error; PssCaptureSnapshot cannot be interrupted.
    PssSnapshot(HANDLE process,
                std::uint32_t pid,
                std::uint32_t flags,
                std::uint32_t context_flags);
    ~PssSnapshot() { free(); }
    PssSnapshot(const PssSnapshot&) = delete;
    PssSnapshot& operator=(const PssSnapshot&) = delete;

    HPSS get() const { return snapshot_; }
    // How long PssCaptureSnapshot took. The suspension of the target lies inside; how long it was
    // is not told, so this is its upper bound.
    std::int64_t capture_ns() const { return capture_ns_; }
    // The copy-on-write clone, owned by the snapshot; null without VA_CLONE.
    HANDLE clone() const { return clone_; }

    // False where this was not captured.
    template <class Answer>
    bool query(raw::QueryClass what, Answer& answer) const {
        const DWORD error = snapshot_api().query(snapshot_, what, &answer, sizeof answer);
        if (error == ERROR_NOT_FOUND) return false;
        if (error != ERROR_SUCCESS) throw Error::from_win32(error, "PssQuerySnapshot", {}, pid_);
        return true;
    }

    // Calls `take` with each entry, whose pointers are valid until the walk returns; false where
    // this was not captured.
    template <class Entry, class Take>
    bool walk(raw::WalkClass what, Take&& take) const {
        const Marker marker(pid_);
        for (;;) {
            Entry entry{};
            const DWORD error =
                snapshot_api().walk(snapshot_, what, marker.get(), &entry, sizeof entry);
            if (error == ERROR_NO_MORE_ITEMS) return true;
            if (error == ERROR_NOT_FOUND) return false;
            if (error != ERROR_SUCCESS) {
                throw Error::from_win32(error, "PssWalkSnapshot", {}, pid_);
            }
            take(entry);
        }
    }

    // Ends the clone, then frees the snapshot; never throws. Freeing alone has left clones running.
    Diagnostics free() noexcept;

private:
    class Marker {
    public:
        explicit Marker(std::uint32_t pid);
        ~Marker();
        Marker(const Marker&) = delete;
        Marker& operator=(const Marker&) = delete;
        HPSSWALK get() const { return marker_; }

    private:
        HPSSWALK marker_ = nullptr;
    };

    // Asks for the clone's handle.
    HANDLE find_clone() const;

    std::uint32_t pid_;
    std::uint32_t flags_;
    std::int64_t capture_ns_ = 0;
    HPSS snapshot_ = nullptr;
    HANDLE clone_ = nullptr;
};

}  // namespace snapcore::windows_os
