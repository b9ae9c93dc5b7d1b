"""The progress of a run: steps, durations, changes. Plain lines without a terminal."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from rich.console import Console
from rich.status import Status

from kubewire.core.console import Screen
from kubewire.core.progress import WARNED, WARNING
from kubewire.lab.lock import lab_lock

PLAIN_PAUSE = 10.0
"""Seconds between two lines about the same step without a terminal."""
DIFF_STYLES = {"-": "red", "+": "green", "@": "cyan"}


class Display:
    """Shows one run on standard error. Text from nodes and clusters is never parsed as markup."""

    def __init__(self, console: Console | None = None) -> None:
        self._screen = Screen(console, stderr=True)
        self._name = ""
        self._detail = ""
        self._started = 0.0
        self._said = 0.0
        self._changes: list[str] = []
        self._diffs: list[Mapping[str, Any]] = []
        self._status: Status | None = None

    def line(self, text: str, style: str = "") -> None:
        self._screen.line(text, style=style)

    def paragraph(self, text: str, style: str = "") -> None:
        """Print a text of one or more lines."""
        self._screen.paragraph(text, style)

    def step(self, name: str) -> None:
        """Start a step; the previous one is done."""
        self._close("✔", "green")
        self._name, self._detail = name.rpartition(" : ")[2], ""
        self._started = self._said = time.monotonic()
        self.tick()

    def skipped(self) -> None:
        """The step had nothing to do; no line is printed."""
        self._name = ""

    def progress(self, line: Mapping[str, Any]) -> None:
        """Show a line of the progress file (see kubewire.core.progress)."""
        if line.get("step") == WARNING:
            self.line(f"{WARNED}{line.get('detail') or ''}", "yellow")
            return
        done, total = line.get("done"), line.get("total")
        share = (
            f" {100 * done // total} %" if isinstance(done, int) and isinstance(total, int) and total else ""
        )
        words = [str(line.get(key) or "") for key in ("step", "detail")]
        self._detail = ": ".join(word for word in words if word) + share
        if not self._screen.is_terminal and time.monotonic() - self._said > PLAIN_PAUSE:
            self._said = time.monotonic()
            self.line(f"    {self._detail}", "dim")

    def tell(self, step: str, detail: str = "", done: int | None = None, total: int | None = None) -> None:
        """Report progress of work in this process; a kubewire.core.progress.Progress."""
        self.progress({"step": step, "detail": detail, "done": done, "total": total})
        self.tick()

    def lab_lock(self, lab: str, command: str, *, wait: bool) -> AbstractContextManager[None]:
        """The lab's lock for this command; prints a line while another command holds it."""
        words = " ".join(sys.argv[1:]) or command
        return lab_lock(lab, words, wait=wait, tell=lambda who: self.line(f"lab {lab}: {who}", "yellow"))

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Run a step in this process."""
        self.step(name)
        try:
            yield
        except BaseException:
            self.failed()
            raise
        self.close()

    def changes(self, lines: list[str]) -> None:
        self._changes += lines

    def diffs(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Add entries of Ansible's `diff`."""
        self._diffs += entries

    def tick(self) -> None:
        """Update the duration of the current step, on a terminal."""
        if not self._screen.is_terminal or not self._name:
            return
        seconds = time.monotonic() - self._started
        text = f"{self._name}  {seconds:.0f} s  {self._detail}"
        if self._status is None:
            self._status = self._screen.status(text)
            self._status.start()
        else:
            self._status.update(self._screen.status_text(text))

    def failed(self) -> None:
        self._close("✘", "red")

    def interrupted(self) -> None:
        self._close("✘", "red")
        self.line("interrupted: ending Ansible", "yellow")

    def close(self) -> None:
        """End the last step."""
        self._close("✔", "green")

    def _close(self, mark: str, style: str) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
        if self._name:
            seconds = time.monotonic() - self._started
            self._screen.line((f"  {mark} ", style), f"{self._name:<46}", (f"{seconds:6.1f} s", "dim"))
            for change in self._changes:
                self.line(f"      {change}", "yellow")
            for entry in self._diffs:
                for line in _unified(entry):
                    self.line(f"      {line}", DIFF_STYLES.get(line[:1], "dim"))
        self._name, self._changes, self._diffs = "", [], []


def _unified(entry: Mapping[str, Any]) -> Iterator[str]:
    before, after = (str(entry.get(key) or "").splitlines() for key in ("before", "after"))
    title = str(entry.get("before_header") or "")
    return difflib.unified_diff(before, after, f"{title} (before)", f"{title} (after)", lineterm="")
