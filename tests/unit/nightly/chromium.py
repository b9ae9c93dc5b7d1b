"""A headless Chromium, driven through its DevTools pipe: it fetches nothing by itself, and leaves nothing."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

import pytest

SECONDS = 60.0
FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-extensions", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
    *("--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-pipe"),
)
PIPES = 'exec "$@" 3<&"$FROM_TEST" 4>&"$TO_TEST"'
QUIET = 0.2
"""Seconds without an event after which a page is taken to have come to rest."""


def required_chromium() -> str:
    """The command; where there is none a CI run fails, any other skips and says how to get it."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if shutil.which(name):
            return name
    hint = "no Chromium: sudo apt-get install chromium (Debian), or put chromium or google-chrome on PATH"
    if os.environ.get("CI"):
        pytest.fail(hint)
    pytest.skip(hint)


@dataclass
class Browser:
    """`call` speaks the DevTools protocol; `events` are those that came meanwhile."""

    send: int
    receive: int
    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    _number: int = 0
    _left: bytes = b""

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.send, json.dumps(message).encode() + b"\0")
        for answer in self._messages(SECONDS):
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return dict(answer["result"])
            self.events.append(answer)
        raise AssertionError(f"{method}: no answer within {SECONDS:g} s")

    def open(self, page: Path) -> None:
        """Navigate, and wait until the page is loaded and at rest."""
        self.call("Page.navigate", url=page.as_uri())
        loaded = False
        for event in self._messages(SECONDS):
            self.events.append(event)
            loaded = loaded or event.get("method") == "Page.loadEventFired"
            if loaded:
                break
        assert loaded, f"{page} did not load"
        self.events += self._messages(QUIET)

    def evaluate(self, expression: str) -> Any:
        """A JavaScript expression's value, asked from outside the page: its policy does not matter."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def press(self, key: str, code: int, text: str = "") -> None:
        about = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def seen(self, *methods: str) -> list[dict[str, Any]]:
        """The parameters of the events of these kinds."""
        return [event["params"] for event in self.events if event.get("method") in methods]

    def _messages(self, seconds: float) -> Iterator[dict[str, Any]]:
        """What the browser says, until it has said nothing for so long."""
        while True:
            while b"\0" not in self._left:
                if not select([self.receive], [], [], seconds)[0]:
                    return
                data = os.read(self.receive, 1 << 20)
                assert data, "Chromium is gone"
                self._left += data
            message, _, self._left = self._left.partition(b"\0")
            yield json.loads(message)


@contextmanager
def started(profile: Path) -> Iterator[Browser]:
    """A browser with one empty page, on which network, console and log are listened to."""
    from_test, send = os.pipe()
    receive, to_test = os.pipe()
    process = subprocess.Popen(
        ["bash", "-c", PIPES, "chromium", required_chromium(), *FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(from_test, to_test),
        env=os.environ | {"FROM_TEST": str(from_test), "TO_TEST": str(to_test), "HOME": str(profile)},
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(from_test)
    os.close(to_test)
    try:
        browser = Browser(send, receive)
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        browser.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            browser.call(f"{domain}.enable")
        yield browser
        browser.session = ""
        browser.call("Browser.close")
        process.wait(SECONDS)
    finally:
        _end(process, (send, receive))


def _end(process: subprocess.Popen[bytes], pipes: Sequence[int]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for descriptor in pipes:
        os.close(descriptor)
