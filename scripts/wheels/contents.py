# SPDX-License-Identifier: Apache-2.0
"""What a wheel holds, and nothing else; what its programs want of the system.

Usage: python scripts/wheels/contents.py FOLDER    the wheels in it; fails for one that is not right
"""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from targets import ROOT

MOST_BYTES = 2 << 20
_LICENCES = ("LICENSE", "third_party/zstd/LICENSE")
# Of the C library of either kind, on either processor.
_LIBRARIES = re.compile(
    r"(libc|libm|libdl|libpthread|librt|ld-linux-x86-64|ld-linux-aarch64)\.so\.\d"
    r"|libc\.musl-\w+\.so\.1"
)
# Parts of Windows 10.
_DLLS = re.compile(
    r"(kernel32|advapi32|ntdll|msvcrt|ucrtbase|shell32|ole32|api-ms-win-[\w-]+)\.dll"
)
_MAC_LIBRARY = "/usr/lib/libSystem.B.dylib"
# As Windows takes names.
_STAND_IN = "snapsim.dll".encode("utf-16-le")
_MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64"}


def expected(version: str, module: str, tracer: bool) -> set[str]:
    """Names of the files of a wheel.

    Parameters
    ----------
    version : str
        Of the package.
    module : str
        File name of the native module.
    tracer : bool
        Whether the tracer is a program of its own.
    """
    source = ROOT / "src"
    out = {
        str(path.relative_to(source))
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    facts = f"snapcore-{version}.dist-info"
    out |= {f"{facts}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    out |= {f"{facts}/licenses/{name}" for name in _LICENCES}
    out.add(f"snapcore/{module}")
    if tracer:
        out.add("snapcore/snapcore-tracer")
    return out


def check(wheel: Path) -> dict[str, Any]:
    """Facts of a wheel; AssertionError for what must not be.

    Parameters
    ----------
    wheel : Path
        The file, whose name says what must be in it.
    """
    _, version, python, _, system = wheel.stem.split("-")
    tracer = "linux" in system
    processor = "aarch64" if "aarch64" in system else "x86_64"
    module = _module(python, system)
    size = wheel.stat().st_size
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
        wanted = expected(version, module, tracer)
        assert names == wanted, f"missing: {wanted - names}; not of the wheel: {names - wanted}"
        for name in ("snapcore/py.typed", "pytest_snapcore/py.typed", "snapcore/_core.pyi"):
            assert name in names, name
        files = {name: archive.read(name) for name in names if name.endswith((module, "-tracer"))}
        if tracer:
            mode = archive.getinfo("snapcore/snapcore-tracer").external_attr >> 16
            assert mode & 0o777 == 0o755, f"the tracer's mode is {mode:o}"
        for name in names:
            assert "snapsim" not in name
        for name, data in files.items():
            assert _STAND_IN not in data, f"{name} is the one for the stand-in"
    libraries: set[str] = set()
    for name, data in files.items():
        if tracer:
            libraries |= _check_elf(name, data, processor)
        elif system.startswith("win"):
            libraries |= _check_pe(name, data, python)
        else:
            libraries |= _check_macho(name, data, system)
    assert size < MOST_BYTES, f"{wheel.name} has {size} bytes, of which {MOST_BYTES} are too many"
    return {"bytes": size, "libraries": sorted(libraries)}


def _module(python: str, system: str) -> str:
    digits = python.removeprefix("cp")
    if system.startswith("win"):
        return f"_core.{python}-{system}.pyd"
    if system.startswith("macosx"):
        return f"_core.cpython-{digits}-darwin.so"
    processor = "aarch64" if "aarch64" in system else "x86_64"
    return f"_core.cpython-{digits}-{processor}-linux-{'musl' if 'musl' in system else 'gnu'}.so"


def _check_elf(name: str, data: bytes, processor: str) -> set[str]:
    file = ELFFile(io.BytesIO(data))
    assert file["e_machine"] == _MACHINES[processor], f"{name} is of {file['e_machine']}"
    dynamic = file.get_section_by_name(".dynamic")
    assert isinstance(dynamic, DynamicSection), name
    tags = list(dynamic.iter_tags())
    needed = {tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"}
    foreign = {library for library in needed if not _LIBRARIES.fullmatch(library)}
    assert not foreign, f"{name} needs {foreign}"
    assert not [tag for tag in tags if tag.entry.d_tag in ("DT_RPATH", "DT_RUNPATH")], name
    for section in (".symtab", ".debug_info"):
        assert file.get_section_by_name(section) is None, f"{name} has a {section}"
    return needed


def _check_pe(name: str, data: bytes, python: str) -> set[str]:
    import pefile

    image = pefile.PE(data=data, fast_load=True)
    image.parse_data_directories([pefile.DIRECTORY_ENTRY["IMAGE_DIRECTORY_ENTRY_IMPORT"]])
    needed = {entry.dll.decode().lower() for entry in image.DIRECTORY_ENTRY_IMPORT}
    own = f"python{python.removeprefix('cp')}.dll"
    foreign = {dll for dll in needed if not _DLLS.fullmatch(dll) and dll != own}
    assert not foreign, f"{name} needs {foreign}"
    assert own in needed, f"{name} does not need {own}"
    return needed


def _check_macho(name: str, data: bytes, system: str) -> set[str]:
    from macholib import mach_o
    from macholib.MachO import MachO
    from macholib.SymbolTable import SymbolTable

    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        image = MachO(file.name)
        symbols = SymbolTable(image)
    (header,) = image.headers
    processor = "ARM64" if system.endswith("arm64") else "x86_64"
    made_for = mach_o.CPU_TYPE_NAMES[header.header.cputype]
    assert made_for == processor, f"{name} is of {made_for}"
    assert header.filetype in ("bundle", "dylib"), f"{name} is a {header.filetype}"
    commands = {command.cmd: (facts, rest) for command, facts, rest in header.commands}
    assert mach_o.LC_RPATH not in commands, name
    # On ARM64 nothing runs without a signature, if only one of nobody.
    assert mach_o.LC_CODE_SIGNATURE in commands or processor != "ARM64", f"{name} is not signed"
    version = commands[mach_o.LC_BUILD_VERSION][0].minos
    major, minor = map(int, system.split("_")[1:3])
    assert version <= major << 16 | minor << 8, f"{name} is for macOS {version >> 16} and newer"
    needed = {library for _, _, library in header.walkRelocatables()}
    assert needed == {_MAC_LIBRARY}, f"{name} needs {needed}"
    exported = {symbol.decode() for _, symbol in symbols.extdefsyms}
    assert "_PyInit__core" in exported, f"{name} is no module of Python"
    # Names that are looked up in the whole process, where the others are of the library.
    open_names = {n.decode() for facts, n in symbols.undefsyms if facts.n_desc >> 8 != 1}
    foreign = {n for n in open_names if not n.startswith(("_Py", "__Py"))}
    assert not foreign, f"{name} wants {foreign} of whoever has it"
    return needed


def undefined_names(data: bytes) -> set[str]:
    """What a program or library of Linux takes from others, weak names left out."""
    return {s.name for s in _dynamic_symbols(data) if not _is_here(s) and not _is_weak(s)}


def defined_names(data: bytes) -> set[str]:
    """What a library of Linux gives to others."""
    return {s.name for s in _dynamic_symbols(data) if _is_here(s)}


def _dynamic_symbols(data: bytes) -> list:
    table = ELFFile(io.BytesIO(data)).get_section_by_name(".dynsym")
    assert isinstance(table, SymbolTableSection)
    return [symbol for symbol in table.iter_symbols() if symbol.name]


def _is_here(symbol) -> bool:
    return symbol["st_shndx"] != "SHN_UNDEF"


def _is_weak(symbol) -> bool:
    return symbol["st_info"]["bind"] == "STB_WEAK"


def programs(wheel: Path) -> dict[str, bytes]:
    """The native module of a wheel for Linux, and the tracer."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name)
            for name in archive.namelist()
            if name.endswith((".so", "-tracer"))
        }


def audit(wheel: Path, tag: str) -> None:
    """What auditwheel makes of a wheel must be its tag, or be meant for older systems still."""
    done = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", wheel], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    words = " ".join(done.stdout.split())
    found = re.search(r'following platform tag: "(\w+)"', words)
    assert found, words
    assert "requires the following external shared libraries" not in words, words
    family, _, processor = tag.partition("_2_28_" if tag.startswith("many") else "_1_2_")
    made = re.fullmatch(rf"{family}_(\d+)_(\d+)_{processor}", found[1])
    assert made, f"auditwheel calls {wheel.name} {found[1]}"
    wanted = (2, 28) if family == "manylinux" else (1, 2)
    assert (int(made[1]), int(made[2])) <= wanted, f"auditwheel calls {wheel.name} {found[1]}"


def main() -> int:
    """Run it."""
    found = sorted(Path(sys.argv[1]).glob("*.whl"))
    assert found, "there are no wheels"
    for wheel in found:
        print(wheel.name, check(wheel))
    return 0


if __name__ == "__main__":
    sys.exit(main())
