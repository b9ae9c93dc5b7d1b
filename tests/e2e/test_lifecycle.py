"""Labs come and go, also by SIGKILL, and leave nothing of theirs: processes, namespaces, mounts, files."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from harness import Kubewire, picture

from kubewire.core.proc import Process
from waiting import DEADLINE, eventually

pytestmark = pytest.mark.e2e
LAB = "iptables"


@pytest.fixture
def untouched(kubewire: Kubewire) -> Iterator[None]:
    """After the test and a `gc`, nothing is there that wasn't before."""
    before = picture(kubewire.state)
    yield
    kubewire.run("gc")
    settle(before, kubewire.state)


def settle(before: dict[str, set[str]], *folders: Path) -> None:
    """Wait until all is as before: the kernel takes a moment to end namespaces."""

    def difference() -> dict[str, list[str]]:
        now = picture(*folders)
        return {kind: sorted(now[kind] ^ before[kind]) for kind in now if now[kind] != before[kind]}

    eventually(lambda: not difference(), difference)


def sandbox(kubewire: Kubewire, lab: str = LAB) -> tuple[Process, Process]:
    """The lab's keeper and PID 1, as the keeper recorded them."""
    path = kubewire.state / "kubewire" / "labs" / lab / "sandbox.json"
    recorded = json.loads(path.read_text())
    return Process(**recorded["keeper"]), Process(**recorded["init"])


def await_end(process: Process, why: str) -> None:
    eventually(lambda: not process.alive(), why)


def inside(kubewire: Kubewire, name: str) -> int:
    """The pid, as the host sees it, of a component of the lab."""
    namespace = Path("/proc", str(sandbox(kubewire)[1].pid), "ns/pid").readlink()
    for entry in Path("/proc").iterdir():
        try:
            if (entry / "comm").read_text().strip() == name and (entry / "ns/pid").readlink() == namespace:
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError(f"{name} doesn't run")


def phase(kubewire: Kubewire) -> str:
    return kubewire.run("status", LAB).text


@pytest.mark.usefixtures("untouched")
def test_up_and_down_leave_nothing(kubewire: Kubewire) -> None:
    before = picture(kubewire.state)
    kubewire.ok("up", LAB)
    kubewire.ok("down", LAB)
    settle(before, kubewire.state)


@pytest.mark.usefixtures("untouched")
def test_pid_1_killed_takes_the_whole_lab_and_the_next_up_works(kubewire: Kubewire) -> None:
    kubewire.ok("up", LAB)
    keeper, init = sandbox(kubewire)
    os.kill(init.pid, signal.SIGKILL)
    await_end(keeper, "the keeper outlives its PID 1")
    assert not (kubewire.state / "kubewire" / "labs" / LAB / "kubeconfig").exists()
    assert kubewire.run("exec", LAB, "worker", "--", "true").code == 4
    kubewire.ok("up", LAB)
    kubewire.ok("down", LAB)


@pytest.mark.slow
@pytest.mark.usefixtures("untouched")
def test_the_keeper_killed_takes_the_whole_lab_and_the_next_up_works(kubewire: Kubewire) -> None:
    kubewire.ok("up", LAB)
    keeper, init = sandbox(kubewire)
    os.kill(keeper.pid, signal.SIGKILL)
    await_end(init, "PID 1 outlives its keeper")
    assert kubewire.run("exec", LAB, "worker", "--", "true").code == 4
    kubewire.ok("up", LAB)
    kubewire.ok("down", LAB)


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "share", [pytest.param(0.15, marks=pytest.mark.slow), 0.4, pytest.param(0.7, marks=pytest.mark.slow)]
)
def test_the_cli_killed_in_the_middle_takes_the_half_made_lab(kubewire: Kubewire, share: float) -> None:
    """At a random moment in each part of `up`; what is half-made goes at once, its files with `gc`."""
    before = picture()
    maker = kubewire.popen("up", LAB, start_new_session=True)
    time.sleep(10 * share + random.uniform(0, 2))
    maker.kill()
    maker.communicate()
    finished = phase(kubewire)
    if "ready" not in finished:
        settle(before)
    kubewire.run("down", LAB)
    settle(before)


@pytest.mark.usefixtures("untouched")
def test_ctrl_c_in_the_middle_is_130_and_leaves_nothing(kubewire: Kubewire) -> None:
    before = picture()
    maker = kubewire.popen("up", LAB)
    recorded = kubewire.state / "kubewire" / "labs" / LAB / "sandbox.json"
    eventually(recorded.exists)
    maker.send_signal(signal.SIGINT)
    _, err = maker.communicate(timeout=DEADLINE)
    assert maker.returncode == 130, err
    settle(before)


@pytest.mark.usefixtures("untouched")
def test_components_killed_or_stopped_are_named_and_mended_by_the_next_up(kubewire: Kubewire) -> None:
    kubewire.ok("up", LAB)
    os.kill(inside(kubewire, "kube-apiserver"), signal.SIGKILL)
    named = kubewire.ok("up", LAB).text
    assert "kube-apiserver" in named
    assert "SIGKILL" in named
    os.kill(inside(kubewire, "kube-proxy"), signal.SIGSTOP)
    assert "kube-proxy" in kubewire.ok("up", LAB).text
    assert "nothing to do" in kubewire.ok("up", LAB).text
    kubewire.ok("down", LAB)


@pytest.mark.slow
@pytest.mark.usefixtures("untouched")
def test_two_labs_at_once_do_not_touch_each_other(kubewire: Kubewire) -> None:
    makers = [kubewire.popen("up", lab) for lab in (LAB, "nodeport")]
    for maker in makers:
        out, err = maker.communicate(timeout=DEADLINE)
        assert maker.returncode == 0, out + err
    assert kubewire.node(LAB, "worker", "hostname").strip() == "iptables-worker"
    kubewire.ok("down", LAB)
    assert kubewire.node("nodeport", "worker", "hostname").strip() == "nodeport-worker"
    kubewire.ok("down", "nodeport")


@pytest.mark.usefixtures("untouched")
def test_a_port_in_use_is_exit_3_and_leaves_nothing(kubewire: Kubewire) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        outcome = kubewire.run("up", LAB, "--set", f"apiServerPort={port}")
    assert outcome.code == 3
    assert f"port {port}" in outcome.text


@pytest.mark.slow
@pytest.mark.usefixtures("untouched")
def test_twenty_cycles_leave_the_machine_as_it_was(kubewire: Kubewire) -> None:
    before = picture(kubewire.state)
    for _ in range(20):
        kubewire.ok("up", LAB)
        kubewire.ok("down", LAB)
    settle(before, kubewire.state)


@pytest.mark.slow
@pytest.mark.usefixtures("untouched")
def test_ten_sigkills_at_random_moments_leave_the_machine_as_it_was(kubewire: Kubewire) -> None:
    """Of the command, the keeper or PID 1, while the lab is being made or just after."""
    before = picture()
    for _ in range(10):
        moment = random.uniform(0.3, 12)
        maker = kubewire.popen("up", LAB, start_new_session=True)
        time.sleep(moment)
        victims = [maker.pid]
        with suppress(OSError, ValueError, TypeError):
            victims += [process.pid for process in sandbox(kubewire)]
        victim = random.choice(victims)
        print(f"SIGKILL after {moment:.2f} s to number {victims.index(victim)} of command, keeper, PID 1")
        with suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        maker.communicate(timeout=DEADLINE)
        kubewire.run("down", LAB)
        settle(before)
    kubewire.ok("up", LAB)
    kubewire.ok("down", LAB)
