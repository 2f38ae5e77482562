# SPDX-License-Identifier: Apache-2.0
"""snapcore --print-completion, in a shell that uses it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from snapcore.cli import main
from snapcore.cli.columnar import BINARY_FORMATS
from snapcore.cli.output import FORMATS

ASK = r"""
set -u
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
function=$(complete -p snapcore | sed -E 's/.*-F (\S+).*/\1/')
set +u
"$function" snapcore "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "snapcore"
    with path.open("w") as out:
        subprocess.run(
            [sys.executable, "-m", "snapcore", "--print-completion", "bash"], stdout=out, check=True
        )
    return path


def completed(script, *words: str, cwd=None) -> set[str]:
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", str(script), "snapcore", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_commands(script):
    assert {"dump", "info", "threads", "report", "doctor"} <= completed(script, "")
    assert completed(script, "rep") == {"report"}
    assert completed(script, "re") == {"read", "regions", "report"}


def test_options(script):
    assert completed(script, "report", "--si") == {"--since"}
    assert completed(script, "dump", "--f") == {"--full", "--flags", "--force"}
    assert completed(script, "handles", "--format", "") == {*FORMATS, *BINARY_FORMATS}
    assert completed(script, "dump", "--method", "s") == {"snapshot"}


def test_files(script, tmp_path):
    for name in ("one.dmp", "other.dmp"):
        (tmp_path / name).touch()
    assert completed(script, "info", "on", cwd=tmp_path) == {"one.dmp"}
    assert completed(script, "report", "one.dmp", "--since", "ot", cwd=tmp_path) == {"other.dmp"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_one(shell, capsys):
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", shell])
    assert not end.value.code
    out = capsys.readouterr().out
    assert all(word in out for word in ("snapcore", "doctor", "max-pause", "jsonl"))


def test_without_the_extra(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    with pytest.raises(SystemExit) as end:
        main(["--print-completion", "bash"])
    assert end.value.code == 1
    assert "snapcore[cli]" in capsys.readouterr().err
