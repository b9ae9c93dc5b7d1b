"""The hosts of a nightly, made ready by Ansible: kubewire on each, and what each can run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter

from kubewire.cli.display import Display
from kubewire.cli.playbook import Run, run_playbook
from kubewire.errors import HostError
from kubewire.hosts.inventory import Target
from kubewire.hosts.place import Place
from kubewire.lab.loading import load_lab
from kubewire.matrix.workers import Worker, jobs_of

LOGS = "nightly"
"""Ansible's own logs lie beside those of the labs, under this name."""
ACTION = "kubewire.lab.cell_host"


def meet(
    target: Target, modes: Iterable[str], labs: Iterable[str], jobs: int | None, display: Display
) -> list[Worker]:
    """A worker for each host; one that can't be made ready is lost from the start, and told.

    `labs` as `find_lab` takes them. Raises HostError if none is left.
    """
    modes = list(modes)
    tools = {tool for lab in labs for mode in modes for tool in load_lab(lab, {"mode": mode}).tools}
    display.line(target.headline)
    variables = {"cell_modes": modes, "cell_tools": sorted(tools)}
    run = run_playbook("cells", LOGS, variables, display, target=target)
    display.close()
    workers = [_worker(host, run, jobs) for host in target.hosts]
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
    place = TypeAdapter(Place).validate_python(told) if told else None
    return Worker(
        name=host,
        jobs=jobs_of(about["cpus"], about["memory_bytes"], jobs),
        place=place,
        lacking=about["lacking"],
    )
