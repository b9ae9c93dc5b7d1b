"""The supervisor of components: start order, readiness, up to three restarts, and a log of events."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kubewire.core.proc import stat_fields
from kubewire.providers.netns.plan import Check, Component, node_entry
from kubewire.providers.netns.probe import until

State = Literal["waiting", "starting", "running", "stopped", "restarting", "failed"]
TRIES = 3
WINDOW = 60.0
_POLL = 0.05
_PATIENCE = 3.0
_SURVIVED = 0.3  # seconds after which a component without a probe counts as running
_LOG_LIMIT = 16 << 20


class Reaper:
    """Reaps every ended child, also the orphans that PID 1 inherits, and notifies those who wait for one."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[int]] = {}

    def install(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.collect)

    def collect(self) -> None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    return
                future = self._waiting.pop(pid, None)
                if future is not None and not future.done():
                    future.set_result(os.waitstatus_to_exitcode(status))

    def start(self, argv: list[str], env: dict[str, str], log: Path) -> tuple[int, asyncio.Future[int]]:
        """Run `argv`, its output appended to `log`; its pid and the future of its exit code."""
        with log.open("ab") as stream:
            process = subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
                cwd="/",
            )
        process.returncode = 0  # we reap it, Popen must not
        future = asyncio.get_running_loop().create_future()
        self._waiting[process.pid] = future
        return process.pid, future


@dataclass
class _Unit:
    component: Component
    state: State = "waiting"
    pid: int = 0
    reason: str = ""
    ended: deque[float] = field(default_factory=lambda: deque(maxlen=TRIES + 1))
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    restart: Literal["", "plain", "cleanup"] = ""


class Supervisor:
    """Runs the components of a plan. `events` are the failures that no `up` has reported yet."""

    def __init__(self, components: tuple[Component, ...], reaper: Reaper, logs: Path) -> None:
        self._logs = logs
        self._units = {component.name: _Unit(component) for component in components}
        self._reaper = reaper
        self._tasks: list[asyncio.Task[None]] = []
        self._asking: dict[Check, asyncio.Task[None]] = {}
        self.events: list[dict[str, str]] = []

    def start(self) -> None:
        for unit in self._units.values():
            unit.wanted.set()
            self._tasks.append(asyncio.create_task(self._keep(unit)))
        self._tasks.append(asyncio.create_task(self._trim_logs()))

    def status(self) -> dict[str, dict[str, Any]]:
        return {
            name: {
                "state": _seen_state(unit),
                "pid": unit.pid,
                "reason": unit.reason,
                "node": unit.component.node,
            }
            for name, unit in self._units.items()
        }

    async def restart(self, name: str, *, cleanup: bool = False) -> None:
        """Restart a component, with `cleanup` after removing what it left; waits until it runs."""
        unit = self._unit(name)
        unit.restart = "cleanup" if cleanup else "plain"
        unit.ended.clear()
        unit.wanted.set()
        await self._end(unit)
        while unit.restart or unit.state in ("waiting", "starting", "restarting"):
            await asyncio.sleep(_POLL)
        if unit.state != "running":
            raise ValueError(f"{name} does not start: {unit.reason}")

    async def stop(self, name: str) -> None:
        """Leave a component stopped until someone restarts it."""
        unit = self._unit(name)
        unit.wanted.clear()
        await self._end(unit)

    def resume(self, name: str) -> None:
        """Continue a component that got SIGSTOP."""
        pid = self._unit(name).pid
        if pid:
            _signal(pid, signal.SIGCONT)

    def tail(self, name: str, lines: int) -> str:
        return tail(self._log(self._unit(name).component), lines)

    def _unit(self, name: str) -> _Unit:
        if name not in self._units:
            raise ValueError(f"no component {name}; there are {', '.join(self._units)}")
        return self._units[name]

    async def _keep(self, unit: _Unit) -> None:
        while True:
            await unit.wanted.wait()
            await self._run_once(unit)

    async def _run_once(self, unit: _Unit) -> None:
        """Start it, wait for its end, and decide whether to restart it."""
        component = unit.component
        if unit.restart == "cleanup" and component.cleanup:
            _, cleaned = self._launch(component, component.cleanup)
            await cleaned
        if component.after:
            unit.state = "waiting"
            await asyncio.gather(*map(self._until, component.after))
            if not unit.wanted.is_set():
                return
        unit.restart = ""
        unit.state = "starting"
        try:
            unit.pid, ended = self._launch(component, component.argv)
        except OSError as error:
            self._fail(unit, f"could not be started: {error}")
            return
        readiness = asyncio.create_task(self._await_ready(unit))
        code = await ended
        readiness.cancel()
        unit.pid = 0
        if unit.restart:
            unit.state = "restarting"
        elif not unit.wanted.is_set():
            unit.state, unit.reason = "stopped", "stopped on request"
        else:
            await self._after_mishap(unit, _how(code))

    async def _after_mishap(self, unit: _Unit, how: str) -> None:
        now = time.monotonic()
        unit.ended.append(now)
        recent = [moment for moment in unit.ended if now - moment < WINDOW]
        if len(recent) > TRIES:
            self._fail(unit, f"{how}, {len(recent)} times within {WINDOW:.0f} s")
            return
        unit.state, unit.reason = "restarting", how
        component = unit.component
        self.events.append({"component": component.name, "node": component.node, "what": f"it {how}"})
        await asyncio.sleep(0.3 * (len(recent) - 1))

    def _fail(self, unit: _Unit, reason: str) -> None:
        unit.state, unit.reason = "failed", reason
        unit.wanted.clear()

    async def _await_ready(self, unit: _Unit) -> None:
        if unit.component.ready is None:
            await asyncio.sleep(_SURVIVED)
        else:
            await self._until(unit.component.ready)
        unit.state, unit.reason = "running", ""

    async def _until(self, check: Check) -> None:
        """Wait for a check; all who wait for the same one share its probe."""
        asking = self._asking.get(check)
        if asking is None or asking.done():
            asking = self._asking[check] = asyncio.create_task(until(check))
        await asyncio.shield(asking)

    async def _end(self, unit: _Unit) -> None:
        if not unit.pid:
            return
        pid = unit.pid
        deadline = time.monotonic() + _PATIENCE
        _signal(pid, signal.SIGTERM)
        _signal(pid, signal.SIGCONT)
        while unit.pid == pid:
            if time.monotonic() > deadline:
                _signal(pid, signal.SIGKILL)
            await asyncio.sleep(_POLL)

    def _launch(self, component: Component, argv: tuple[str, ...]) -> tuple[int, asyncio.Future[int]]:
        entry = ["nsenter", *node_entry(component.node), "--"] if component.node else []
        return self._reaper.start([*entry, *argv], component.env, self._log(component))

    def _log(self, component: Component) -> Path:
        return self._logs / f"{component.name}.log"

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(60)
            for unit in self._units.values():
                path = self._log(unit.component)
                if path.exists() and path.stat().st_size > _LOG_LIMIT:
                    os.truncate(path, 0)


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it ended a moment ago
        os.kill(pid, number)


def _seen_state(unit: _Unit) -> State:
    """The state; a process that got SIGSTOP counts as stopped."""
    fields = stat_fields(unit.pid) if unit.pid else None
    return "stopped" if fields and fields[0] in "Tt" else unit.state


def _how(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def tail(path: Path, lines: int) -> str:
    """The last lines of a log, read from its last 64 KiB."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - (1 << 16)))
            return "\n".join(stream.read().decode(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
