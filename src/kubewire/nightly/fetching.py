"""Binaries that cells need before they start: fetched or built in a child process, one at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kubewire.app.cells import sweep
from kubewire.binaries.fetchplan import plan as fetch_plan
from kubewire.core.files import last_lines
from kubewire.core.progress import WARNED, Progress
from kubewire.lab.loading import load_lab
from kubewire.matrix.results import Fetch
from kubewire.nightly.cell import overrides_of
from kubewire.nightly.children import Child, start
from kubewire.nightly.folder import CellOrder
from kubewire.providers.registry import get_provider

DEADLINE = 3600.0
"""Seconds that one version may take; a whole Kubernetes takes a quarter of that on two cores."""
TAIL = 3
LOG_LINES = 1000
"""Bytes of a fetch's log that are searched for warnings."""


@dataclass(frozen=True)
class Need:
    """The binaries that cells of one version share."""

    kubernetes: str
    control_plane: str
    dns: bool
    provider: str

    def __str__(self) -> str:
        beside = self.control_plane if self.control_plane not in ("", self.kubernetes) else ""
        return f"Kubernetes {self.kubernetes}" + (f" with control plane {beside}" if beside else "")


def need_of(order: CellOrder) -> Need:
    dns = load_lab(order.reference, overrides_of(order)).dns
    return Need(order.kubernetes, order.control_plane, dns, order.provider)


@dataclass
class Fetching:
    """The queue of needs, with logs in `folder`; `ready` and `failed` (why) have the result of each."""

    folder: Path
    state: Path
    queue: list[tuple[Need, CellOrder]] = field(default_factory=list)
    ready: set[Need] = field(default_factory=set)
    failed: dict[Need, str] = field(default_factory=dict)
    done: list[Fetch] = field(default_factory=list)
    child: Child | None = None
    _current: Need | None = None

    def want(self, orders: Iterable[CellOrder], progress: Progress) -> None:
        """Queue what isn't cached, once each, in the order of the cells."""
        for order in orders:
            need = need_of(order)
            if need in self.ready or any(need == queued for queued, _ in self.queue):
                continue
            if get_provider(need.provider).uses_binaries and _cached(need, progress):
                self.ready.add(need)
            else:
                self.queue.append((need, order))

    def step(self) -> str:
        """Start the next or collect the one that ended; a progress line or ""."""
        if self.child is not None and self._current is not None:
            return self._look(self.child, self._current)
        if not self.queue:
            return ""
        need, order = self.queue.pop(0)
        settings = [f"--set={key}={value}" for key, value in overrides_of(order).items()]
        argv = ["kubewire", "prefetch", order.reference, f"--provider={order.provider}", *settings]
        self._current = need
        self.child = start(argv, self._log(need), seconds=DEADLINE, state=self.state)
        return f"fetching {need}"

    def _look(self, child: Child, need: Need) -> str:
        code = child.ended()
        if code is None:
            if child.overdue:
                child.press()
            return ""
        self.child = self._current = None
        sweep(self.state)
        seconds = round(child.seconds, 1)
        if code == 0:
            self.ready.add(need)
            self.done.append(Fetch(what=str(need), status="passed", seconds=seconds))
            return "\n".join([f"fetched {need} in {seconds:.0f} s", *_warnings(self._log(need))])
        reason = f"{need} can't be had: {_end_of(self._log(need)) or f'exit code {code}'}"
        self.failed[need] = reason
        self.done.append(Fetch(what=str(need), status="error", reason=reason, seconds=seconds))
        return reason

    def _log(self, need: Need) -> Path:
        beside = f"-{need.control_plane}" if need.control_plane else ""
        return self.folder / f"{need.kubernetes}{beside}-{need.provider}.log"


def _cached(need: Need, progress: Progress) -> bool:
    return fetch_plan(
        need.kubernetes, control_plane=need.control_plane or None, dns=need.dns, progress=progress
    ).cached


def _end_of(log: Path) -> str:
    return " ".join(line.strip() for line in last_lines(log, TAIL))


def _warnings(log: Path) -> list[str]:
    return [line for line in last_lines(log, LOG_LINES) if line.startswith(WARNED)]
