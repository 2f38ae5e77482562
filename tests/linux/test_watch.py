# SPDX-License-Identifier: Apache-2.0
"""Repeated dumps of real processes: what they hold, what they leave behind, and hostile bases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from isolation import SYS_PTRACE, apart, root_of_a_container
from linux_support import children, is_untouched
from support import wait_until
from watch_target import PAGE, Changing, changing, is_whole, own_pages

import snapcore
from snapcore import watching

SHORT = 0.05


@pytest.fixture
def target():
    with changing() as process:
        yield process


@pytest.fixture(params=["frames", "content"])
def options(request):
    """What has changed is told by page frames, or by the content alone."""
    return {"every": SHORT, "max_held": None if request.param == "frames" else 0}


def codes(result) -> set[str]:
    return {each.code for each in result.diagnostics}


def by_frames(options) -> bool:
    return options["max_held"] is None


def test_each_dump_is_whole_and_holds_what_changed(target, placement, options, tmp_path):
    pages = 4000
    at = target.do(f"at = small({pages}, 1); answer = at")
    expected: set[int] = set()
    with snapcore.watch(target.pid, tmp_path, count=5, **options) as watch:
        for result in watch:
            is_whole(result.path, target)
            with snapcore.open(result.path) as dump:
                assert dump.read(at, pages * PAGE) == target.memory(at, pages * PAGE)
                if result.number == 0:
                    assert result.base is None
                    assert dump.base is None
                    first = result
                    assert result.base_bytes == 0
                else:
                    assert result.base == first.path
                    assert dump.base.path == first.path
                    assert own_pages(dump, at, pages) == sorted(expected)
                    assert result.memory_bytes < first.memory_bytes / 2
                    assert result.memory_bytes + result.base_bytes >= first.memory_bytes * 0.9
                    assert result.bytes_written < first.bytes_written / 2
                    if by_frames(options):
                        assert result.compared_bytes < first.memory_bytes / 2
                    else:
                        assert result.compared_bytes >= first.memory_bytes * 0.9
            changed = {result.number * 7, result.number * 7 + 1, 500 + result.number}
            for page in changed:
                target.do(f"put(at + 4096 * {page}, {1000 + page + result.number})")
            expected |= changed
    assert children(target.pid) == []


def test_what_is_written_anew_with_the_same_bytes_is_not_in_it(target, options, tmp_path):
    at = target.do("at = small(600, 5); answer = at")
    with snapcore.watch(target.pid, tmp_path, count=2, **options) as watch:
        next(watch)
        target.do("fill(at, 300, 5)")
        target.do("put(at + 4096 * 10, 77)")
        result = next(watch)
        with snapcore.open(result.path) as dump:
            assert own_pages(dump, at, 600) == [10]
        is_whole(result.path, target)
        if by_frames(options):
            assert result.compared_bytes >= 300 * PAGE


def test_a_page_that_became_zero_or_was_given_back(target, options, tmp_path):
    target.do("at = small(700, 1)")
    with snapcore.watch(target.pid, tmp_path, count=3, **options) as watch:
        next(watch)
        target.do("ctypes.memset(at + 4096, 0, 4096)")
        target.do("advise(at + 4096 * 20, 50, 4)")  # MADV_DONTNEED
        is_whole(next(watch).path, target)
        target.do("advise(at, 700, 4)")
        is_whole(next(watch).path, target)


def test_huge_pages(target, options, tmp_path):
    pages = 4096
    at = target.do(
        f"at = (map({pages} + 512) + 0x1fffff) & ~0x1fffff; advise(at, {pages}, HUGEPAGE);"
        f"fill(at, {pages}, 3); answer = at"
    )
    smaps = Path(f"/proc/{target.pid}/smaps").read_text()
    assert any(
        line.startswith("AnonHugePages") and int(line.split()[1]) > 0 for line in smaps.splitlines()
    )
    with snapcore.watch(target.pid, tmp_path, count=3, **options) as watch:
        next(watch)
        target.do("put(at + 4096 * 600, 9)")
        result = next(watch)
        is_whole(result.path, target)
        with snapcore.open(result.path) as dump:
            assert own_pages(dump, at, pages) == [600]
        target.do("put(at + 4096 * 4000, 9)")
        is_whole(next(watch).path, target)


def test_mappings_that_come_move_and_go(target, options, tmp_path):
    target.do("big = small(2000, 100)")
    target.do("moved = small(50, 1); gone = small(50, 2); replaced = small(50, 3)")
    where = target.do("answer = replaced")
    with snapcore.watch(target.pid, tmp_path, count=4, **options) as watch:
        next(watch)
        target.do("old = moved; moved = remap(moved, 50); unmap(gone, 50)")
        gone = target.do("answer = gone")
        is_whole(next(watch).path, target)
        # Anonymous and never touched where the base has bytes, and the other way round.
        target.do("map(50, PRIVATE | ANONYMOUS | FIXED, at=replaced)")
        target.do("new = small(20, 50)")
        result = next(watch)
        is_whole(result.path, target)
        with snapcore.open(result.path) as dump:
            native = dump.read(where, 50 * PAGE) if _holds(dump, where) else bytes(50 * PAGE)
            assert native == bytes(50 * PAGE)
            assert dump._native.read(gone, 16) == b"" or _is_mapped(target, gone)
        target.do("fill(replaced, 50, 3)")  # as it was in the base
        result = next(watch)
        is_whole(result.path, target)
        with snapcore.open(result.path) as dump:
            assert own_pages(dump, where, 50) == []


def _holds(dump, address: int) -> bool:
    return any(begin <= address < begin + size for begin, size, *_ in dump.memory_ranges().tolist())


def _is_mapped(target: Changing, address: int) -> bool:
    for line in Path(f"/proc/{target.pid}/maps").read_text().splitlines():
        begin, end = (int(text, 16) for text in line.split()[0].split("-"))
        if begin <= address < end:
            return True
    return False


def test_pages_that_are_shared_with_a_child(target, options, tmp_path):
    at = target.do("at = small(500, 1); answer = at")
    target.do("reader, writer = os.pipe()")
    child = target.do(
        "child = os.fork(); child or (os.read(reader, 1), os._exit(0)); answer = child"
    )
    try:
        with snapcore.watch(target.pid, tmp_path, count=3, **options) as watch:
            next(watch)
            target.do("put(at, 5)")
            is_whole(next(watch).path, target)
            target.do("put(at + 4096, 6)")
            result = next(watch)
            is_whole(result.path, target)
            with snapcore.open(result.path) as dump:
                assert own_pages(dump, at, 500) == [0, 1]
        assert children(target.pid) == [child]
    finally:
        target.do("os.write(writer, b'x'); os.waitpid(child, 0)")


def test_files_that_change_behind_their_mapping(target, options, tmp_path):
    file = tmp_path / "mapped"
    file.write_bytes(b"".join(bytes([n + 1]) * PAGE for n in range(20)))
    target.do("big = small(2000, 100)")
    target.do(f"file = os.open({str(file)!r}, os.O_RDWR)")
    private = target.do("private = map(20, PRIVATE, file); answer = private")
    shared = target.do("shared = map(20, SHARED, file); answer = shared")
    memory = target.do("memory = map(20, SHARED | ANONYMOUS); fill(memory, 20, 9); answer = memory")
    for name in ("private", "shared"):
        target.do(f"ctypes.string_at({name}, 4096 * 20)")
    target.do("put(private + 4096, 4)")
    folder = tmp_path / "dumps"
    with snapcore.watch(target.pid, folder, count=3, **options) as watch:
        next(watch)
        # The page stays in its frame, of which both clones see the new bytes.
        with file.open("r+b") as opened:
            opened.seek(5 * PAGE)
            opened.write(b"new" * 100)
        target.do("put(memory + 4096 * 3, 1234); put(shared + 4096 * 7, 99)")
        result = next(watch)
        is_whole(result.path, target)
        with snapcore.open(result.path) as dump:
            assert own_pages(dump, private, 20) == [5, 7]
            assert own_pages(dump, shared, 20) == [5, 7]
            assert own_pages(dump, memory, 20) == [3]
        target.do("put(private + 4096, 5)")
        is_whole(next(watch).path, target)


@pytest.mark.parametrize("kind", ["dontfork", "wipeonfork", "shared", "memfd", "hugetlb"])
def test_memory_that_a_clone_lacks(request, start, kind, options, tmp_path):
    if kind == "hugetlb":
        request.getfixturevalue("huge_pages")
    target = start("kinds", kind)
    at, size = target.facts["memory"], target.facts["size"]
    value = 0x11
    with snapcore.watch(target.pid, tmp_path, **options) as watch:
        for later in (0x11, 0x22, 0x22, 0x11):
            result = next(watch)
            with snapcore.open(result.path, strict=True) as dump:
                assert dump.read(at, size) == bytes([value]) * size
            target.ask(f"fill {later}")
            value = later
        if kind == "hugetlb":
            assert children(target.pid) == []


def test_execve_in_between(target, options, tmp_path):
    target.do("big = small(500, 1)")
    with snapcore.watch(target.pid, tmp_path, count=3, **options) as watch:
        next(watch)
        target.process.stdin.write(
            "os.execv(sys.executable, [sys.executable, '-S', '-c', 'print(\"anew\", flush=True); import sys; sys.stdin.read()'])\n"
        )
        target.process.stdin.flush()
        assert target.process.stdout.readline() == "anew\n"
        target.rest()
        # Not even half of it is as before, whatever else is.
        is_whole(next(watch).path, target)
        is_whole(next(watch).path, target)


def test_without_the_right_to_see_frames(target, tmp_path):
    at = target.do("at = small(800, 1); answer = at")

    def work() -> dict[str, object]:
        out = []
        with snapcore.watch(target.pid, tmp_path, every=SHORT, count=3) as watch:
            for result in watch:
                held = len(children(target.pid))
                out.append((result.path, result.compared_bytes, held))
                target.do(f"put(at + 4096 * {result.number}, 12345)")
        return {"results": out}

    said = apart(work, root_of_a_container(SYS_PTRACE))["results"]
    assert [held for *_, held in said] == [0, 0, 0]
    assert said[1][1] > 800 * PAGE
    with snapcore.open(said[2][0]) as dump:
        assert own_pages(dump, at, 800) == [0, 1]


def test_one_clone_is_held_between_dumps_and_none_at_the_end(target, placement, tmp_path):
    target.do("at = small(800, 1)")
    watch = snapcore.watch(target.pid, tmp_path, every=SHORT)
    next(watch)
    held = children(target.pid)
    assert len(held) == 1
    next(watch)
    assert children(target.pid) == held
    watch.close()
    assert children(target.pid) == []
    assert list(watch) == []


def test_a_loop_that_is_left_early_leaves_nothing(target, tmp_path):
    for result in snapcore.watch(target.pid, tmp_path, every=SHORT):
        assert result.number == 0
        break
    wait_until(lambda: children(target.pid) == [])


def test_a_clone_that_holds_too_much_is_released(target, tmp_path):
    at = target.do("at = small(800, 1); answer = at")
    with snapcore.watch(target.pid, tmp_path, every=SHORT, max_held=PAGE) as watch:
        next(watch)
        assert len(children(target.pid)) == 1
        target.do("fill(at, 100, 7)")
        next(watch)
        assert children(target.pid) == []
        assert "clone_released" in {each.code for each in watch.diagnostics}
        target.do("put(at + 4096 * 300, 7)")
        result = next(watch)
        assert "clone_released" in codes(result) or result.compared_bytes > 800 * PAGE
        is_whole(result.path, target)
        with snapcore.open(result.path) as dump:
            assert own_pages(dump, at, 800) == [*range(100), 300]


def test_short_memory_releases_the_clone(target, tmp_path, monkeypatch):
    target.do("at = small(300, 1)")
    with snapcore.watch(target.pid, tmp_path, every=1.2, count=2) as watch:
        next(watch)
        assert len(children(target.pid)) == 1
        monkeypatch.setattr(watching, "headroom", lambda _: snapcore.headroom.Headroom(1, 1000))
        next(watch)
        assert {"clone_released"} <= {each.code for each in watch.diagnostics}


def test_a_clone_that_the_system_ended(target, tmp_path):
    target.do("at = small(800, 1)")
    with snapcore.watch(target.pid, tmp_path, every=SHORT) as watch:
        next(watch)
        os.kill(children(target.pid)[0], signal.SIGKILL)
        target.do("put(at + 4096 * 3, 7)")
        result = next(watch)
        is_whole(result.path, target)
        assert result.base is not None


def test_what_is_mostly_new_is_whole_and_the_next_base(target, options, tmp_path):
    target.do("at = small(4000, 1)")
    with snapcore.watch(target.pid, tmp_path, **options) as watch:
        first, second = next(watch), next(watch)
        assert second.base == first.path
        target.do("fill(at, 4000, 777)")
        third = next(watch)
        assert third.base is None
        is_whole(third.path, target)
        target.do("put(at, 1)")
        fourth = next(watch)
        assert fourth.base == third.path
        is_whole(fourth.path, target)
        assert len(children(target.pid)) == (1 if by_frames(options) else 0)


def test_a_base_gets_old(target, options, tmp_path):
    with snapcore.watch(target.pid, tmp_path, rebase=3, count=7, **options) as watch:
        results = list(watch)
    bases = [result.base for result in results]
    assert bases[0] is bases[3] is bases[6] is None
    assert bases[1] == bases[2] == results[0].path
    assert bases[4] == bases[5] == results[3].path


def test_keep(target, tmp_path):
    other = tmp_path / "snapcore-other.dmp"
    other.write_bytes(b"mine")
    with snapcore.watch(target.pid, tmp_path, every=SHORT, keep=3, rebase=4, count=11) as watch:
        for result in watch:
            there = {str(path) for path in tmp_path.iterdir()} - {str(other)}
            assert there == set(watch.files())
            assert len(there) <= 5
            assert max(there) == result.path
            for path in there:
                with snapcore.open(path, strict=True) as dump:
                    assert dump.diagnostics == ()
    assert other.read_bytes() == b"mine"


def test_files_of_others_are_not_deleted(target, tmp_path):
    with snapcore.watch(target.pid, tmp_path, every=SHORT, keep=1, rebase=1) as watch:
        first = next(watch)
        Path(first.path).unlink()
        Path(first.path).write_bytes(b"somebody else's")
        next(watch)
        assert Path(first.path).read_bytes() == b"somebody else's"


def test_a_base_that_was_deleted_is_made_anew(target, options, tmp_path):
    with snapcore.watch(target.pid, tmp_path, **options) as watch:
        first = next(watch)
        Path(first.path).unlink()
        second = next(watch)
        assert second.base is None
        assert "base_gone" in codes(second)
        assert next(watch).base == second.path


def test_what_is_due_meanwhile_is_skipped(target, tmp_path):
    with snapcore.watch(target.pid, tmp_path, every=0.2) as watch:
        next(watch)
        time.sleep(0.7)
        started = time.monotonic()
        result = next(watch)
        assert result.skipped >= 3
        assert time.monotonic() - started < 0.2 + 1
        assert watch.skipped == result.skipped


def test_stop_from_another_thread(target, tmp_path):
    with snapcore.watch(target.pid, tmp_path, every=600) as watch:
        next(watch)
        thread = threading.Timer(0.3, watch.stop)
        thread.start()
        assert list(watch) == []
        thread.join()
    assert children(target.pid) == []


def test_no_more_than_two_dumps_at_a_time(target, tmp_path):
    for _ in range(2):
        watching._DUMPS.acquire()
    threading.Timer(0.5, lambda: [watching._DUMPS.release() for _ in range(2)]).start()
    with snapcore.watch(target.pid, tmp_path, every=0.1) as watch:
        result = next(watch)
        assert result.skipped >= 1
        assert "busy" in codes(result)


def test_no_more_than_two_clones_are_held(tmp_path):
    with changing() as a, changing() as b, changing() as c:
        watches = [
            snapcore.watch(each.pid, tmp_path / str(each.pid), every=SHORT) for each in (a, b, c)
        ]
        results = [next(watch) for watch in watches]
        assert [len(children(each.pid)) for each in (a, b, c)] == [1, 1, 0]
        assert "no_clone_held" in codes(results[2]) | codes(next(watches[2]))
        for watch in watches:
            watch.close()


def test_the_process_ends(tmp_path):
    with changing() as target:
        with snapcore.watch(target.pid, tmp_path, every=SHORT) as watch:
            next(watch)
            next(watch)
            target.kill()
            assert list(watch) == []
            assert "process_ended" in {each.code for each in watch.diagnostics}
        with pytest.raises(snapcore.ProcessGone):
            next(snapcore.watch(target.pid, tmp_path, every=SHORT))


def test_the_process_ends_while_the_watch_waits(tmp_path):
    with changing() as target, snapcore.watch(target.pid, tmp_path, every=600) as watch:
        next(watch)
        threading.Timer(0.2, target.process.kill).start()
        started = time.monotonic()
        assert list(watch) == []
        assert time.monotonic() - started < 30


def command(*arguments: object) -> subprocess.Popen[str]:
    # Whoever starts the tests in the background may have them ignore SIGINT; Python then leaves it so.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from snapcore.cli import main; sys.exit(main())"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_ends_the_command(target, placement, tmp_path):
    target.do("at = small(5000, 1)")
    process = command("watch", target.pid, "-o", tmp_path, "--every", "200ms", "--keep", "2")
    lines = [process.stdout.readline() for _ in range(3)]
    assert "whole" in lines[0]
    assert "changed" in lines[2]
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert "Traceback" not in said
    wait_until(lambda: children(target.pid) == [])
    is_untouched(target.pid)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert all(name.endswith(".dmp") for name in names)
    for name in names:
        is_whole(tmp_path / name, target)


def test_a_killed_watch_leaves_no_clone(target, placement, tmp_path):
    process = command("watch", target.pid, "-o", tmp_path, "--every", "100ms")
    process.stdout.readline()
    process.stdout.readline()
    process.kill()
    process.communicate()
    # Of the clone a zombie may be left, as of every tracer that is killed.
    wait_until(lambda: all(_ended(child) for child in children(target.pid)))
    target.do("[os.waitpid(-1, os.WNOHANG | 0x40000000) for _ in range(2)] if False else None")
    snapcore.dump(target.pid, tmp_path / "after.dmp", "mini")
    _collect(target)


def _ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def _collect(target: Changing) -> None:
    target.do(
        "import contextlib\n".strip()
        + "; LIBC.wait4(-1, None, 0x40000001, None); LIBC.wait4(-1, None, 0x40000001, None)"
    )


def test_compressed(target, options, tmp_path):
    at = target.do("at = small(800, 1); answer = at")
    with snapcore.watch(target.pid, tmp_path, count=3, compression="zstd", **options) as watch:
        for result in watch:
            assert result.path.endswith(".dmp.zst")
            is_whole(result.path, target)
            assert (result.base is None) == (result.number == 0)
            target.do(f"put(at + 4096 * {result.number}, 99)")
    with snapcore.open(result.path) as dump:
        assert own_pages(dump, at, 800) == [0, 1]


def test_small_dumps_are_whole_each(target, tmp_path):
    with snapcore.watch(target.pid, tmp_path, every=SHORT, count=2, flags="mini") as watch:
        assert [result.base for result in watch] == [None, None]
    assert children(target.pid) == []


def test_heap_dumps(target, options, tmp_path):
    at = target.do("at = small(800, 1); answer = at")
    with snapcore.watch(target.pid, tmp_path, count=3, flags="heap", **options) as watch:
        for result in watch:
            is_whole(result.path, target)
            target.do("put(at + 4096 * 5, 3)")
    assert result.base is not None
    with snapcore.open(result.path) as dump:
        assert own_pages(dump, at, 800) == [5]


@pytest.mark.parametrize(
    "wrong",
    [
        {"every": 0},
        {"every": float("nan")},
        {"keep": 0},
        {"count": 0},
        {"rebase": 0},
        {"max_held": -1},
    ],
)
def test_numbers_that_are_too_small(wrong, tmp_path):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        snapcore.watch(os.getpid(), tmp_path, **({"every": 1} | wrong))
