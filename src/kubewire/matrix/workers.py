"""What runs cells: this machine, or hosts of an inventory. Each has its own CPUs, memory and kernel."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kubewire.hosts.place import Place
from kubewire.matrix.children import Child
from kubewire.matrix.folder import CellOrder
from kubewire.matrix.machine import BUILD_BYTES, CELL_BYTES, memory_available
from kubewire.matrix.plan import Machine

YOUNG_SECONDS = 20.0
"""How long a cell's memory is counted as promised and not yet taken."""


@dataclass(frozen=True)
class Worker:
    """`name`: the host's, empty for this machine. `jobs`: cells side by side at most. `place`: how it is
    reached, None for this machine. `lacking`: why it can't run a mode, by mode; `lost`: why it is out.
    """

    name: str
    jobs: int
    place: Place | None = None
    lacking: Mapping[str, str] = field(default_factory=dict)
    lost: str = ""

    def why_not(self, mode: str) -> str:
        """Why it can't run a cell in that mode; "" if it can."""
        return self.lost or self.lacking.get(mode, "")


@dataclass
class Running:
    order: CellOrder
    child: Child
    worker: Worker


class Pool:
    """Which worker takes a cell."""

    def __init__(self, workers: Iterable[Worker]) -> None:
        self._workers = {worker.name: worker for worker in workers}

    @property
    def losses(self) -> tuple[str, ...]:
        """What became of the hosts that are out, a line each."""
        return tuple(f"{worker.name}: {worker.lost}" for worker in self._workers.values() if worker.lost)

    def lose(self, worker: Worker, why: str) -> bool:
        """Nothing runs on it any more. Whether that is news."""
        if self._workers[worker.name].lost:
            return False
        self._workers[worker.name] = replace(worker, lost=why)
        return True

    def why_none(self, mode: str) -> str:
        return why_nowhere(list(self._workers.values()), mode)

    def choose(self, order: CellOrder, running: Sequence[Running], *, building: bool) -> Worker | None:
        """The one with the smallest part of its jobs taken that has room for the cell."""
        taken = {
            name: [each for each in running if each.worker.name == name]
            for name, worker in self._workers.items()
            if not worker.why_not(order.mode)
        }
        for name in sorted(taken, key=lambda name: len(taken[name]) / self._workers[name].jobs):
            worker = self._workers[name]
            if _admits(worker, order, taken[name], building=building and worker.place is None):
                return worker
        return None


def _admits(worker: Worker, order: CellOrder, running: Sequence[Running], *, building: bool) -> bool:
    """Whether one more lab fits. A single lab is never kept waiting for memory that may never come; of
    another host only the number of jobs is known, which its memory has set.
    """
    if not running:
        return True
    if len(running) >= max(1, worker.jobs - building):
        return False
    if worker.place is not None:
        return True
    young = [each for each in running if each.child.seconds < YOUNG_SECONDS]
    promised = sum(CELL_BYTES[each.order.provider] for each in young)
    free = memory_available() - promised - (BUILD_BYTES if building else 0)
    return free >= CELL_BYTES[order.provider]


def this_machine(jobs: int | None = None) -> Worker:
    return Worker("", jobs or os.cpu_count() or 1)


def jobs_of(cpus: int, memory_bytes: int, jobs: int | None = None) -> int:
    """How many cells run side by side on a host with this much; `jobs` is what was asked for."""
    return min(jobs or cpus, max(1, memory_bytes // CELL_BYTES["netns"]))


def why_nowhere(workers: Sequence[Worker], mode: str) -> str:
    """Why none of them can run a mode, by their names; "" if one can."""
    names: dict[str, list[str]] = {}
    for worker in workers:
        names.setdefault(worker.why_not(mode), []).append(worker.name)
    if "" in names:
        return ""
    return "; ".join(f"{', '.join(hosts)}: {why}" if any(hosts) else why for why, hosts in names.items())


def machine_of(
    workers: Sequence[Worker], modes: Iterable[str], providers: Iterable[str], *, releases: bool
) -> Machine:
    """What a plan for these hosts depends on. A kind cluster's engine and images are this machine's."""
    lacking = {}
    for mode in modes:
        for provider in providers:
            kind = "kind runs on this machine only, without --host" if provider == "kind" else ""
            if why := kind or why_nowhere(workers, mode):
                lacking[provider, mode] = why
    return Machine(lacking, releases)
