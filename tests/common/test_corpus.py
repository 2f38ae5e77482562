# SPDX-License-Identifier: Apache-2.0
"""The inputs of the fuzz targets, through the Python layer: a result or DumpFormatError."""

from __future__ import annotations

import importlib.util

import pytest
from dump_files import everything
from fuzz_input import CORPUS, ROOT, families, streams, whole_file

import snapcore
from snapcore import DumpFormatError

TARGETS = ["file", "packed", *families()]


def test_it_is_what_the_script_makes():
    spec = importlib.util.spec_from_file_location(
        "make_corpus", ROOT / "scripts" / "make_corpus.py"
    )
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    made, kept = script.corpus(), script.kept()
    assert [p for p in made.keys() | kept.keys() if made.get(p) != kept.get(p)] == []


def test_it_is_small_and_findings_are_explained():
    files = [path for path in CORPUS.glob("*/*") if path.is_file()]
    assert {path.parent.name for path in files} == set(TARGETS)
    assert max(path.stat().st_size for path in files) <= 16384
    assert sum(path.stat().st_size for path in files) < 300_000
    lines = (CORPUS / "README.md").read_text(encoding="utf-8")
    found = {p.relative_to(CORPUS).as_posix() for p in files if p.name.startswith("found-")}
    assert {name for name in found if f"| `{name}` |" not in lines} == set()
    assert lines.count("/found-") == len(found)


def test_the_frame_leads_to_the_streams(tmp_path):
    path = tmp_path / "framed.dmp"
    for target, types in families().items():
        for input_ in sorted((CORPUS / target).glob("*.bin")):
            path.write_bytes(whole_file(target, input_.read_bytes()))
            with snapcore.open(path) as file:
                assert {s.type for s in file.streams()} & {*types}, input_


def test_a_stream_of_another_family_is_refused():
    with pytest.raises(AssertionError):
        streams("exception", lambda builder: builder.comment_a(b"text"))


@pytest.mark.parametrize("strict", [False, True], ids=["lenient", "strict"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_result_or_an_error_of_the_format(target, strict, tmp_path):
    path = tmp_path / "input.dmp"
    for input_ in sorted((CORPUS / target).iterdir()):
        data = whole_file(target, input_.read_bytes())
        path.write_bytes(data)
        try:
            found = everything(path, strict=strict)
        except DumpFormatError:
            assert strict or data[:4] != b"MDMP" or len(data) < 32, input_
        else:
            assert not strict or found == 0, input_
