"""One container of a pod: start, monitor, restart with back-off, stop.

Source of the back-off: kubelet (none the first time, then 10 s doubling to 5 min, reset after 10 min).
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from kubewire.core.errors import KubewireError
from kubewire.providers.netns.agent.images import Program, UnsupportedImageError, program
from kubewire.providers.netns.agent.probes import Prober, named_ports
from kubewire.providers.netns.agent.process import Process
from kubewire.providers.netns.agent.sandbox import Sandbox
from kubewire.providers.netns.agent.status import Ended, Report, Running, State, Waiting

log = logging.getLogger(__name__)
Say = Callable[[Literal["Normal", "Warning"], str, str], None]

BACKOFF_FIRST, BACKOFF_LIMIT, BACKOFF_FORGET = 10.0, 300.0, 600.0
STARTING_SECONDS = 15.0
LOG_LIMIT = 8 * 1024 * 1024
UNSUPPORTED = "ErrImageNotOnNetns"


def backoff(failures: int) -> float:
    """Seconds to wait before the restart after this many ends in a row."""
    return 0.0 if failures <= 1 else min(BACKOFF_FIRST * 2.0 ** (failures - 2), BACKOFF_LIMIT)


class Container:
    """Only `step` and `stop` change its state; `report` is the status for the API."""

    def __init__(
        self, spec: Mapping[str, Any], earlier: Mapping[str, Any] | None, logs: Path, say: Say
    ) -> None:
        """`earlier` is the container's status from a previous agent; `logs` its folder of log files."""
        self.spec = spec
        self.name: str = spec["name"]
        self.state: State = Waiting("ContainerCreating")
        self.ready = False
        self.last: Ended | None = None
        self.restarts = 0
        self.identity = ""
        self.process: Process | None = None
        self._logs, self._say = logs, say
        self._failures = 0
        self._retry_at = 0.0
        self._program: Program | None = None
        self._probes: dict[str, Prober] = {}
        if earlier and earlier.get("containerID"):
            self.restarts = int(earlier.get("restartCount", 0)) + 1
            now = time.time()
            self.last = Ended(137, now, now, earlier["containerID"])

    @property
    def log(self) -> Path:
        """The log file of the current (or latest) run."""
        return self._logs / f"{self.restarts}.log"

    @property
    def starting(self) -> bool:
        """Started a moment ago and not ready yet."""
        return (
            isinstance(self.state, Running)
            and not self.ready
            and time.time() - self.state.started < STARTING_SECONDS
        )

    @property
    def previous_log(self) -> Path:
        return self._logs / f"{self.restarts - 1}.log"

    def report(self) -> Report:
        return Report(
            self.name,
            self.spec.get("image", ""),
            self.state,
            ready=self.ready,
            restarts=self.restarts,
            container_id=self.identity,
            last=self.last,
        )

    def step(self, box: Sandbox, restart_policy: str, open_ports: set[int]) -> None:
        """Start it if it is due, record its end, check whether it is ready."""
        if isinstance(self.state, Running):
            self._watch(box, restart_policy, open_ports)
        elif self._due():
            self._start(box)

    def _due(self) -> bool:
        waits = isinstance(self.state, Waiting) and self.state.reason != UNSUPPORTED
        return waits and time.monotonic() >= self._retry_at

    def _start(self, box: Sandbox) -> None:
        if self.last is not None and self.identity:
            self.restarts, self.identity = self.restarts + 1, ""
            (self._logs / f"{self.restarts - 2}.log").unlink(missing_ok=True)
        try:
            config = box.machine.config
            self._program = program(
                self.spec, ipv6=box.machine.ipv6, rootful=config.rootful, coredns=config.coredns
            )
            self.process = Process(box.launch(self.spec, self._program, self.log))
        except UnsupportedImageError as error:
            self.state = Waiting(UNSUPPORTED, str(error))
            self._say("Warning", UNSUPPORTED, str(error))
            return
        except (KubewireError, OSError, KeyError) as error:
            self._failures += 1
            self._retry_at = time.monotonic() + max(1.0, backoff(self._failures))
            self.state = Waiting("CreateContainerError", str(error))
            self._say("Warning", "Failed", f"Error: {error}")
            return
        self.identity = f"kubewire://{secrets.token_hex(32)}"
        self.state = Running(time.time())
        self._probes = {
            kind: Prober(self.spec[f"{kind}Probe"], initial=kind == "liveness")
            for kind in ("startup", "readiness", "liveness")
            if f"{kind}Probe" in self.spec
        }
        self._say("Normal", "Started", f"Started container {self.name}")

    def _watch(self, box: Sandbox, restart_policy: str, open_ports: set[int]) -> None:
        assert self.process is not None and self._program is not None  # noqa: S101
        code = self.process.exit_code()
        if code is not None:
            self._ended(code, restart_policy)
            return
        self._bound_log()
        serving = set(self._program.ports) <= open_ports
        started = self._holds("startup", box)
        if started and not self._holds("liveness", box):
            self._say("Warning", "Unhealthy", f"Liveness {self._probes['liveness'].message}")
            self.process.kill()
            self.ready = False
            return
        self.ready = serving and started and self._holds("readiness", box)

    def _holds(self, kind: str, box: Sandbox) -> bool:
        prober = self._probes.get(kind)
        return prober is None or prober.check(box.ips[0], named_ports(self.spec), box.node.netns)

    def _ended(self, code: int, restart_policy: str) -> None:
        started = self.state.started if isinstance(self.state, Running) else time.time()
        said = self.process.complaint() if self.process else ""
        end = Ended(code, started, time.time(), self.identity, said)
        self.ready, self.process = False, None
        if restart_policy == "Never" or (restart_policy == "OnFailure" and code == 0):
            self.state = end
            return
        self.last = end
        self._failures = 1 if end.finished - started > BACKOFF_FORGET else self._failures + 1
        delay = backoff(self._failures)
        self._retry_at = time.monotonic() + delay
        message = f"back-off {delay:.0f}s restarting failed container={self.name}"
        self.state = Waiting("CrashLoopBackOff", message) if delay else Waiting("ContainerCreating")
        if delay:
            self._say("Warning", "BackOff", message)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        if self.process is not None:
            self._say("Normal", "Killing", f"Stopping container {self.name}")
            self.process.terminate()

    def settle(self, open_ports: set[int]) -> bool:
        """While it is being stopped: record its end, or that it no longer serves; whether it has ended."""
        if self.process is None:
            self.ready = False
            return True
        code = self.process.exit_code()
        if code is not None:
            self._ended(code, "Never")
            return True
        self.ready = self.ready and self._program is not None and set(self._program.ports) <= open_ports
        return False

    def kill(self) -> None:
        """Kill it."""
        if self.process is not None:
            self.process.kill()
            self._ended(self.process.exit_code() or 0, "Never")

    def _bound_log(self) -> None:
        """Logs are in memory: one that grows too long is truncated."""
        try:
            if self.log.stat().st_size > LOG_LIMIT:
                with self.log.open("r+b") as file:
                    file.truncate()
        except OSError as error:
            log.debug("log %s: %s", self.log, error)
