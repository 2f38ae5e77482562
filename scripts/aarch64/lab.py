# SPDX-License-Identifier: Apache-2.0
"""The Linux backend on AArch64: cross-compiled, and run in an emulated machine with Debian's kernel and root.

Usage: python scripts/aarch64/lab.py COMMAND
    setup                                     the machine's root (debootstrap), its kernel, the packages of the tests; once
    check                                     compile the core and the target programs, with warnings as errors; nothing is downloaded
    compile                                   the same with the Python module and the C++ tests
    build                                     the same, and the wheel in dist/aarch64/
    test [--cpu NAME] [ARGUMENTS OF PYTEST]   build; C++ tests and the smoke set in the machine; then here, the dumps that it left
    run [--cpu NAME] COMMAND                  build; a shell command in the machine, in a copy of the tree

--cpu is one of QEMU's: max (the default; it has SVE and pointer authentication), cortex-a72 (neither), ...
setup needs root, and Debian's debootstrap, qemu-system-arm and g++-aarch64-linux-gnu (check: the last alone). What is downloaded is
kept in $SNAPCORE_CACHE (default: ~/.cache/snapcore); everything else lies in build/aarch64/. A machine ends by itself, or after
$SNAPCORE_AARCH64_MINUTES (default: 180).
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import labs
from labs import ROOT, digest, download, output, pack, run

BUILD = ROOT / "build" / "aarch64"
SUITE = "bookworm"
PYTHON = "3.11"  # of that suite
RECIPE = 1  # another number makes everything anew
TAG = "cp311-cp311-linux_aarch64"
KERNEL = "linux-image-cloud-arm64"
# What the kernel needs before it sees a disk, in this order; and to be asked for a socket's peer, since the root has no modules.
MODULES = (
    "virtio",
    "virtio_ring",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "unix_diag",
)
MINUTES = float(os.environ.get("SNAPCORE_AARCH64_MINUTES") or 180)
# Those that want tools or time that the machine has not.
NOT_THERE = (
    "debugger",
    *("[go", "[java]", "[node]", "[python]", "[tiles]"),  # runtimes, AMX
    *("spinning_thread", "never_fork"),  # a pause beside a gap of some per cent, and one of 10 ms
    *("takes_too_long", "big_process"),  # 2 GiB and more
)
# Every part of the backend.
SMOKE = (
    "tests/linux/test_capture.py",
    "tests/linux/test_dump.py",
    "tests/linux/test_invisible.py",
    "tests/linux/test_signals.py",
    "tests/linux/test_states.py",
    "tests/linux/test_killed.py",
    "tests/common/test_dump_files.py",
    "tests/common/test_corpus.py",
    "-k",
    " and ".join(f"not {name}" for name in NOT_THERE),
)
LAB = "/lab"  # where the copy of the tree is, in the machine


def lines(path: Path) -> list[str]:
    """Of a file, without comments."""
    text = path.read_text(encoding="utf-8").splitlines()
    return [line for line in text if line and not line.startswith("#")]


def kept(name: str, make: Callable[[Path], None], *sources: Path) -> Path:
    """A folder of the cache, of this suite and recipe and made from these files."""
    return labs.kept(f"aarch64/{name}-{SUITE}-{RECIPE}-{digest(*sources)[:16]}", make)


# --- What is downloaded


def download_packages(folder: Path) -> None:
    """Debian's packages that no root needs, and apt's lists, which are of another processor than this machine's."""
    print("== downloading the kernel")
    options = labs.apt(folder / "apt", SUITE, "arm64")
    depends = output("apt-cache", *options, "depends", KERNEL)
    image = re.search(r"Depends: (linux-image-\S+)", depends)
    assert image is not None, depends
    packages = (image[1], "busybox-static", f"libpython{PYTHON}-dev")
    run("apt-get", *options, "download", *packages, cwd=folder)
    for package in sorted(folder.glob("*.deb")):
        run("dpkg-deb", "-x", package, folder / package.name.partition("_")[0])
    shutil.rmtree(folder / "apt")


def packages() -> Path:
    """Folder of those packages, unpacked."""
    return kept("packages", download_packages)


def of_package(name: str, pattern: str) -> Path:
    """The one file of an unpacked package."""
    (found,) = packages().glob(f"{name}*/{pattern}")
    return found


def python_headers() -> Path:
    """Folder of the headers of the machine's Python, in one piece."""
    folder = BUILD / "python"
    if not (folder / "pyconfig.h").exists():
        include = of_package("libpython", "usr/include")
        shutil.copytree(include / f"python{PYTHON}", folder, dirs_exist_ok=True)
        shutil.copy(include / "aarch64-linux-gnu" / f"python{PYTHON}" / "pyconfig.h", folder)
    return folder


def wheels() -> Path:
    """Folder of the wheels that the tests import, verified by pip."""

    def make(folder: Path) -> None:
        platforms = (f"manylinux_2_{minor}_aarch64" for minor in (36, 28, 27, 17))
        download(
            folder, HERE / "requirements.txt", "--python-version", PYTHON,
            *(f"--platform={platform}" for platform in platforms), "--platform=manylinux2014_aarch64",
        )  # fmt: skip

    return kept("wheels", make, HERE / "requirements.txt")


# --- The machine


def initial_files(folder: Path) -> Path:
    """An archive (cpio, newc) with what brings the machine to its root."""
    init = "\n".join(
        [
            "#!/busybox sh",
            "/busybox mkdir -p /dev /proc /root",
            "/busybox mount -t devtmpfs dev /dev",
            "/busybox mount -t proc proc /proc",
            *(f"/busybox insmod /{name}.ko" for name in MODULES),
            "/busybox mount -t ext4 -o noatime /dev/vda /root || exec /busybox sh",
            "/busybox mount -t ext4 -o noatime /dev/vdb /root/lab",
            "/busybox umount /proc",
            "/busybox mount --move /dev /root/dev",
            f"exec /busybox switch_root /root /bin/sh {LAB}/start",
            "",
        ]
    )
    files = {
        "init": init.encode(),
        "busybox": of_package("busybox", "bin/busybox").read_bytes(),
        **{
            f"{name}.ko": of_package("linux-image", f"lib/modules/*/**/{name}.ko").read_bytes()
            for name in MODULES
        },
    }
    out = bytearray()

    def add(name: str, mode: int, contents: bytes = b"", number: int = 0) -> None:
        fields = (number, mode, 0, 0, 1, 0, len(contents), 0, 0, 0, 0, len(name) + 1, 0)
        out.extend(b"070701" + b"".join(b"%08X" % field for field in fields))
        for part in (name.encode() + b"\0", contents):
            out.extend(part)
            out.extend(bytes(-len(out) % 4))

    for number, (name, contents) in enumerate(files.items(), 1):
        add(name, stat.S_IFREG | 0o755, contents, number)
    add("TRAILER!!!", 0)
    path = folder / "initial.cpio"
    path.write_bytes(out)
    return path


def disk(path: Path, contents: Path, mebibytes: int) -> Path:
    """A file system of a folder's files."""
    path.unlink(missing_ok=True)
    run("mke2fs", "-q", "-t", "ext4", "-m", "0", "-d", contents, path, f"{mebibytes}M")
    return path


# Ends the machine whatever comes, and leaves the results on the third disk.
START = """\
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
mount -t tmpfs tmpfs /run
mount -t tmpfs -o size=1g tmpfs /tmp
ln -sf /proc/self/fd /dev/fd
ip link set lo up
hostname aarch64
mkdir -p {lab}/results
cd {lab}
setsid --wait /bin/sh {lab}/work </dev/null >/dev/console 2>&1
echo "== ended with $?" >/dev/console
tar -C {lab}/results -cf /dev/vdc .
sync
echo o >/proc/sysrq-trigger
sleep 60
"""


def machine(root: Path, work: str, tree: Path, *, cpu: str, results: Path) -> int:
    """Run a shell script in a machine of its own, in /lab, a copy of `tree`; returns its exit code. `results` gets what it left in /lab/results."""
    with tempfile.TemporaryDirectory(dir=BUILD) as temporary:
        folder = Path(temporary)
        (tree / "start").write_text(START.format(lab=LAB))
        (tree / "work").write_text(work)
        size = sum(p.lstat().st_size for p in tree.rglob("*") if not p.is_symlink()) >> 20
        copy = disk(folder / "lab.img", tree, 2 * size + 256)
        back = folder / "results.img"
        with back.open("wb") as file:
            file.truncate(1 << 30)
        drives = []
        for letter, image, private in (
            ("a", root, True),
            ("b", copy, False),
            ("c", back, False),
        ):
            drives += [
                "-drive", f"file={image},if=none,id={letter},format=raw,cache=unsafe,snapshot={'on' if private else 'off'}",
                "-device", f"virtio-blk-pci,drive={letter}",
            ]  # fmt: skip
        # Architected pointer authentication is most of what emulation would do.
        model = cpu + ",pauth-impdef=on" if cpu == "max" else cpu
        command = [
            "qemu-system-aarch64", "-M", "virt", "-cpu", model, "-accel", "tcg,thread=multi", "-smp", "2", "-m", "2048",
            "-nographic", "-no-reboot", "-nic", "none", "-kernel", of_package("linux-image", "boot/vmlinuz-*"),
            "-initrd", initial_files(folder), "-append", "console=ttyAMA0 quiet panic=-1", *drives,
        ]  # fmt: skip
        status = 1
        started = time.monotonic()
        ended = re.compile(rb"== ended with (\d+)\s")
        with (
            subprocess.Popen(
                list(map(str, command)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            ) as process,
            subprocess.Popen(
                ["sh", "-c", f"sleep {MINUTES * 60}; kill {process.pid}"], start_new_session=True
            ) as watchdog,
        ):
            assert process.stdout is not None
            last = b""
            while some := process.stdout.read1(1 << 16):
                sys.stdout.buffer.write(some)
                sys.stdout.buffer.flush()
                last = last[-1000:] + some
                if found := ended.search(last):
                    status = int(found[1])
            os.killpg(watchdog.pid, 15)
        print(f"== the machine ({cpu}) ran for {time.monotonic() - started:.0f} s", flush=True)
        results.mkdir(parents=True, exist_ok=True)
        try:
            with tarfile.open(back) as archive:
                archive.extractall(results, filter="data")
        except tarfile.ReadError:
            print("== it left no results", flush=True)
            status = 1
    return status


def root_disk() -> Path:
    """The disk of the machine's root: what debootstrap unpacks here. Its second stage, which configures, would take an hour in the machine, and the tests need nothing of it but users."""

    def make(folder: Path) -> None:
        print("== making the root with debootstrap")
        root = folder / "root"
        include = ",".join(lines(HERE / "packages.txt"))
        run(
            "debootstrap", "--arch=arm64", "--foreign", "--variant=minbase", f"--include={include}", SUITE, root,
        )  # fmt: skip
        # The first stage unpacks those that every root has.
        for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
            # /lib and others are links there.
            with subprocess.Popen(
                ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE
            ) as files:
                run("tar", "--keep-directory-symlink", "-C", root, "-xf", "-", stdin=files.stdout)
            package.unlink()
        for name in ("passwd", "group"):
            shutil.copy(root / "usr/share/base-passwd" / f"{name}.master", root / "etc" / name)
        # In a container debootstrap links the machine's own.
        for name in ("proc", "sys"):
            if (root / name).is_symlink():
                (root / name).unlink()
            (root / name).mkdir(exist_ok=True)
        (root / "lab").mkdir()
        disk(folder / "root.img", root, 2048)
        shutil.rmtree(root)

    return kept("root", make, HERE / "packages.txt") / "root.img"


# --- What is built


def configure(folder: Path, *options: str) -> None:
    """Ask CMake for a cross build with warnings as errors."""
    run(
        "cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
        f"-DCMAKE_TOOLCHAIN_FILE={ROOT / 'cmake' / 'linux-aarch64.cmake'}",
        f"-DPython_EXECUTABLE={sys.executable}", "-DSNAPCORE_TESTS=ON", "-DSNAPCORE_WERROR=ON", *options,
    )  # fmt: skip


def check() -> None:
    """Compile what is different on this processor, and what it is linked with."""
    folder = BUILD / "check"
    configure(folder, "-DSNAPCORE_BINDINGS=OFF", "-DCMAKE_CXX_FLAGS_RELEASE=-O0")
    run(
        "cmake",
        "--build",
        folder,
        "--target",
        "snapcore_job",
        "snapcore-tracer",
        "cpp/tests/targets/all",
    )


def compile_all() -> Path:
    """Cross-compile everything; returns the folder of the build."""
    folder = BUILD / "cmake"
    pybind = output(
        sys.executable, "-c", "import pybind11; print(pybind11.get_cmake_dir())"
    ).strip()
    configure(
        folder,
        # Emulation takes the time that optimisation would save, and the compiler more than that.
        "-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG",
        "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=OFF",
        f"-DPython_INCLUDE_DIR={python_headers()}",
        f"-DPYTHON_MODULE_EXTENSION=.cpython-{PYTHON.replace('.', '')}-aarch64-linux-gnu.so",
        f"-Dpybind11_DIR={pybind}",
    )
    run("cmake", "--build", folder)
    return folder


def build() -> Path:
    """Compile, and pack the wheel, a test artefact."""
    return pack(BUILD / "wheel", compile_all(), TAG, ROOT / "dist" / "aarch64")


def copied_tree() -> Path:
    """What the machine gets: the files of the tree that git knows, the packages, the compiled tests."""
    wheel = build()
    tree = BUILD / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    for name in output("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z").split(
        "\0"
    ):
        source = ROOT / name
        if name.startswith(("docs/", "third_party/")) or not source.is_file():
            continue
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, tree / name)
    site = tree / "site"
    for archive in (wheel, *sorted(wheels().glob("*.whl"))):
        with zipfile.ZipFile(archive) as file:
            file.extractall(site)
    (site / "snapcore" / "snapcore-tracer").chmod(0o755)
    shutil.copytree(BUILD / "cmake" / "targets", tree / "build" / "tests" / "targets")
    tests = tree / "build" / "tests" / "cpp"
    tests.mkdir()
    for test in sorted((BUILD / "cmake" / "cpp" / "tests").glob("*_test")):
        shutil.copy(test, tests)
    return tree


# What says which machine it was.
FACTS = "uname -sr; python3 -c 'import numpy; print(\"NumPy\", numpy.__version__)'; grep -m1 ^Features /proc/cpuinfo"
ENVIRONMENT = f"export PYTHONPATH={LAB}/site SNAPCORE_TEST_PROGRAMS={LAB}/build/tests/targets SNAPCORE_SLOWER=4 SNAPCORE_CLONE_ON_AARCH64=1"


def in_machine(command: str, cpu: str) -> int:
    """Run a command in a machine, after a look at it; its results are in build/aarch64/results-CPU."""
    results = BUILD / f"results-{cpu}"
    shutil.rmtree(results, ignore_errors=True)
    work = f"{ENVIRONMENT}\n{FACTS}\n{command}\n"
    return machine(root_disk(), work, copied_tree(), cpu=cpu, results=results)


def test(cpu: str, arguments: list[str]) -> int:
    """Run the tests in the machine, and those of the dumps that it left here."""
    chosen = shlex.join(arguments or SMOKE)
    parts = [f"python3 -B -m pytest -p no:cacheprovider --color=no {chosen} || worst=1"]
    if not arguments:
        parts = [
            'for test in build/tests/cpp/*_test; do echo "== $test"; "$test" || worst=1; done',
            "python3 -B tests/aarch64_files/make.py results || worst=1",
            *parts,
        ]
    worst = in_machine("\n".join(["worst=0", *parts, "exit $worst"]), cpu)
    if arguments:
        return worst
    print("== pytest, dump files of AArch64, here", flush=True)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", ROOT / "tests" / "aarch64_files"],
        cwd=ROOT,
        env=os.environ | {"SNAPCORE_AARCH64_FILES": str(BUILD / f"results-{cpu}")},
        check=False,
    )
    return max(worst, ran.returncode)


def main() -> int:
    """Run it."""
    commands = ("setup", "check", "compile", "build", "test", "run")
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    command, arguments = sys.argv[1], sys.argv[2:]
    cpu = "max"
    if arguments[:1] == ["--cpu"]:
        cpu, arguments = arguments[1], arguments[2:]
    BUILD.mkdir(parents=True, exist_ok=True)
    if command == "setup":
        wheels()
        root_disk()
    elif command == "check":
        check()
    elif command == "compile":
        compile_all()
    elif command == "build":
        build()
    elif command == "test":
        return test(cpu, arguments)
    else:
        return in_machine(" ".join(arguments), cpu)
    return 0


if __name__ == "__main__":
    sys.exit(main())
