"""A real headless Chromium, driven by its DevTools protocol over a pipe: nothing listens on a port."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_QUIET = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
          "--disable-component-update", "--disable-sync", "--mute-audio", "--force-prefers-reduced-motion")  # fmt: skip
_KEYS = {" ": ("Space", 32), "Enter": ("Enter", 13), "Tab": ("Tab", 9), "ArrowRight": ("ArrowRight", 39),
         "ArrowLeft": ("ArrowLeft", 37), "ArrowDown": ("ArrowDown", 40)}  # fmt: skip
_TEXT = {" ": " ", "Enter": "\r"}
PATIENCE_S = 60.0


class Tab:
    """One tab: real key presses in, what the page made of them out."""

    def __init__(self, commands: int, events: int) -> None:
        self._commands, self._events, self._buffer, self._count, self._session = commands, events, b"", 0, ""

    def open(self, url: str) -> None:
        if not self._session:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        os.write(self._commands, json.dumps(message | ({"sessionId": self._session} if self._session else {})).encode()
                 + b"\0")  # fmt: skip
        while (reply := self._receive()).get("id") != self._count:
            pass
        assert "error" not in reply, f"{method}: {reply['error']}"
        return reply["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            assert select.select([self._events], [], [], PATIENCE_S)[0], "the browser is silent"
            chunk = os.read(self._events, 2**16)
            assert chunk, "the browser is gone"
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(line)

    def evaluate(self, expression: str) -> Any:
        reply = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in reply, f"{expression}: {reply['exceptionDetails']}"
        return reply["result"].get("value")

    def wait(self, expression: str) -> None:
        end = time.monotonic() + PATIENCE_S
        while not self.evaluate(expression):
            assert time.monotonic() < end, f"never came true: {expression}"
            time.sleep(0.02)

    def press(self, key: str) -> None:
        code, number = _KEYS.get(key) or (f"Digit{key}" if key.isdigit() else f"Key{key.upper()}", ord(key.upper()))
        which = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        text = _TEXT.get(key, key if len(key) == 1 else "")
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **which)
        self.call("Input.dispatchKeyEvent", type="keyUp", **which)

    def type(self, text: str) -> None:
        for letter in text:
            self.press(letter)

    def size(self, width: int, height: int, phone: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=2 if phone else 1, mobile=phone)  # fmt: skip
        self.call("Emulation.setTouchEmulationEnabled", enabled=phone)


@contextmanager
def chromium(folder: Path) -> Iterator[Tab]:
    """A browser whose profile and downloads lie in `folder`; skips where there is none."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is not on PATH: the page is not opened in a real browser")
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    theirs = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (theirs_in, theirs_out)]  # beyond 3 and 4, its own numbers
    command = [program, "--headless", "--no-sandbox", "--remote-debugging-pipe", *_QUIET,
               f"--user-data-dir={folder / 'profile'}"]  # fmt: skip
    redirected = ["bash", "-c", f'exec "$@" 3<&{theirs[0]} 4>&{theirs[1]}', "bash", *command]
    process = subprocess.Popen(redirected, pass_fds=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for fd in (*theirs, theirs_in, theirs_out):
        os.close(fd)
    try:
        tab = Tab(ours_out, ours_in)
        tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        yield tab
        tab._session = ""
        tab.call("Browser.close")
        process.wait(30)
    finally:
        process.kill()
        process.wait()
        os.close(ours_out)
        os.close(ours_in)
