"""What PID 1 of a sandbox is asked on its control socket, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from msgspec import Struct

from kubewire.core import rpc
from kubewire.providers.netns import state

T = TypeVar("T")


class Request(Struct, omit_defaults=True):
    """`made`: the nodes are Ready, so that `up`'s own process may end. `commit`: the lab outlives its makers.
    `forget`: so many mishaps have been reported. `restart`, with `cleanup` after removing what the component
    left. `resume`: let one go on that someone sent SIGSTOP.
    """

    command: Literal["status", "made", "commit", "forget", "restart", "stop", "resume", "logs"]
    component: str = ""
    events: int = 0
    cleanup: bool = False
    lines: int = 20


class Unit(Struct):
    """A component, as its supervisor has it."""

    state: str
    pid: int
    reason: str
    node: str


class Mishap(Struct):
    component: str
    node: str
    what: str


class SandboxStatus(Struct):
    components: dict[str, Unit]
    events: list[Mishap] = []
    limited: list[str] = []
    committed: bool = False


class Log(Struct):
    log: str


class Done(Struct):
    pass


def call(directory: Path, request: Request, kind: type[T], *, timeout: float = 10.0) -> T:
    """Ask the sandbox of a lab's state folder; raises as `rpc.call`."""
    return rpc.call(directory / state.SOCKET, request, kind, timeout=timeout)
