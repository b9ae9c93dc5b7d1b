"""The workers of a nightly: this machine, a VM, hosts that Ansible prepares; what each can run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kubewire.app.display import Display
from kubewire.app.machine import examine
from kubewire.app.placement import LOCAL
from kubewire.app.playbook import Run, run_playbook
from kubewire.core import os_packages
from kubewire.core.errors import HostError
from kubewire.core.progress import Progress
from kubewire.core.serialization import convert
from kubewire.hosts.inventory import Target, find_target
from kubewire.hosts.ssh_target import SshTarget
from kubewire.hosts.vm import preflight
from kubewire.hosts.vm.state import HOST as VM
from kubewire.lab.loading import load_lab
from kubewire.nightly.folder import Order
from kubewire.nightly.workers import Worker, jobs_of, this_machine
from kubewire.providers.registry import embedded

LOGS = "nightly"
"""Ansible's own logs lie beside those of the labs, under this name."""
ACTION = "kubewire.lab.cell_host"


@dataclass(frozen=True)
class Runners:
    """`--host` of a nightly, parsed: local, vm, and hosts of the inventory."""

    local: bool
    vm: bool
    target: Target | None

    @classmethod
    def of(cls, hosts: str, inventory: Iterable[str] = ()) -> Runners:
        """This machine if no host is named. Raises DefinitionError as `find_target`."""
        names = [name.strip() for name in hosts.split(",") if name.strip()]
        others = ",".join(name for name in names if name not in (LOCAL, VM))
        return cls(
            local=not names or LOCAL in names,
            vm=VM in names,
            target=find_target(others, inventory) if others else None,
        )


@dataclass(frozen=True)
class Task:
    """The values that occur in the cells, each once; `labs` as `find_lab` takes them."""

    providers: list[str]
    modes: list[str]
    labs: list[str]

    @classmethod
    def of(cls, order: Order) -> Task:
        """Without the cells that are skipped."""
        cells = [cell for cell in order.cells if not cell.skip]
        return cls(
            sorted({cell.provider for cell in cells}),
            sorted({cell.mode for cell in cells}),
            sorted({cell.reference for cell in cells}),
        )


def at_hand(runners: Runners, task: Task, jobs: int | None, progress: Progress | None = None) -> list[Worker]:
    """Those on this machine: itself, and a VM. With `progress` missing OS packages are installed, else only
    looked for; HostError where they can't.
    """
    lacking = examine(task.providers, task.modes, task.labs, progress) if runners.local else {}
    if not runners.vm and (ipvs := (embedded().name, "ipvs")) in lacking:
        lacking[ipvs] += "; with --host local,vm it runs in a VM"
    workers = [this_machine(jobs, lacking)] if runners.local else []
    if runners.vm:
        if progress:
            os_packages.provide(preflight.programs(), progress)
        lacks = preflight.missing(tools=bool(progress) or not os_packages.can_install())
        lost = "; ".join(what for what, _ in lacks)
        workers.append(Worker(VM, 1, lost=lost))
    return workers


def unseen(runners: Runners) -> list[Worker]:
    """The inventory's hosts before they are checked: each could run everything."""
    return [Worker(host, 1) for host in (runners.target.hosts if runners.target else ())]


def meet(runners: Runners, task: Task, jobs: int | None, display: Display) -> list[Worker]:
    """The inventory's hosts, prepared; one that fails is marked as lost, and reported.

    Raises HostError where all fail.
    """
    if runners.target is None:
        return []
    tools = {tool for lab in task.labs for mode in task.modes for tool in load_lab(lab, {"mode": mode}).tools}
    display.line(runners.target.headline)
    variables = {"cell_modes": task.modes, "cell_tools": sorted(tools)}
    run = run_playbook("cells", LOGS, variables, display, target=runners.target)
    display.close()
    workers = [_worker(host, run, jobs) for host in runners.target.hosts]
    lost = [f"{worker.name}: {worker.lost}" for worker in workers if worker.lost]
    if len(lost) == len(workers):
        raise HostError(f"no host can run cells: {'; '.join(lost)}")
    for line in lost:
        display.line(f"lost    {line}", "red")
    return workers


def _worker(host: str, run: Run, jobs: int | None) -> Worker:
    if failure := run.failures.get(host):
        said = failure.message.splitlines()[0] if failure.message else "it failed"
        return Worker(host, 0, lost=said.removeprefix(f"{host}: "))
    found = run.results[host]
    about: Mapping[str, Any] = found[ACTION]
    told = found["kubewire.lab.provision"].get("place")
    return Worker(
        name=host,
        jobs=jobs_of(about["cpus"], about["memory_bytes"], jobs),
        place=convert(told, SshTarget) if told else None,
        lacking={(embedded().name, mode): why for mode, why in about["lacking"].items()},
    )
