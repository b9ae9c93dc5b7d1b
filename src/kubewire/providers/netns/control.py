"""What PID 1 of a sandbox is asked on its control socket, and what it answers."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from kubewire.core import rpc
from kubewire.providers.netns import state

T = TypeVar("T")


class Status(Struct, tag="status", tag_field="command"):
    pass


class Made(Struct, tag="made", tag_field="command"):
    """The nodes are Ready: `up`'s own process may end from now on."""


class Commit(Struct, tag="commit", tag_field="command"):
    """The lab is complete: it outlives whoever made it."""


class Forget(Struct, tag="forget", tag_field="command"):
    """The oldest mishaps have been reported."""

    events: int


class Restart(Struct, tag="restart", tag_field="command"):
    """Start a component again, with `cleanup` after removing what it left."""

    component: str
    cleanup: bool = False


class Stop(Struct, tag="stop", tag_field="command"):
    component: str


class Resume(Struct, tag="resume", tag_field="command"):
    """Let a component go on that someone sent SIGSTOP."""

    component: str


class Logs(Struct, tag="logs", tag_field="command"):
    component: str
    lines: int = 20


Request = Status | Made | Commit | Forget | Restart | Stop | Resume | Logs
REQUESTS: Decoder[Request] = Decoder(Request)


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
