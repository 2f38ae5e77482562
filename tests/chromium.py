# SPDX-License-Identifier: Apache-2.0
"""A browser without a window, asked over a pipe in its DevTools protocol."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Browser:
    """One tab of Debian's chromium."""

    def __init__(self, read_from: int, write_to: int) -> None:
        self._from = os.fdopen(read_from, "rb")
        self._to = os.fdopen(write_to, "wb", buffering=0)
        self._number = 0
        self._session: str | None = None
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        tab = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            data = self._from.read1(1 << 20)
            assert data, "the browser ended"
            self._rest += data
        raw, _, self._rest = self._rest.partition(b"\0")
        return json.loads(raw)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]
            self.events.append(answer)

    def open(self, url: str, *, width: int, dark: bool = False) -> None:
        """Load a page in a window of that width; wait until it is loaded."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.ask("Emulation.setEmulatedMedia", features=[scheme])
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.events.clear()
        self.ask("Page.navigate", url=url)
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.events.append(self._message())

    def evaluate(self, expression: str) -> Any:
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """The whole page, as PNG."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])

    def requests(self) -> list[str]:
        """What the page has loaded since it was opened."""
        return [
            e["params"]["request"]["url"]
            for e in self.events
            if e["method"] == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[dict[str, Any]]:
        """What stands on its console."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [e for e in self.events if e["method"] in kinds]

    def close(self) -> None:
        self._session = None
        with contextlib.suppress(AssertionError, BrokenPipeError):
            self.ask("Browser.close")
        self._from.close()
        self._to.close()


@contextlib.contextmanager
def browser(folder: Path) -> Iterator[Browser]:
    """Start it; nothing of it is left afterwards."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: scripts/setup installs it"
    profile = tempfile.mkdtemp(dir=folder)
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # It reads commands from descriptor 3 and writes to 4.
    shell = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
    with subprocess.Popen(
        [
            "bash",
            "-c",
            shell,
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-breakpad",
            "--disable-extensions",
            "--no-first-run",
            "--no-zygote",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "about:blank",
        ],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        tab = None
        try:
            tab = Browser(ours_in, ours_out)
            yield tab
        finally:
            if tab is not None:
                tab.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
