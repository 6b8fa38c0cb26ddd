"""A headless Chromium that a test tells what to do, through the pipe that Chromium offers for that."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: Without these it calls home.
_QUIET = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-sync
--disable-component-update --disable-dev-shm-usage --hide-scrollbars --remote-debugging-pipe
""".split()  # noqa: SIM905


def program() -> str | None:
    """Chromium's path, or nothing where there is none."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


@dataclass
class Page:
    """A tab."""

    process: subprocess.Popen[bytes]
    out: Any
    back: Any
    session: str = ""
    number: int = 0
    buffer: bytes = b""
    #: Everything that the page asked for, and everything that the browser complained of.
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def send(self, method: str, **values: Any) -> dict[str, Any]:
        """Tell the browser something and give what it answers."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": values}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while (heard := self._read()).get("id") != self.number:
            self._note(heard)
        assert "error" not in heard, f"{method}: {heard['error']}"
        return dict(heard["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            more = os.read(self.back, 1 << 20)
            assert more, "Chromium has ended"
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\0")
        return dict(json.loads(text))

    def _note(self, heard: dict[str, Any]) -> None:
        match heard.get("method"), heard.get("params", {}):
            case "Network.requestWillBeSent", {"request": {"url": url}}:
                self.asked.append(url)
            case "Log.entryAdded", {"entry": {"text": text}}:
                self.complaints.append(text)
            case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                self.complaints.append(str(details))

    def look(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Have a window of a size, and a scheme of colours."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media="", features=[scheme])

    def open(self, path: Path) -> None:
        """Show a file, and wait until it is there."""
        self.asked.clear()
        self.send("Page.navigate", url=path.as_uri())
        while self.value("document.readyState") != "complete":
            pass

    def value(self, expression: str) -> Any:
        """Give the value of an expression of JavaScript."""
        found = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def point(self, selector: str) -> tuple[float, float]:
        """Put the pointer on the middle of an element, which is scrolled to, and say where that is."""
        x, y = self.value(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', inline: 'center'}); const r = e.getClientRects()[0];"
            " return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        self.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        return x, y

    def click(self, selector: str) -> None:
        """Press the mouse's button in the middle of an element, as a person would."""
        x, y = self.point(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def until(self, expression: str, seconds: float = 20) -> None:
        """Wait for an expression of JavaScript to be true."""
        end = time.monotonic() + seconds
        while not self.value(expression):
            assert time.monotonic() < end, f"{expression} is not true yet"

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """Write what is to be seen into a PNG file."""
        found = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def page() -> Iterator[Page]:
    """Start Chromium with an empty tab, and stop it."""
    from_us, to_browser = os.pipe()
    back, from_browser = os.pipe()
    with tempfile.TemporaryDirectory(prefix="chromium-") as folder:
        command = [program() or "", *_QUIET, f"--user-data-dir={folder}", "about:blank"]
        # It reads from 3 and writes to 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{from_us} 4>&{from_browser}', "bash", *command]
        process = subprocess.Popen(
            shell,
            pass_fds=(from_us, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(from_us)
        os.close(from_browser)
        try:
            made = Page(process, to_browser, back)
            target = made.send("Target.createTarget", url="about:blank")["targetId"]
            made.session = made.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Log", "Runtime"):
                made.send(f"{domain}.enable")
            yield made
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _end_group(process.pid)
            os.close(to_browser)
            os.close(back)


def _end_group(group: int) -> None:
    """Kill what a browser has started and wait for its end, as it writes into the folder for a moment more."""
    end = time.monotonic() + 2
    with suppress(ProcessLookupError):
        while time.monotonic() < end:
            os.killpg(group, signal.SIGKILL)
            time.sleep(0.02)
