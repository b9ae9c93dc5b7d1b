"""PID 1 of a sandbox: creates it, supervises its components, answers on its control socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from dataclasses import dataclass
from pathlib import Path

from kubewire.core import rpc
from kubewire.core.prctl import die_with_parent, set_process_name
from kubewire.core.processes import SYSTEM_PATH
from kubewire.providers.netns import cgroups, control, relay, sandbox
from kubewire.providers.netns.plan import LOGS, Plan
from kubewire.providers.netns.supervisor import Reaper, Supervisor


@dataclass(frozen=True)
class Sockets:
    """The descriptors that PID 1 inherits: kubectl's port, the control socket, the pipe to the monitor."""

    kubectl: socket.socket
    control: socket.socket
    monitor: socket.socket


def run(plan: Plan, sockets: Sockets) -> None:
    """Runs until the lab or the monitor ends."""
    die_with_parent(signal.SIGKILL)
    set_process_name("kubewire-init")
    os.chdir("/")
    os.umask(0o022)
    os.environ["PATH"] = SYSTEM_PATH
    sandbox.build(plan)
    asyncio.run(_Init(plan, sockets).serve())


class _Init:
    def __init__(self, plan: Plan, sockets: Sockets) -> None:
        self._plan = plan
        self._sockets = sockets
        self._reaper = Reaper()
        self._supervisor = Supervisor(plan.components, self._reaper, Path(LOGS))
        self._committed = False
        self._groups = cgroups.lab_groups()

    async def serve(self) -> None:
        self._reaper.install()
        await rpc.serve(self._sockets.control, control.Request, self._handle)
        await relay.serve(self._sockets.kubectl, self._plan.endpoints)
        self._supervisor.start()
        self._tell_monitor("built")
        monitor, _ = await asyncio.open_connection(sock=self._sockets.monitor.dup())
        await monitor.read()  # the monitor never writes: this returns when it ends

    def _tell_monitor(self, word: str) -> None:
        self._sockets.monitor.sendall(f"{word}\n".encode())

    async def _handle(self, request: control.Request) -> object:
        match request.command:
            case "status":
                components = self._supervisor.status()
                return {
                    "limited": sorted(self._groups),
                    "committed": self._committed,
                    "components": components,
                    "events": self._supervisor.events,
                }
            case "made":
                self._tell_monitor("made")
            case "commit":
                self._committed = True
                self._tell_monitor("commit")
            case "forget":
                del self._supervisor.events[: request.events]
            case "restart":
                await self._supervisor.restart(request.component, cleanup=request.cleanup)
            case "stop":
                await self._supervisor.stop(request.component)
            case "resume":
                self._supervisor.resume(request.component)
            case "logs":
                return control.Log(self._supervisor.tail(request.component, request.lines))
        return control.Done()
