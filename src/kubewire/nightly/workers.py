"""Workers for cells: this machine, a VM on it, inventory hosts; each has its own kernel and CPUs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from kubewire.app.machine import BUILD_BYTES
from kubewire.core.memory import memory_available
from kubewire.hosts.ssh_target import SshTarget
from kubewire.hosts.vm.state import HOST as VM
from kubewire.hosts.vm.state import PATIENCE
from kubewire.matrix.plan import Machine
from kubewire.nightly.children import Child
from kubewire.nightly.folder import CellOrder
from kubewire.providers.registry import embedded, get_provider

HERE = ""
"""The name of this machine in results."""
YOUNG_SECONDS = 20.0
"""How long a cell's memory is counted as reserved and not yet used."""


@dataclass(frozen=True)
class Worker:
    """`name`: the host's; HERE, VM. `jobs`: cells side by side at most. `place`: how a host is reached.
    `lacking`: why it can't run a mode, by provider and mode. `lost`: why it is out.
    """

    name: str
    jobs: int
    place: SshTarget | None = None
    lacking: Mapping[tuple[str, str], str] = field(default_factory=dict)
    lost: str = ""

    @property
    def is_far(self) -> bool:
        """Whether its cells run behind SSH: on another host, or in a VM."""
        return self.place is not None or self.name == VM

    @property
    def patience(self) -> float:
        """The factor of a cell's deadline: a VM is emulated, and built first."""
        return float(PATIENCE) if self.name == VM else 1.0

    def why_not(self, provider: str, mode: str) -> str:
        """Why it can't run such a cell; "" if it can."""
        if self.name != HERE and not get_provider(provider).embedded:
            return self.lost or f"{provider} runs on the machine of the nightly itself"
        return self.lost or self.lacking.get((provider, mode), "")


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
        """Why hosts are lost, a line each."""
        return tuple(f"{worker.name}: {worker.lost}" for worker in self._workers.values() if worker.lost)

    def lose(self, worker: Worker, why: str) -> bool:
        """Mark the worker as lost. Whether it wasn't before."""
        if self._workers[worker.name].lost:
            return False
        self._workers[worker.name] = replace(worker, lost=why)
        return True

    def why_none(self, order: CellOrder) -> str:
        """Why the cell can't run anywhere; "" if it can."""
        return why_nowhere(self._workers.values(), order.provider, order.mode)

    def choose(self, order: CellOrder, running: Sequence[Running], *, building: bool) -> Worker | None:
        """The least loaded worker that can start the cell. A VM, which is slow, gets only cells that no other
        worker can run.
        """
        able = [w for w in self._workers.values() if not w.why_not(order.provider, order.mode)]
        able = [worker for worker in able if worker.name != VM] or able
        taken = {worker.name: [r for r in running if r.worker.name == worker.name] for worker in able}
        for worker in sorted(able, key=lambda worker: len(taken[worker.name]) / worker.jobs):
            if _admits(worker, order, taken[worker.name], building=building and worker.name == HERE):
                return worker
        return None


def _admits(worker: Worker, order: CellOrder, running: Sequence[Running], *, building: bool) -> bool:
    """Whether one more lab fits. A single lab never waits for memory; another host is limited by its
    number of jobs, which depends on its memory.
    """
    if not running:
        return True
    if len(running) >= max(1, worker.jobs - building):
        return False
    if worker.name != HERE:
        return True
    young = [each for each in running if each.child.seconds < YOUNG_SECONDS]
    promised = sum(get_provider(each.order.provider).lab_bytes for each in young)
    free = memory_available() - promised - (BUILD_BYTES if building else 0)
    return free >= get_provider(order.provider).lab_bytes


def this_machine(jobs: int | None = None, lacking: Mapping[tuple[str, str], str] | None = None) -> Worker:
    return Worker(HERE, jobs or os.cpu_count() or 1, lacking=lacking or {})


def jobs_of(cpus: int, memory_bytes: int, jobs: int | None = None) -> int:
    """How many cells run side by side on a host of this size; `jobs` is the requested number."""
    return min(jobs or cpus, max(1, memory_bytes // embedded().lab_bytes))


def why_nowhere(workers: Iterable[Worker], provider: str, mode: str) -> str:
    """Why none of them can run such a cell, by their names; "" if one can."""
    names: dict[str, list[str]] = {}
    for worker in workers:
        names.setdefault(worker.why_not(provider, mode), []).append(worker.name)
    if "" in names:
        return ""
    told = ((", ".join(filter(None, who)), why) for why, who in names.items())
    return "; ".join(f"{who}: {why}" if who else why for who, why in told)


def machine_of(
    workers: Sequence[Worker], modes: Iterable[str], providers: Iterable[str], *, releases: bool
) -> Machine:
    """The facts for a plan that uses all of them."""
    pairs = [(provider, mode) for mode in modes for provider in providers]
    return Machine({pair: why for pair in pairs if (why := why_nowhere(workers, *pair))}, releases)
