"""Requests and answers on the node agent's control socket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from kubewire.core import rpc

SOCKET = "control.sock"


class Repair(Struct, tag="repair", tag_field="op"):
    """Repair a node's network; with `check` only list the repairs."""

    node: str
    check: bool = False


class Repaired(Struct):
    mended: list[str]


def serve(path: Path, handler: Callable[[Repair], Repaired]) -> None:
    """Answer on a unix socket at `path` (mode 0600)."""
    path.unlink(missing_ok=True)
    rpc.serve_in_threads(rpc.listen(path), Repair, handler)
