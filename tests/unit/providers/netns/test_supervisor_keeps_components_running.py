"""Real processes under the supervisor: restarted when they die, given up after three, seen when stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from kubewire.providers.netns.plan import Check, Component
from kubewire.providers.netns.supervisor import Reaper, Supervisor, tail
from waiting import DEADLINE

SLEEPER = Component("sleeper", ("sleep", "1000"), env=dict(os.environ))


def supervised(
    logs: Path, components: tuple[Component, ...], scenario: Callable[[Supervisor], Awaitable[None]]
) -> None:
    async def run() -> None:
        reaper = Reaper()
        reaper.install()
        supervisor = Supervisor(components, reaper, logs)
        supervisor.start()
        try:
            await asyncio.wait_for(scenario(supervisor), DEADLINE)
        finally:
            for unit in supervisor.status().values():
                if unit["pid"] and Path(f"/proc/{unit['pid']}").exists():
                    os.kill(unit["pid"], signal.SIGKILL)

    asyncio.run(run())


async def until(supervisor: Supervisor, name: str, state: str) -> None:
    while supervisor.status()[name]["state"] != state:
        await asyncio.sleep(0.01)


def pid(supervisor: Supervisor, name: str = "sleeper") -> int:
    found: int = supervisor.status()[name]["pid"]
    return found


def test_a_killed_component_runs_again_and_the_mishap_is_kept(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await until(supervisor, "sleeper", "running")
        first = pid(supervisor)
        os.kill(first, signal.SIGKILL)
        while pid(supervisor) in (0, first):
            await asyncio.sleep(0.01)
        await until(supervisor, "sleeper", "running")
        assert supervisor.events == [{"component": "sleeper", "node": "", "what": "it ended by SIGKILL"}]

    supervised(tmp_path, (SLEEPER,), scenario)


def test_one_that_keeps_failing_is_given_up_after_three_restarts(tmp_path: Path) -> None:
    broken = Component("broken", ("sh", "-c", "echo no config; exit 3"), env=dict(os.environ))

    async def scenario(supervisor: Supervisor) -> None:
        await until(supervisor, "broken", "failed")
        assert supervisor.status()["broken"]["reason"] == "ended with exit code 3, 4 times within 60 s"
        assert supervisor.tail("broken", 10).splitlines() == ["no config"] * 4

    supervised(tmp_path, (broken,), scenario)


def test_a_failed_one_can_be_restarted_once_its_cause_is_gone(tmp_path: Path) -> None:
    mended = tmp_path / "mended"
    argv = ("sh", "-c", f"test -e {mended} && exec sleep 1000")
    component = Component("sleeper", argv, env=dict(os.environ))

    async def scenario(supervisor: Supervisor) -> None:
        await until(supervisor, "sleeper", "failed")
        with pytest.raises(ValueError, match="does not start"):
            await supervisor.restart("sleeper")
        mended.touch()
        await supervisor.restart("sleeper")
        assert supervisor.status()["sleeper"]["state"] == "running"

    supervised(tmp_path, (component,), scenario)


def test_a_program_that_is_not_there_fails_with_its_name(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await until(supervisor, "absent", "failed")
        assert "No such file" in supervisor.status()["absent"]["reason"]

    supervised(tmp_path, (Component("absent", ("/no/such/program",)),), scenario)


def test_a_sigstopped_one_shows_as_stopped_and_resumes(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await until(supervisor, "sleeper", "running")
        os.kill(pid(supervisor), signal.SIGSTOP)
        await until(supervisor, "sleeper", "stopped")
        supervisor.resume("sleeper")
        await until(supervisor, "sleeper", "running")
        assert supervisor.events == []

    supervised(tmp_path, (SLEEPER,), scenario)


def test_a_wanted_restart_is_no_mishap_and_ends_a_stopped_process_too(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await until(supervisor, "sleeper", "running")
        first = pid(supervisor)
        os.kill(first, signal.SIGSTOP)
        await supervisor.restart("sleeper")
        assert pid(supervisor) not in (0, first)
        assert supervisor.events == []

    supervised(tmp_path, (SLEEPER,), scenario)


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    argv = ("sh", "-c", "trap '' TERM; while :; do sleep 0.05; done")

    async def scenario(supervisor: Supervisor) -> None:
        await until(supervisor, "deaf", "running")
        await supervisor.stop("deaf")
        await until(supervisor, "deaf", "stopped")

    supervised(tmp_path, (Component("deaf", argv, env=dict(os.environ)),), scenario)


def test_cleanup_runs_between_the_old_and_the_new_process(tmp_path: Path) -> None:
    component = Component(
        "proxy",
        ("sh", "-c", "echo started; exec sleep 1000"),
        env=dict(os.environ),
        cleanup=("echo", "cleaned"),
    )

    async def scenario(supervisor: Supervisor) -> None:
        await until(supervisor, "proxy", "running")
        while not supervisor.tail("proxy", 5):
            await asyncio.sleep(0.01)
        await supervisor.restart("proxy", cleanup=True)
        while supervisor.tail("proxy", 5).splitlines() != ["started", "cleaned", "started"]:
            await asyncio.sleep(0.01)

    supervised(tmp_path, (component,), scenario)


def test_a_component_waits_for_what_it_comes_after_and_is_running_once_it_answers(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(f"HTTP/1.0 {status} x\r\n\r\n".encode())
        writer.close()

    status = 503

    async def scenario(supervisor: Supervisor) -> None:
        nonlocal status
        await until(supervisor, "late", "waiting")
        assert pid(supervisor, "late") == 0
        server = await asyncio.start_server(answer, "127.0.0.1", port)
        await asyncio.sleep(0.2)
        assert supervisor.status()["late"]["state"] == "waiting", "503 is not there"
        status = 200
        await until(supervisor, "late", "running")
        server.close()

    port = free_port()
    check = Check(f"http://127.0.0.1:{port}/readyz")
    late = Component("late", ("sleep", "1000"), env=dict(os.environ), after=(check,), ready=check)
    supervised(tmp_path, (late,), scenario)


def test_orphans_are_reaped(tmp_path: Path) -> None:
    """PID 1 collects children that it never started; here one that it forks behind the supervisor's back."""

    async def scenario(supervisor: Supervisor) -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)
        while Path(f"/proc/{child}").exists():
            await asyncio.sleep(0.01)

    supervised(tmp_path, (SLEEPER,), scenario)


def test_an_unknown_component_is_named_with_those_there_are(tmp_path: Path) -> None:
    async def scenario(supervisor: Supervisor) -> None:
        with pytest.raises(ValueError, match="no component kubelet; there are sleeper"):
            await supervisor.stop("kubelet")

    supervised(tmp_path, (SLEEPER,), scenario)


def test_a_tail_of_a_huge_log_is_short_and_of_a_missing_one_empty(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("line\n" * 1_000_000 + "last\n")
    assert tail(log, 2) == "line\nlast"
    assert tail(tmp_path / "absent", 2) == ""


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
