# SPDX-License-Identifier: Apache-2.0
"""Make the outputs and pictures in docs/quickstart.md and docs/cookbook: run what stands there.

Usage: scripts/make_cookbook.py [--check] [--without breakpad] [RECIPE...]

Each recipe starts real processes and runs the commands of its pages. What they print stands there
between "<!-- output: NAME -->" and "<!-- end -->". With --check nothing is written: all is run again
and must look the same, but for numbers, addresses and names of temporary folders. Pictures are made,
not compared. Breakpad's tools come from the npm package minidump: where they are not on the PATH,
their folder is $SNAPCORE_BREAKPAD.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import random
import re
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
COOKBOOK = ROOT / "docs" / "cookbook"
IMAGES = ROOT / "docs" / "images"
EXAMPLES = ROOT / "examples"
PAGES = [ROOT / "docs" / "quickstart.md", *sorted(COOKBOOK.glob("*.md"))]
MARKED = re.compile(r"(<!-- output: ([\w-]+) -->\n)\n(.*?)\n\n(<!-- end -->)", re.DOTALL)

sys.path[:0] = [str(EXAMPLES), str(ROOT / "tests")]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


# What main() was asked for.
ASKED = argparse.Namespace(check=False, without=[], recipe=[])


class Kitchen:
    """A temporary folder, in which commands are run as they are printed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outputs: dict[str, str] = {}
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "SNAPCORE_"))},
            "PATH": os.pathsep.join(
                [
                    str(Path(sys.executable).parent),
                    os.environ.get("SNAPCORE_BREAKPAD", ""),
                    os.environ["PATH"],
                ]
            ),
            "COLUMNS": "110",
            "NO_COLOR": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, command: str, *, keep: Callable[[str], str] = str.rstrip) -> str:
        """Run a command; it and what it prints, as in a terminal."""
        with subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            assert process.stdout is not None
            try:
                text = keep(process.communicate(timeout=120)[0].decode("utf-8", "replace"))
            finally:
                # A test that hangs leaves its children.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        if "Traceback (most recent call last)" in text or process.returncode in (2, 126, 127):
            sys.exit(f"{command}: {process.returncode}\n{text}")
        return f"$ {command}\n{text}".rstrip()

    def show(self, name: str, *parts: str, language: str = "") -> None:
        """Give the output of this name."""
        self.outputs[name] = f"```{language}\n" + "\n".join(parts) + "\n```"

    @contextlib.contextmanager
    def started(self, *command: str | Path) -> Iterator[int]:
        """Run a program that prints a line when it is ready; give its process id."""
        with subprocess.Popen(
            list(map(str, command)),
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield process.pid
            finally:
                process.kill()


def first_lines(count: int) -> Callable[[str], str]:
    """Keep so many lines of a text, and say that there were more."""

    def cut(text: str) -> str:
        lines = text.rstrip().splitlines()
        return "\n".join([*lines[:count], *(["..."] if len(lines) > count else [])])

    return cut


def of_the_process(text: str) -> str:
    """Of what `snapcore doctor` says what is about the process; the machine is another one elsewhere."""
    return "...\n" + text[text.index("\nprocess ") + 1 :].rstrip()


def quickstart(kitchen: Kitchen) -> None:
    """A web server that does nothing, dumped and looked into."""
    with kitchen.started(
        sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"
    ) as pid:
        kitchen.show(
            "quickstart-doctor", kitchen.run(f"snapcore doctor {pid}", keep=of_the_process)
        )
        kitchen.show("quickstart-dump", kitchen.run(f"snapcore dump {pid} -o web.dmp --full"))
        kitchen.show(
            "quickstart-look",
            kitchen.run(
                "snapcore handles web.dmp --columns handle,type_name,socket_state,object_name"
            ),
            kitchen.run("snapcore threads web.dmp --columns tid,name,instruction_pointer"),
            kitchen.run("snapcore modules web.dmp --columns base,size,path --where path~libc.so"),
        )
        kitchen.show(
            "quickstart-live",
            kitchen.run(f"snapcore regions {pid} --where 'size>=100K' --where mapped_file~libc.so"),
        )


def handle_leak(kitchen: Kitchen) -> None:
    """The upload service of examples/handle_leak.py, from "it grows" to the line that is missing."""
    from handle_leak import SERVICE

    (kitchen.folder / "uploadd.py").write_text(SERVICE)
    (kitchen.folder / "spool").mkdir()
    with kitchen.started(sys.executable, "uploadd.py", "spool") as pid:
        kitchen.run(f"snapcore dump {pid} -o before.dmp --heap -q")
        kitchen.show("leak-what", kitchen.run(f"snapcore leaks {pid} --interval 0.5 --count 10"))
        kitchen.show(
            "leak-which", kitchen.run(f"snapcore leaks {pid} --count 3 --new", keep=first_lines(5))
        )
        kitchen.run(f"snapcore dump {pid} -o after.dmp --heap -q")
        draw_growth(pid)
    kitchen.show("leak-diff", kitchen.run("snapcore diff before.dmp after.dmp --by type_name"))
    kitchen.show(
        "leak-report", kitchen.run("snapcore report after.dmp --since before.dmp -o leak.html")
    )
    kitchen.show("leak-script", kitchen.run(f"python {EXAMPLES / 'handle_leak.py'}"))
    if not ASKED.check:
        photograph(kitchen.folder / "leak.html", IMAGES / "leak-report.png", "What grew", 590)


def memory_growth(kitchen: Kitchen) -> None:
    """The service of examples/memory_growth.py."""
    from memory_growth import SERVICE

    (kitchen.folder / "sessiond.py").write_text(SERVICE)
    with kitchen.started(sys.executable, "sessiond.py") as pid:
        kitchen.run(f"snapcore dump {pid} -o before.dmp --heap -q")
        time.sleep(3)
        kitchen.run(f"snapcore dump {pid} -o after.dmp --heap -q")
    kitchen.show(
        "memory-diff",
        kitchen.run("snapcore diff before.dmp after.dmp --table regions --by type"),
    )
    kitchen.run("snapcore report after.dmp --since before.dmp -o memory.html")
    kitchen.show(
        "memory-script",
        kitchen.run(f"python {EXAMPLES / 'memory_growth.py'}"),
    )
    if not ASKED.check:
        photograph(
            kitchen.folder / "memory.html", IMAGES / "memory-report.png", "Address space", 460
        )


def hung_service(kitchen: Kitchen) -> None:
    """examples/deadlock.c: threads that wait for each other, in the command, in Python, in debuggers."""
    program = kitchen.folder / "payd"
    source = EXAMPLES / "deadlock.c"
    subprocess.run(["cc", "-g", "-O0", "-pthread", "-o", program, source], check=True)
    with kitchen.started(program) as pid:
        time.sleep(0.3)
        kitchen.show(
            "hung-threads",
            kitchen.run(
                f"snapcore threads {pid} --snapshot --columns tid,name,last_syscall,instruction_pointer"
            ),
        )
        kitchen.show("hung-dump", kitchen.run(f"snapcore dump {pid} -o hung.dmp --heap"))
        lldb = "lldb-19 --batch --no-lldbinit -o 'target create --core hung.dmp' -o 'thread backtrace all'"
        kitchen.show("lldb-threads", kitchen.run(lldb, keep=frames_of_ours), language="text")
        if "breakpad" not in ASKED.without:
            breakpad(kitchen, pid)
    kitchen.show(
        "hung-script",
        kitchen.run(f"python {EXAMPLES / 'hung_service.py'} hung.dmp"),
    )


def frames_of_ours(text: str) -> str:
    """Of LLDB's output the threads and their first frames."""
    out: list[str] = []
    for line in text.splitlines():
        if "* thread" in line or "  thread #" in line:
            out.append(line.rstrip())
        elif re.search(r"0x[0-9a-f]+ payd`(?!_start)", line):
            out.append(re.sub(r" at .*/", " at ", line.rstrip()))
    return "\n".join(out)


def breakpad(kitchen: Kitchen, pid: int) -> None:
    """Symbols of a program, and the stacks of its dump, by Breakpad's own tools."""
    kitchen.run(f"snapcore dump {pid} -o small.dmp --mini -q")
    (kitchen.folder / "symbols.sh").write_text(SYMBOLS.lstrip())
    kitchen.outputs["breakpad-code"] = f"```sh\n{SYMBOLS.strip()}\n```"
    kitchen.show(
        "breakpad-stacks",
        kitchen.run("sh symbols.sh payd /lib/x86_64-linux-gnu/libc.so.6"),
        kitchen.run(
            "minidump_stackwalk small.dmp symbols 2>/dev/null | grep -E '^(Thread|OS|CPU)|payd!'"
        ),
    )


SYMBOLS = """
for file in "$@"; do
    dump_syms "$file" > one.sym 2>/dev/null
    read -r _ _ _ id name < one.sym
    mkdir -p "symbols/$name/$id"
    mv one.sym "symbols/$name/$id/$name.sym"
    echo "$name $id"
done
"""


def fleet(kitchen: Kitchen) -> None:
    """Dumps of a service on three machines, one of which leaks."""
    leaky = "import sys, socket, time; kept = [socket.socket() for _ in range(int(sys.argv[1]))]"
    code = leaky + "; print('ready', flush=True); time.sleep(600)"
    for host, count in (("web-1", 4), ("web-2", 380), ("web-3", 6)):
        (kitchen.folder / "dumps" / host).mkdir(parents=True)
        for part in ("a", "b"):
            with kitchen.started(sys.executable, "-c", code, str(count)) as pid:
                kitchen.run(f"snapcore dump {pid} -o dumps/{host}/{part}.dmp --mini -q")
    (kitchen.folder / "dumps" / "web-3" / "cut.dmp").write_bytes(b"MDM")
    kitchen.show(
        "fleet-scan",
        kitchen.run("snapcore scan dumps --table handles -o table/"),
        kitchen.run("find table -type f | sort"),
    )
    (kitchen.folder / "hosts.py").write_text(FLEET_QUERY)
    kitchen.show("fleet-query", kitchen.run("python hosts.py"))
    kitchen.outputs["fleet-code"] = f"```python\n{FLEET_QUERY.strip()}\n```"


FLEET_QUERY = """
import duckdb
import snapcore

scan = snapcore.scan("dumps", "handles", columns=["type_name"])
print(
    duckdb.sql(
        "SELECT host, type_name, count(*) // count(DISTINCT source) AS a_process "
        "FROM scan GROUP BY 1, 2 ORDER BY a_process DESC, host LIMIT 3"
    )
)
for found in scan.diagnostics:
    print(found.severity, found.code, found.path)
"""

HANGING_TEST = """
import subprocess
import sys


def test_the_server_answers():
    server = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.PIPE
    )
    assert server.stdout.readline() == b"ready\\n"
"""


def hanging_test(kitchen: Kitchen) -> None:
    """A test that waits for a line which never comes."""
    (kitchen.folder / "test_server.py").write_text(HANGING_TEST.lstrip())
    (kitchen.folder / "pytest.toml").write_text("[pytest]\n")
    kitchen.outputs["pytest-code"] = f"```python\n{HANGING_TEST.strip()}\n```"
    kitchen.show(
        "pytest-run",
        kitchen.run(
            "pytest -q --timeout=6 --snapcore-on-timeout=dumps -p no:cacheprovider",
            keep=dumps_section,
        ),
    )
    kitchen.show("pytest-look", kitchen.run("ls dumps"))


def dumps_section(text: str) -> str:
    """The plugin's section of a report, and the last line."""
    start = text.index("snapcore dumps")
    lines = text[text.rindex("\n", 0, start) + 1 :].splitlines()
    section = [lines[0]]
    for line in lines[1:]:
        if re.match(r"[-=+~]{5}", line):
            break
        section.append(line)
    return "\n".join([*section, "...", text.rstrip().splitlines()[-1]])


def builds(kitchen: Kitchen) -> None:
    """examples/compare_builds.py."""
    kitchen.show(
        "builds-script",
        kitchen.run(f"python {EXAMPLES / 'compare_builds.py'}"),
    )


# --- Pictures


def draw_growth(pid: int) -> None:
    """Handles of a process by what they are, from leaks()."""
    if ASKED.check:
        return
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    import snapcore

    found = snapcore.leaks(pid, interval=0.25, count=24)
    style = {"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "snapcore"}
    with plt.rc_context({**style, "axes.spines.top": False, "axes.spines.right": False}):
        figure, axes = plt.subplots(figsize=(7, 2.6), layout="constrained")
        axes.step(found.seconds, found.totals, color="#8c959f", where="post", label="all handles")
        growth = next(g for g in found.by("object_name") if g.grows)
        name = growth.value.rpartition("/")[2]
        axes.step(found.seconds, growth.counts, color="#c2491d", where="post", label=name)
        middle = found.seconds.mean()
        line = growth.counts[len(growth.counts) // 2] + growth.per_second * (found.seconds - middle)
        label = f"slope: {growth.per_second:.1f} a second"
        axes.plot(found.seconds, line, color="#1f5fa8", lw=1, ls="--", label=label)
        axes.set_xlabel("seconds since the first sample")
        axes.set_ylabel("handles")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False, loc="lower right")
        figure.savefig(IMAGES / "leak-growth.svg", metadata={"Date": None})
        plt.close(figure)


def photograph(page: Path, picture: Path, section: str, height: int) -> None:
    """A section of a report, as a browser shows it."""
    import base64

    from chromium import browser

    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as tab:
        tab.open(page.as_uri(), width=860)
        box = tab.evaluate(
            "(() => { const h = [...document.querySelectorAll('h2')]"
            f".find(h => h.textContent.trim().startsWith({section!r}));"
            "const e = h.closest('section') ?? h.parentElement; const r = e.getBoundingClientRect();"
            "return {x: r.x + scrollX - 12, y: r.y + scrollY - 8, width: r.width + 24, height: r.height + 16} })()"
        )
        clip = {**box, "height": min(box["height"], height), "scale": 1}
        answer = tab.ask(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
        )
        picture.write_bytes(base64.b64decode(answer["data"]))


# --- What is in the pages


def shape(text: str) -> list[str]:
    """What of an output is the same in every run: its lines, whatever their order and number."""
    lines = set()
    for line in text.splitlines():
        line = re.sub(r"/tmp/[\w./#-]*", "/tmp/", line)  # noqa: PLW2901
        line = re.sub(r"[▁▂▃▄▅▆▇█_.:*#=+-]{3,}", "~", line)  # noqa: PLW2901
        line = re.sub(r"\b[0-9A-F]{33,}\b|\b[0-9a-f]{32}-", "ID", line)  # noqa: PLW2901
        line = re.sub(r"0x[0-9a-f]+|\d[\d.,]*", "#", line)  # noqa: PLW2901
        line = re.sub(r"\b(#\s?)(ns|us|ms|s|bytes|KiB|MiB|GiB)\b", "# unit", line)  # noqa: PLW2901
        line = re.sub(r"#([TZ:-]+#)+Z?", "#", line)  # noqa: PLW2901
        lines.add(re.sub(r"\s+", " ", line).strip())
    return sorted(lines)


RECIPES = {
    "quickstart": quickstart,
    "handle-leak": handle_leak,
    "memory-growth": memory_growth,
    "hung-service": hung_service,
    "fleet": fleet,
    "pytest": hanging_test,
    "builds": builds,
}


def cook(names: list[str]) -> dict[str, str]:
    """Run recipes; give all their outputs."""
    outputs: dict[str, str] = {}
    for name in names:
        print(f"== {name}", flush=True)
        # Of letters alone, and as long as the name that stands for it in the pages.
        folder = f"/tmp/cookbook-{''.join(random.choices(string.ascii_lowercase, k=3))}"
        Path(folder).mkdir()
        try:
            kitchen = Kitchen(Path(folder))
            RECIPES[name](kitchen)
        finally:
            shutil.rmtree(folder)
        outputs |= {key: named(text, folder) for key, text in kitchen.outputs.items()}
    return outputs


def named(text: str, folder: str) -> str:
    """The same without the names of this machine's folders, and of its build of the kernel."""
    for name, stands_for in (
        (folder, "/home/me/cookbook"),
        (f"{ROOT}/", ""),
        (os.uname().release, os.uname().release.partition("-")[0]),
    ):
        text = text.replace(name, stands_for)
    return text


def compare(outputs: dict[str, str]) -> int:
    """Print where the pages differ; give how many outputs do."""
    written = {
        name: text for page in PAGES for _, name, text, _ in MARKED.findall(page.read_text("utf-8"))
    }
    differ = 0
    for name, text in outputs.items():
        before, now = shape(written.get(name, "")), shape(text)
        if before != now:
            differ += 1
            print(f"{name} is not what stands in the page:")
            print(*difflib.unified_diff(before, now, "page", "now", lineterm="", n=1), sep="\n")
    return differ


def write(outputs: dict[str, str]) -> None:
    """Put the outputs into the pages."""
    for page in PAGES:
        text = page.read_text("utf-8")
        new = MARKED.sub(
            lambda m: f"{m[1]}\n{outputs.get(m[2], m[3])}\n\n{m[4]}",
            text,
        )
        if new != text:
            page.write_text(new, "utf-8")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", nargs="*", metavar="RECIPE")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--without", action="append", default=[], choices=["breakpad"])
    parser.parse_args(namespace=ASKED)
    outputs = cook(ASKED.recipe or list(RECIPES))
    if not ASKED.check:
        write(outputs)
    return 1 if ASKED.check and compare(outputs) else 0


if __name__ == "__main__":
    sys.exit(main())
