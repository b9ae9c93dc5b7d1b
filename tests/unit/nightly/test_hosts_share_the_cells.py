"""Which host takes a cell: one that can run its mode, has room, and is least taken; a lost one takes none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from kubewire.hosts.ssh_target import SshTarget
from kubewire.hosts.vm.state import HOST as VM
from kubewire.nightly import workers
from kubewire.nightly.children import Child
from kubewire.nightly.folder import CellOrder
from kubewire.nightly.workers import Pool, Running, Worker, jobs_of, machine_of, this_machine, why_nowhere
from kubewire.providers.netns.provider import NetnsProvider

NO_IPVS = {("netns", "ipvs"): "kernel 6.18 has none"}


def host(name: str, jobs: int, lacking: dict[tuple[str, str], str] | None = None) -> Worker:
    return Worker(name, jobs, SshTarget(name, ("ssh", name), "python3"), lacking or {})


def order(mode: str = "nftables", provider: str = "netns") -> CellOrder:
    return CellOrder(lab="nodeport", mode=mode, provider=provider, kubernetes="v1.37.2", reference="nodeport")


class Old:
    """A child that has run for long."""

    seconds = 1000.0


def at_work(*on: Worker) -> Sequence[Running]:
    return [Running(order(), cast(Child, Old()), worker) for worker in on]


def test_the_least_taken_one_is_chosen() -> None:
    small, large = host("small", 2), host("large", 8)
    pool = Pool([small, large])
    chosen = []
    for _ in range(10):
        worker = pool.choose(order(), at_work(*chosen), building=False)
        assert worker is not None
        chosen.append(worker)
    assert sum(worker is large for worker in chosen) == 8
    assert pool.choose(order(), at_work(*chosen), building=False) is None


def test_a_host_takes_only_what_its_kernel_can_run() -> None:
    without, with_it = host("without", 8, NO_IPVS), host("with", 1)
    pool = Pool([without, with_it])
    assert pool.choose(order("ipvs"), [], building=False) == with_it
    assert pool.choose(order("ipvs"), at_work(with_it), building=False) is None
    assert pool.choose(order("nftables"), at_work(with_it), building=False) == without


def test_a_lost_host_takes_none_and_is_told() -> None:
    alice, bob = host("alice", 1), host("bob", 1, NO_IPVS)
    pool = Pool([alice, bob])
    assert pool.lose(alice, "it doesn't answer")
    assert not pool.lose(alice, "it still doesn't")
    assert pool.choose(order(), [], building=False) == bob
    assert pool.losses == ("alice: it doesn't answer",)
    assert not pool.why_none(order("nftables"))
    assert pool.why_none(order("ipvs")) == "alice: it doesn't answer; bob: kernel 6.18 has none"


def test_only_a_vm_is_waited_for_longer() -> None:
    assert Worker(VM, 1).patience > 1
    assert {Worker(name, 1).patience for name in ("", "alice")} == {1.0}


def test_hosts_with_one_reason_are_told_together() -> None:
    both = [host("a", 1, NO_IPVS), host("b", 1, NO_IPVS)]
    assert why_nowhere(both, "netns", "ipvs") == "a, b: kernel 6.18 has none"
    assert why_nowhere([Worker("", 1, lacking=NO_IPVS)], "netns", "ipvs") == "kernel 6.18 has none"


def test_a_build_here_takes_nothing_from_other_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "memory_available", lambda: 1 << 40)
    here, there = this_machine(2), host("there", 2)
    assert Pool([here]).choose(order(), at_work(here), building=True) is None
    assert Pool([here]).choose(order(), at_work(here), building=False) == here
    assert Pool([there]).choose(order(), at_work(there), building=True) == there


def test_this_machine_takes_no_second_lab_without_memory_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    here = this_machine(8)
    monkeypatch.setattr(workers, "memory_available", lambda: NetnsProvider.lab_bytes - 1)
    assert Pool([here]).choose(order(), [], building=False) == here
    assert Pool([here]).choose(order(), at_work(here), building=False) is None


@pytest.mark.parametrize(
    ("cpus", "cells_of_memory", "asked", "jobs"),
    [(4, 100, None, 4), (4, 2, None, 2), (4, 0, None, 1), (4, 100, 6, 6), (4, 3, 6, 3)],
)
def test_a_hosts_memory_and_cpus_bound_its_jobs(
    cpus: int, cells_of_memory: int, asked: int | None, jobs: int
) -> None:
    assert jobs_of(cpus, cells_of_memory * NetnsProvider.lab_bytes, asked) == jobs


def test_what_no_host_can_run_is_skipped() -> None:
    machine = machine_of(
        [host("a", 1, NO_IPVS), host("b", 1)], ["ipvs", "nftables"], ["netns", "kind"], releases=False
    )
    assert set(machine.lacking) == {("kind", "ipvs"), ("kind", "nftables")}
    assert "the nightly itself" in machine.lacking["kind", "ipvs"]


def test_a_vm_takes_only_what_nothing_else_can_run() -> None:
    here, vm = this_machine(1, NO_IPVS), Worker(VM, 1)
    pool = Pool([here, vm])
    assert pool.choose(order("ipvs"), [], building=False) == vm
    assert pool.choose(order("nftables"), [], building=False) == here
    assert pool.choose(order("nftables"), at_work(here), building=False) is None
    pool = Pool([vm])
    assert pool.choose(order("nftables"), [], building=False) == vm
