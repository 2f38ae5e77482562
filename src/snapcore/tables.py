# SPDX-License-Identifier: Apache-2.0
# Generated from dtypes.py by scripts/generate_docs.py; do not edit.
"""The tables by name: each knows the types of its columns, for type checkers and editors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from snapcore.table import Table

if TYPE_CHECKING:
    from typing import Literal, overload

    import numpy as np
    from numpy.typing import NDArray

    from snapcore.table import StringColumn

__all__ = [
    "AuxiliaryPageTable",
    "HandleTable",
    "ModuleTable",
    "RegionTable",
    "SystemHandleTable",
    "SystemThreadTable",
    "ThreadTable",
]


class ThreadTable(Table):
    """A :class:`Table` with the columns of ``snapcore.dtypes.THREADS``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __getitem__(
            self, column: Literal["tid", "pid", "flags", "exit_status", "last_syscall"], /
        ) -> NDArray[np.uint32]: ...

        @overload
        def __getitem__(self, column: Literal["name", "state"], /) -> StringColumn: ...

        @overload
        def __getitem__(
            self, column: Literal["priority", "base_priority"], /
        ) -> NDArray[np.int32]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "affinity",
                "start_address",
                "teb",
                "instruction_pointer",
                "stack_pointer",
                "stack_start",
                "stack_end",
                "last_syscall_argument",
            ],
            /,
        ) -> NDArray[np.uint64]: ...

        @overload
        def __getitem__(self, column: Literal["suspend_count"], /) -> NDArray[np.uint16]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "created_at_ns", "exited_at_ns", "kernel_time_ns", "user_time_ns", "captured_at_ns"
            ],
            /,
        ) -> NDArray[np.int64]: ...

        @overload
        def __getitem__(self, column: str, /) -> Any: ...

        def __getitem__(self, column: str, /) -> Any: ...


class HandleTable(Table):
    """A :class:`Table` with the columns of ``snapcore.dtypes.HANDLES``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __getitem__(
            self,
            column: Literal[
                "handle",
                "peb",
                "affinity",
                "start_address",
                "section_base",
                "inode",
                "device",
                "peer_handle",
                "signal_mask",
            ],
            /,
        ) -> NDArray[np.uint64]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "type",
                "granted_access",
                "attributes",
                "handle_count",
                "pointer_count",
                "paged_pool_charge",
                "non_paged_pool_charge",
                "flags",
                "target_pid",
                "target_tid",
                "exit_status",
                "parent_pid",
                "process_flags",
                "owner_pid",
                "owner_tid",
                "section_attributes",
                "peer_pid",
                "watch_count",
                "seals",
            ],
            /,
        ) -> NDArray[np.uint32]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "type_name",
                "object_name",
                "socket_family",
                "socket_type",
                "socket_protocol",
                "socket_state",
                "local_address",
                "remote_address",
                "watched",
                "clock",
                "locks",
                "details",
            ],
            /,
        ) -> StringColumn: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "created_at_ns",
                "captured_at_ns",
                "current_count",
                "maximum_count",
                "section_size",
                "position",
                "expires_in_ns",
                "interval_ns",
            ],
            /,
        ) -> NDArray[np.int64]: ...

        @overload
        def __getitem__(
            self, column: Literal["priority", "base_priority"], /
        ) -> NDArray[np.int32]: ...

        @overload
        def __getitem__(
            self, column: Literal["signaled", "manual_reset", "abandoned"], /
        ) -> NDArray[np.bool_]: ...

        @overload
        def __getitem__(self, column: str, /) -> Any: ...

        def __getitem__(self, column: str, /) -> Any: ...


class RegionTable(Table):
    """A :class:`Table` with the columns of ``snapcore.dtypes.REGIONS``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __getitem__(
            self,
            column: Literal[
                "base",
                "size",
                "allocation_base",
                "image_base",
                "resident",
                "offset",
                "inode",
                "device",
            ],
            /,
        ) -> NDArray[np.uint64]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "allocation_protect",
                "protect",
                "state",
                "type",
                "image_timestamp",
                "image_size",
                "image_checksum",
            ],
            /,
        ) -> NDArray[np.uint32]: ...

        @overload
        def __getitem__(self, column: Literal["mapped_file", "linux_flags"], /) -> StringColumn: ...

        @overload
        def __getitem__(self, column: Literal["in_clone"], /) -> NDArray[np.bool_]: ...

        @overload
        def __getitem__(self, column: str, /) -> Any: ...

        def __getitem__(self, column: str, /) -> Any: ...


class ModuleTable(Table):
    """A :class:`Table` with the columns of ``snapcore.dtypes.MODULES``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, column: Literal["base", "size"], /) -> NDArray[np.uint64]: ...

        @overload
        def __getitem__(
            self, column: Literal["path", "version", "debug_id", "code_id"], /
        ) -> StringColumn: ...

        @overload
        def __getitem__(
            self, column: Literal["timestamp", "checksum"], /
        ) -> NDArray[np.uint32]: ...

        @overload
        def __getitem__(self, column: str, /) -> Any: ...

        def __getitem__(self, column: str, /) -> Any: ...


class AuxiliaryPageTable(Table):
    """A :class:`Table` with the columns of ``snapcore.dtypes.AUXILIARY_PAGES``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __getitem__(
            self, column: Literal["address", "allocation_base"], /
        ) -> NDArray[np.uint64]: ...

        @overload
        def __getitem__(
            self, column: Literal["size", "allocation_protect", "protect", "state", "type"], /
        ) -> NDArray[np.uint32]: ...

        @overload
        def __getitem__(self, column: Literal["captured_at_ns"], /) -> NDArray[np.int64]: ...

        @overload
        def __getitem__(self, column: Literal["contents"], /) -> StringColumn: ...

        @overload
        def __getitem__(self, column: str, /) -> Any: ...

        def __getitem__(self, column: str, /) -> Any: ...


class SystemHandleTable(Table):
    """A :class:`Table` with the columns of ``snapcore.dtypes.SYSTEM_HANDLES``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __getitem__(
            self,
            column: Literal[
                "pid",
                "type",
                "granted_access",
                "attributes",
                "handle_count",
                "pointer_count",
                "paged_pool_charge",
                "non_paged_pool_charge",
                "flags",
                "target_pid",
                "target_tid",
                "exit_status",
                "parent_pid",
                "process_flags",
                "owner_pid",
                "owner_tid",
                "section_attributes",
                "peer_pid",
                "watch_count",
                "seals",
            ],
            /,
        ) -> NDArray[np.uint32]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "process_name",
                "type_name",
                "object_name",
                "socket_family",
                "socket_type",
                "socket_protocol",
                "socket_state",
                "local_address",
                "remote_address",
                "watched",
                "clock",
                "locks",
                "details",
            ],
            /,
        ) -> StringColumn: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "handle",
                "peb",
                "affinity",
                "start_address",
                "section_base",
                "inode",
                "device",
                "peer_handle",
                "signal_mask",
            ],
            /,
        ) -> NDArray[np.uint64]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "created_at_ns",
                "captured_at_ns",
                "current_count",
                "maximum_count",
                "section_size",
                "position",
                "expires_in_ns",
                "interval_ns",
            ],
            /,
        ) -> NDArray[np.int64]: ...

        @overload
        def __getitem__(
            self, column: Literal["priority", "base_priority"], /
        ) -> NDArray[np.int32]: ...

        @overload
        def __getitem__(
            self, column: Literal["signaled", "manual_reset", "abandoned"], /
        ) -> NDArray[np.bool_]: ...

        @overload
        def __getitem__(self, column: str, /) -> Any: ...

        def __getitem__(self, column: str, /) -> Any: ...


class SystemThreadTable(Table):
    """A :class:`Table` with the columns of ``snapcore.dtypes.SYSTEM_THREADS``."""

    __slots__ = ()

    if TYPE_CHECKING:

        @overload
        def __getitem__(
            self, column: Literal["process_name", "name", "state"], /
        ) -> StringColumn: ...

        @overload
        def __getitem__(
            self, column: Literal["tid", "pid", "flags", "exit_status", "last_syscall"], /
        ) -> NDArray[np.uint32]: ...

        @overload
        def __getitem__(
            self, column: Literal["priority", "base_priority"], /
        ) -> NDArray[np.int32]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "affinity",
                "start_address",
                "teb",
                "instruction_pointer",
                "stack_pointer",
                "stack_start",
                "stack_end",
                "last_syscall_argument",
            ],
            /,
        ) -> NDArray[np.uint64]: ...

        @overload
        def __getitem__(self, column: Literal["suspend_count"], /) -> NDArray[np.uint16]: ...

        @overload
        def __getitem__(
            self,
            column: Literal[
                "created_at_ns", "exited_at_ns", "kernel_time_ns", "user_time_ns", "captured_at_ns"
            ],
            /,
        ) -> NDArray[np.int64]: ...

        @overload
        def __getitem__(self, column: str, /) -> Any: ...

        def __getitem__(self, column: str, /) -> Any: ...
