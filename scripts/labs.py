# SPDX-License-Identifier: Apache-2.0
"""What the builds for other systems share: commands that must succeed, the cache of downloads, wheels packed by hand."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parent.parent
CACHE = Path(
    os.environ.get("SNAPCORE_CACHE")
    or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snapcore"
)


def run(*command: str | Path, **options: Any) -> None:
    """Run a command that must succeed; what it said is shown where it does not."""
    done = subprocess.run(
        list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    )
    if done.returncode != 0:
        sys.stderr.buffer.write(done.stdout)
        sys.exit(f"{command[0]} failed with {done.returncode}")


def output(*command: str | Path, **options: Any) -> str:
    """What a command that must succeed writes."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.stderr.write(done.stdout + done.stderr)
        sys.exit(f"{command[0]} failed with {done.returncode}")
    return done.stdout


def digest(*paths: Path) -> str:
    """Hash of the contents of some files."""
    out = hashlib.sha256()
    for path in paths:
        out.update(path.read_bytes())
    return out.hexdigest()


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of the cache that is made once, whole or not at all: `make(part)` fills it."""
    folder = CACHE / name
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            part = Path(temporary) / "part"
            part.mkdir()
            make(part)
            part.rename(folder)
    return folder


def download(folder: Path, requirements: Path, *platform: str) -> None:
    """Fetch the wheels that a file of requirements names, verified by pip."""
    print(f"== downloading what {requirements.name} names", flush=True)
    run(
        sys.executable, "-m", "pip", "download", "--no-input", "--no-deps", "--only-binary=:all:",
        "--require-hashes", "-r", requirements, "-d", folder, *platform,
    )  # fmt: skip


def debian_mirror() -> str:
    """Where this machine's own packages come from."""
    text = output("apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages")
    for site in text.split():
        if not site.startswith("file:") and "security" not in site:
            return site
    sys.exit("apt knows no mirror of Debian")


def apt(folder: Path, suite: str, architecture: str, kind: str = "deb") -> list[str]:
    """Options by which apt knows a suite's packages of a processor, and keeps what it knows in a folder.

    `kind` may be "deb-src", for the sources of the packages.
    """
    lists, cache = folder / "lists", folder / "cache"
    (lists / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    sources = folder / "sources.list"
    sources.write_text(f"{kind} {debian_mirror()} {suite} main\n")
    options = [
        f"-oAPT::Architecture={architecture}", f"-oAPT::Architectures={architecture}",
        f"-oDir::State::lists={lists}", f"-oDir::Cache={cache}", "-oDir::State::status=/dev/null",
        "-oAPT::Sandbox::User=root", "-oDir::Etc::sourceparts=/dev/null",
        f"-oDir::Etc::sourcelist={sources}",
    ]  # fmt: skip
    run("apt-get", *options, "update")
    return options


def pack(stage: Path, built: Path, tag: str, out: Path, *components: str) -> Path:
    """Make the wheel of what CMake built, as pip would.

    Components are those of the install rules; an empty one, or none at all, is what belongs to no other.
    """
    shutil.rmtree(stage, ignore_errors=True)
    stage.mkdir(parents=True)
    run(
        sys.executable, "-c",
        "import sys; from scikit_build_core.build import prepare_metadata_for_build_wheel as f; f(sys.argv[1])",
        stage, cwd=ROOT,
    )  # fmt: skip
    for component in components or [""]:
        chosen = ["--component", component] if component else []
        run("cmake", "--install", built, "--prefix", stage, *chosen)
    shutil.copytree(
        ROOT / "src", stage, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
    )
    (facts,) = stage.glob("*.dist-info/WHEEL")
    text = re.sub(r"(?m)^Tag: .*\n", "", facts.read_text(encoding="utf-8")).rstrip()
    facts.write_text(f"{text}\nTag: {tag}\n", encoding="utf-8")
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"*-{tag}.whl"):
        old.unlink()
    run(sys.executable, "-m", "wheel", "pack", stage, "-d", out)
    (made,) = out.glob(f"*-{tag}.whl")
    return made
