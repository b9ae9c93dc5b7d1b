"""Running the cells of a nightly: side by side within CPU and memory, while what they need is fetched."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from kubewire.app import cells
from kubewire.core import leftovers
from kubewire.core.errors import HostError
from kubewire.core.files import last_lines
from kubewire.core.memory import memory_available
from kubewire.core.printable import printable
from kubewire.core.serialization import encode
from kubewire.core.temporary import new_folder, roomy
from kubewire.dataplane.core.findings import brief
from kubewire.matrix.results import CellResult, unchecked
from kubewire.nightly import children
from kubewire.nightly.children import Child
from kubewire.nightly.fetching import Fetching, need_of
from kubewire.nightly.folder import CellOrder, RunFolder
from kubewire.nightly.remote_cell import RemoteOrder
from kubewire.nightly.workers import HERE, Pool, Running, Worker
from kubewire.providers.registry import get_provider

TICK = 0.5
TOLD = 3
"""Findings of a failed cell that are printed at once; the reports have all."""
SPENT = ("passed", "failed", "skipped")
"""Statuses that --resume doesn't run again; it does run a cell that could not be verified."""


@dataclass(frozen=True)
class Limits:
    """`deadline`: seconds for each cell; `fail_fast`: start none after one that isn't passed."""

    deadline: float
    fail_fast: bool = False


@dataclass
class Nightly:
    """One run over the cells of an order; results are written as they come."""

    folder: RunFolder
    limits: Limits
    pool: Pool
    tell: Callable[[str], None]
    module: str = "kubewire.nightly.cell"
    results: dict[str, CellResult] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    stopped_by: str = ""

    @cached_property
    def _states(self) -> Path:
        """Each cell's own XDG_STATE_HOME, so that labs with one name don't collide: never in the run's
        folder, which may belong to another user.
        """
        return new_folder(cells.WHAT, roomy())

    def run(self, orders: Sequence[CellOrder]) -> Fetching:
        """Run all cells without a result; an interrupt leaves no child and no lab."""
        leftovers.remove(cells.garbage())
        fetching = Fetching(self.folder.path / "fetched", self._states / "fetched")
        waiting = [order for order in orders if not self._settled(order)]
        try:
            fetching.want(waiting, lambda *_, **__: None)
            while (waiting and not self.stopped_by) or self.running:
                if not self.stopped_by and (said := fetching.step()):
                    self.tell(said)
                waiting = self._start(waiting, fetching)
                at_work = [each.child for each in self.running] + ([fetching.child] if fetching.child else [])
                children.wait_for_any(at_work, TICK)
                waiting += self._look()
        finally:
            self._end(fetching)
        for order in waiting:
            self._finish(order, unchecked(order, "missing", f"not run: {self.stopped_by}"), write=False)
        return fetching

    def _settled(self, order: CellOrder) -> bool:
        """Whether it need not or can't run: it has a result, or no worker can run it."""
        found = self.folder.read_result(order)
        if found is not None and found.status in SPENT:
            self.results[found.id] = found
            return True
        self.folder.forget_result(order)
        if order.skip:
            self._finish(order, unchecked(order, "skipped", order.skip))
        return bool(order.skip)

    def _start(self, waiting: Sequence[CellOrder], fetching: Fetching) -> list[CellOrder]:
        """Start the cells that can start now; returns those that wait."""
        left: list[CellOrder] = []
        building = fetching.child is not None
        for order in waiting:
            need = need_of(order)
            if self.stopped_by:
                left.append(order)
            elif why := fetching.failed.get(need, "") or self.pool.why_none(order):
                self._finish(order, unchecked(order, "error", why))
            elif need in fetching.ready and (
                worker := self.pool.choose(order, self.running, building=building)
            ):
                if worker.name == HERE and memory_available() < get_provider(order.provider).lab_bytes:
                    self._finish(order, unchecked(order, "error", _too_little_memory(order)))
                else:
                    self.running.append(Running(order, self._child(order, worker), worker))
            else:
                left.append(order)
        return left

    def _child(self, order: CellOrder, worker: Worker) -> Child:
        folder, module, told = self.folder.cell(order), self.module, encode(order)
        if worker.is_far:
            module = "kubewire.nightly.remote_cell"
            told = encode(RemoteOrder(order, worker.place))
        return children.start(
            [module, str(folder), str(os.getpid())],
            folder / "log.txt",
            seconds=self._allowed(worker),
            state=self._states / order.id,
            order=told,
        )

    def _allowed(self, worker: Worker) -> float:
        """The deadline of a cell on that worker, in seconds."""
        return self.limits.deadline * worker.patience

    def _look(self) -> list[CellOrder]:
        """Collect results of ended cells; stop overdue ones. Returns those for another worker."""
        again: list[CellOrder] = []
        for each in list(self.running):
            code = each.child.ended()
            if code is None:
                if each.child.overdue:
                    each.child.press()
                continue
            self.running.remove(each)
            cells.sweep(self._states / each.order.id)
            found = self.folder.read_result(each.order)
            if found is None and code == HostError.exit_code and each.worker.name != HERE:
                why = _last_line(self.folder.cell(each.order) / "log.txt")
                if self.pool.lose(each.worker, why):
                    self.tell(f"lost    {each.worker.name}: {why}")
                again.append(each.order)
                continue
            found = found or self._without_result(each, code)
            self._finish(each.order, found.model_copy(update={"host": each.worker.name}))
        return again

    def _without_result(self, each: Running, code: int) -> CellResult:
        log = self.folder.cell(each.order) / "log.txt"
        seconds = {"total": round(each.child.seconds, 2)}
        if each.child.stopped is not None:
            allowed = self._allowed(each.worker)
            reason = f"not done after {allowed:g} s, its deadline; it was at: {_last_line(log)}"
        elif code < 0:
            name = signal.Signals(-code).name
            hint = "; was the machine out of memory?" if -code == signal.SIGKILL else ""
            reason = f"killed by {name}{hint}"
        else:
            reason = f"its process ended with exit code {code}: {_last_line(log)}"
        return unchecked(each.order, "error", reason, seconds)

    def _finish(self, order: CellOrder, result: CellResult, *, write: bool = True) -> None:
        self.results[result.id] = result
        if write:
            self.folder.write_result(order, result)
        reason = f": {result.reason.splitlines()[0]}" if result.reason else ""
        checks = f" {result.summary.passed} checks" if result.status == "passed" else ""
        failed = f" {result.summary.failed} checks" if result.status == "failed" else ""
        where = f" on {result.host}" if result.host else ""
        self.tell(f"{result.status:<8}{result.id}{where}{checks}{failed}{reason}")
        for check in result.findings[:TOLD]:
            self.tell(f"        {check.node}: {printable(brief(check))}")
        if self.limits.fail_fast and result.status in ("failed", "error") and not self.stopped_by:
            self.stopped_by = f"--fail-fast, and {result.id} is {result.status}"

    def _end(self, fetching: Fetching) -> None:
        """Stop all children; after SIGTERM each has time to remove its lab."""
        left = [each.child for each in self.running] + ([fetching.child] if fetching.child else [])
        while left:
            for child in left:
                child.press()
            children.wait_for_any(left, TICK)
            left = [child for child in left if child.ended() is None]
        for each in self.running:
            cells.sweep(self._states / each.order.id)
        cells.sweep(self._states / "fetched")
        with suppress(OSError):  # a lab that can't be removed keeps its state, for `gc`
            self._states.rmdir()
            self._states.parent.rmdir()


def _too_little_memory(order: CellOrder) -> str:
    need, free = get_provider(order.provider).lab_bytes / 2**30, memory_available() / 2**30
    return f"a lab on {order.provider} needs {need:.1f} GiB of memory, and {free:.1f} are free"


def _last_line(log: Path) -> str:
    return next(iter(last_lines(log, 1)), "it said nothing")


def now() -> str:
    """The time in UTC, as results have it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
