"""Requests and answers on the control socket of a sandbox's PID 1."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeVar

from msgspec import Struct

from kubewire.core import rpc
from kubewire.providers.netns import state

T = TypeVar("T")


class Request(Struct, omit_defaults=True):
    """`made`: the nodes are Ready, so `up`'s own process may end. `commit`: the lab outlives its owners.
    `forget`: drop this number of reported events. `restart`: with `cleanup`, first remove what the component
    left. `resume`: continue one that got SIGSTOP.
    """

    command: Literal["status", "made", "commit", "forget", "restart", "stop", "resume", "logs"]
    component: str = ""
    events: int = 0
    cleanup: bool = False
    lines: int = 20


class Unit(Struct):
    """A component's state in the supervisor."""

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
    """Send a request to a lab's sandbox; raises as `rpc.call`."""
    return rpc.call(directory / state.SOCKET, request, kind, timeout=timeout)
