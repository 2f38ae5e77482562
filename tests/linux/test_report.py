# SPDX-License-Identifier: Apache-2.0
"""The report in a browser: what it shows, to whom, and that nothing in it comes alive."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chromium import Browser, browser
from report_pages import HOSTILE, hostile_dump, large_dump

import snapcore
from snapcore.cli import main
from snapcore.cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

STYLE = Path(snapcore.__file__).parent / "html" / "templates" / "style.css"

GROWING = r"""
import os, socket, sys, threading
os.chdir(sys.argv[1])
def new(name): return os.open(name, os.O_CREAT | os.O_RDWR)
reused = new("old.log")
for _ in range(5):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.readline()
os.close(reused)
assert new("new.log") == reused
kept = [new(f"session-{n}.tmp") for n in range(7)]
kept += [os.open("/dev/null", os.O_RDONLY) for _ in range(40)]
kept += [socket.socket() for _ in range(9)]
block = b"x" * (64 << 20)
print("grown", flush=True)
sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Of a process that grew, of its hostile brother, and of a very large one."""
    folder = tmp_path_factory.mktemp("pages")
    out = {name: folder / f"{name}.html" for name in ("grown", "hostile", "large", "live")}
    with subprocess.Popen(
        [sys.executable, "-c", GROWING, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        snapcore.dump(process.pid, folder / "before.dmp", "full")
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        snapcore.dump(process.pid, folder / "after.dmp", "full", comment="grown")
        with snapcore.capture(process.pid) as snap:
            snapcore.report(snap, out["live"], since=folder / "before.dmp")
        process.kill()
    snapcore.report(folder / "after.dmp", out["grown"], since=folder / "before.dmp")
    early = hostile_dump(folder / "early.dmp", early=True)
    snapcore.report(hostile_dump(folder / "hostile.dmp"), out["hostile"], since=early)
    started = time.monotonic()
    large_dump(folder / "large.dmp")
    built = time.monotonic()
    snapcore.report(folder / "large.dmp", out["large"], since=folder / "before.dmp")
    # Building such a file takes seconds itself, on whatever machine this is.
    assert time.monotonic() - built < max(2, built - started)
    return out


NAMES = ["grown", "live", "hostile", "large"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [320, 400, 1200])
def test_nothing_overflows_and_nothing_is_loaded(tab, pages, name, width):
    tab.open(pages[name].as_uri(), width=width)
    tab.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    outside = """[...document.querySelectorAll('body *')].filter(
        e => !e.closest('.scroll') && e.getBoundingClientRect().right > innerWidth + 1
    ).map(e => e.outerHTML.slice(0, 80))"""
    assert tab.evaluate(outside) == []
    assert tab.requests() == [pages[name].as_uri()]
    assert tab.complaints() == []
    shown = tab.evaluate("""['.wide', '.narrow'].map(
        c => getComputedStyle(document.querySelector(c)).display)""")
    assert shown == (["none", "block"] if width < 640 else ["block", "none"])


@pytest.mark.parametrize("name", ["grown", "live", "hostile"])
@pytest.mark.parametrize("width", [360, 401])
def test_changes_and_messages_are_seen_on_a_phone(tab, pages, name, width):
    """Whole, without moving them to the side."""
    tab.open(pages[name].as_uri(), width=width)
    hidden = """[...document.querySelectorAll('#grew .scroll, #diagnostics .scroll')].map(
        e => [e.getAttribute('aria-label'), e.scrollWidth - e.clientWidth])"""
    assert len(found := tab.evaluate(hidden)) >= 3
    assert [each for each in found if each[1] > 0] == []


def test_dark_and_light_differ(tab, pages):
    pictures = {}
    for dark in (False, True):
        tab.open(pages["grown"].as_uri(), width=1200, dark=dark)
        pictures[dark] = tab.screenshot()
        assert pictures[dark].startswith(b"\x89PNG")
        tab.open(pages["grown"].as_uri(), width=1200, dark=dark)
        assert tab.screenshot() == pictures[dark], "a page is drawn the same each time"
    assert pictures[False] != pictures[True]


def test_what_it_says(tab, pages):
    tab.open(pages["grown"].as_uri(), width=1200)
    rows = tab.evaluate(
        """Object.fromEntries([...document.querySelectorAll('table')].map(t => [
            t.caption.textContent,
            [...t.tBodies[0].rows].map(r => [...r.cells].map(c => c.innerText.trim()))]))"""
    )
    # One was closed and its number used again; 56 are new.
    assert ["handles", "4", "60", "+56", "57", "1"] in rows["In all"]
    assert ["threads", "6", "6", "±0", "0", "0"] in rows["In all"]
    assert ["File", "1", "8", "+7", "8", "1"] in rows["Handles by type"]
    assert ["Socket", "0", "9", "+9", "9", "0"] in rows["Handles by type"]
    assert ["CharacterDevice", "0", "40", "+40", "40", "0"] in rows["Handles by type"]
    folder = re.sub(r"\d+", "#", str(pages["grown"].parent))
    assert rows["Handles that came, by name"] == [
        ["/dev/null\nCharacterDevice", "40", ""],
        ["socket:[#]\nSocket", "9", ""],
        [f"{folder}/session-#.tmp\nFile", "7", ""],
        [f"{folder}/new.log\nFile", "1", ""],
    ]
    assert "Threads that came, by name" not in rows
    grown = {row[0]: row[3] for row in rows["Committed memory by kind, before and now"]}
    assert grown["private memory"].startswith("+64."), grown
    assert ["CharacterDevice", "40", ""] in rows["By type"]
    assert rows["Objects with more than one handle"][0][:2] == ["/dev/null", "40"]
    # The first thread may not sleep yet.
    assert sum(int(row[1]) for row in rows["By state"]) == 6
    tops = rows["By the top of the stack"]
    assert sum(int(row[1]) for row in tops) == 6
    assert re.match(r"(libc|ld)[\w.-]+\+0x", tops[0][0]), tops
    assert int(tops[0][1]) >= 5
    titles = tab.evaluate(
        "[...document.querySelectorAll('.wide .private title')].map(t => t.textContent)"
    )
    assert any(re.search(r"0x\w+ READWRITE: 64\.\d MiB", title) for title in titles), titles
    text = tab.evaluate("document.body.innerText")
    assert "Comment\tgrown" in text or "grown" in text.split("Comment", 1)[1][:20]


def test_a_snapshot_says_the_same(tab, pages):
    tab.open(pages["live"].as_uri(), width=1200)
    text = tab.evaluate("document.body.innerText")
    assert "the running process" in text
    assert re.search(r"handles\s+4\s+60\s+\+56\s+57\s+1\b", text)
    assert "another process" not in text, "a dump file holds its start in whole seconds"


def test_nothing_of_the_process_comes_alive(tab, pages):
    """With the page's own policy taken away, which would hide a mistake."""
    page = pages["hostile"]
    text = page.read_text(encoding="utf-8")
    policy = re.search(r"<meta http-equiv=\"Content-Security-Policy\"[^>]*>", text)
    assert policy, "the page forbids itself to load and run anything"
    assert "default-src 'none'" in policy[0]
    bare = page.with_name("bare.html")
    bare.write_text(text.replace(policy[0], ""), encoding="utf-8")
    tab.open(bare.as_uri(), width=1200)
    assert tab.requests() == [bare.as_uri()]
    assert tab.complaints() == []
    assert not [e for e in tab.events if e["method"] == "Page.javascriptDialogOpening"]
    elements = tab.evaluate(
        "[...new Set([...document.querySelectorAll('*')].map(e => e.localName))]"
    )
    assert not {"script", "img", "iframe", "object", "form"} & set(elements)
    handlers = "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
    assert not [a for a in tab.evaluate(handlers) if a.startswith("on")]
    shown = tab.evaluate("document.body.textContent")
    for name in ("<script>alert(1)</script>", "{{ 7 * 7 }}", "&amp;lt;", '"><svg onload=alert(3)>'):
        assert name in shown, name
    grew = tab.evaluate("document.querySelector('#grew').textContent")
    for name in ("<script>alert(1)</script>", "<script>alert(#)</script>", "{{ # * # }}{% raw %}"):
        assert name in grew, name
    assert r"right\u202egpj.exe\u2066" in shown
    assert r"\x1b[31mred\x07" in shown
    assert all(c == "\n" or c.isprintable() for c in text)
    assert not [name for name in HOSTILE[-3:-1] if name in text]


def test_the_crash_is_told(tab, pages):
    tab.open(pages["hostile"].as_uri(), width=1200)
    alarm = tab.evaluate("document.querySelector('.alarm').innerText")
    assert "0xb SIGSEGV" in alarm
    assert "+0x1234" in alarm
    assert "4242 (<script>" in alarm


def test_tables_and_pictures_are_named(tab, pages):
    """For those who do not see the page."""
    tab.open(pages["grown"].as_uri(), width=1200)
    assert tab.evaluate("document.documentElement.lang") == "en"
    tables = "document.querySelectorAll('table').length"
    assert tab.evaluate(tables) > 8
    assert tab.evaluate("[...document.querySelectorAll('table')].every(t => t.caption)")
    assert tab.evaluate("[...document.querySelectorAll('th')].every(h => h.scope)")
    rows = "[...document.querySelectorAll('tbody tr')].every(r => r.cells[0].scope === 'row')"
    assert tab.evaluate(rows)
    assert tab.evaluate(
        """[...document.querySelectorAll('svg')].every(
            s => s.getAttribute('role') === 'img' && s.getAttribute('aria-label').length > 20)"""
    )
    regions = "[...document.querySelectorAll('[role=region]')]"
    assert tab.evaluate(f"{regions}.every(r => r.getAttribute('aria-label') && r.tabIndex === 0)")
    assert tab.evaluate("[...document.querySelectorAll('h1,h2,h3')].length") > 6
    links = "[...document.querySelectorAll('nav a')].every(a => document.querySelector(a.hash))"
    assert tab.evaluate(links)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_enough():
    """4.5 to 1, as the Web Content Accessibility Guidelines ask of text."""
    light, dark = (
        dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.DOTALL)
    )
    assert light.keys() == dark.keys()
    kinds = ("private", "stack", "image", "mapped", "other")
    pairs = [("ink", kind) for kind in kinds]
    pairs += [(text, "card") for text in ("ink", "soft", "accent", "warn", "bad", "good")]
    pairs += [(text, "page") for text in ("ink", "soft", "accent")]
    for colours in (light, dark):
        for text, ground in pairs:
            a, b = sorted((luminance(colours[text]), luminance(colours[ground])))
            assert (b + 0.05) / (a + 0.05) >= 4.5, (text, ground, colours)


def test_a_large_one_is_bounded(pages):
    """100,000 regions, 20,000 handles, 5,000 threads: the greatest of each, and a count of the rest."""
    text = pages["large"].read_text(encoding="utf-8")
    assert len(text) < 400_000
    assert "33,293 more" in text
    assert re.search(r"280 more types, 18,\d{3} in all", text)
    assert "4,800 more threads are not shown" in text
    assert "99,970 more regions are not shown" in text
    assert "2,900 more modules are not shown" in text
    assert "The earlier one is of another process" in text
    assert "by name</caption>" not in text, "the same number is not the same handle"


def test_the_file(tmp_path, pages, idle, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(idle)]) in (ExitCode.OK, ExitCode.WARNINGS)
    (page,) = tmp_path.iterdir()
    assert capsys.readouterr().out == f"{page.name}\n"
    assert re.fullmatch(rf"snapcore-\w*python[\w.]*\.{idle}\.html", page.name)
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    first = page.read_bytes()
    assert main(["report", str(idle)]) == ExitCode.FAILURE
    assert "--force" in capsys.readouterr().err
    assert page.read_bytes() == first
    assert main(["report", str(idle), "--force"]) in (ExitCode.OK, ExitCode.WARNINGS)
    assert list(tmp_path.iterdir()) == [page]
    dump = tmp_path / "a.dmp"
    snapcore.dump(idle, dump)
    assert main(["report", str(dump), "-q"]) == ExitCode.OK
    assert (tmp_path / "a.dmp.html").exists()
    broken = tmp_path / "broken.dmp"
    broken.write_bytes(b"no minidump")
    assert main(["report", str(dump), "--since", str(broken), "-o", "x"]) == ExitCode.FAILURE
    assert "broken.dmp: " in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_nothing_is_left_where_it_cannot_be_written(pages, tmp_path, monkeypatch):
    dump = pages["grown"].with_name("before.dmp")
    with pytest.raises(FileNotFoundError):
        snapcore.report(dump, tmp_path / "missing" / "a.html")
    snapcore.report(dump, tmp_path / "a.html")
    with pytest.raises(FileExistsError):
        snapcore.report(dump, tmp_path / "a.html")
    full = Path("/dev/full")
    with pytest.raises(FileExistsError):
        snapcore.report(dump, full, overwrite=True)
    assert full.is_char_device()


def test_without_the_extra(pages, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    dump = pages["grown"].with_name("before.dmp")
    with pytest.raises(ImportError, match=r"pip install 'snapcore\[report\]'"):
        snapcore.report(dump, tmp_path / "a.html")
    assert main(["report", str(dump), "-o", str(tmp_path / "a.html")]) == ExitCode.FAILURE
    assert "snapcore[report]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_import_is_cheap():
    """Neither the package nor the command loads what only a report needs."""
    code = (
        "import sys, json, snapcore, snapcore.cli; snapcore.cli.build_parser();"
        "print(json.dumps([n for n in sys.modules if n.split('.')[0] in ('jinja2', 'pytest', 'shtab')"
        " or n.startswith('snapcore.html.') and n != 'snapcore.html.report']))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert json.loads(said) == []
