"""Here: one cell on another host, or in a VM of its own. What it lacks is sent, then its result comes back.

`python -m kubewire.matrix.far_cell FOLDER PARENT` with a FarOrder on standard input, in the place of
kubewire.matrix.cell. HostError's exit code means that the host is no use any more.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel

from kubewire.core.files import write_atomically
from kubewire.errors import KubewireError, LabError
from kubewire.hosts import shipping
from kubewire.hosts.binaries import ship_binaries
from kubewire.hosts.errors import unreachable
from kubewire.hosts.far import SSH_FAILED, runner
from kubewire.hosts.place import Place
from kubewire.hosts.sharing import shared
from kubewire.matrix.cell import keep_packed, overrides_of
from kubewire.matrix.cell_there import MARK, Request
from kubewire.matrix.children import serve
from kubewire.matrix.folder import CellOrder
from kubewire.steps.vm import boot
from kubewire.vm import machine
from kubewire.vm.hosting import HOST as VM

PATIENCE = 15.0
"""Seconds that the host gets to remove its lab when this process is told to end."""


class FarOrder(BaseModel):
    order: CellOrder
    place: Place | None
    """None for a VM."""


def main(arguments: list[str]) -> int:
    return serve(arguments, _work)


def _work(folder: Path, told: bytes) -> int:
    far = FarOrder.model_validate_json(told)
    try:
        with shared_host(far.order, far.place) if far.place else vm_for(far.order) as place:
            result, snapshot = _ask(_request(far.order), place)
        if snapshot:
            keep_packed(folder, snapshot)
        write_atomically(folder / "result.json", result.decode() + "\n")
    except KubewireError as error:
        print(error.what, flush=True)
        return error.exit_code
    return 0


@contextmanager
def shared_host(order: CellOrder, place: Place) -> Iterator[Place]:
    """The host with the cell's binaries, through one connection."""
    _say("binaries")
    with shared(place) as host:
        sent = ship_binaries(runner(host), host, order.reference, dict(overrides_of(order)))
        if sent.get("failed"):
            raise LabError(sent["msg"], where=host.name)
        yield host


@contextmanager
def vm_for(order: CellOrder) -> Iterator[Place]:
    """A VM with the cell's binaries, which ends with the block, or with this process."""
    overrides = overrides_of(order)
    _say("VM")
    boot(order.reference, overrides)
    try:
        if (endpoint := machine.find(overrides["name"])) is None:
            raise LabError("the VM has ended", where=overrides["name"])
        yield Place(VM, endpoint.ssh, endpoint.python, endpoint.environment)
    finally:
        machine.remove(overrides["name"])


def _request(order: CellOrder) -> Request:
    return Request(order=order, definition=shipping.pack(order.reference, overrides_of(order)))


def _ask(request: Request, place: Place) -> tuple[bytes, bytes]:
    """The cell's result and its packed snapshot; what the cell says goes to this process's own log."""
    command = place.argv(place.module("kubewire.matrix.cell_there"), "-T", "-o", "BatchMode=yes")
    there = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert there.stdin is not None and there.stdout is not None  # noqa: S101 - it was started with pipes
    try:
        there.stdin.write(request.model_dump_json(by_alias=True).encode() + b"\n")
        there.stdin.flush()
        answer = there.stdout.read()
    except BrokenPipeError:
        answer = b""
    except BaseException:
        there.stdin.close()  # by which the host knows
        with suppress(subprocess.TimeoutExpired):
            there.wait(PATIENCE)
        raise
    code = there.wait()
    _, found, rest = answer.partition(MARK)
    if code == SSH_FAILED:
        raise unreachable("the connection was closed by remote host", place.name)
    if not found:
        raise LabError(f"the cell gave no result (exit code {code})", where=place.name)
    result, _, snapshot = rest.partition(b"\n")
    return result, snapshot


def _say(phase: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {phase}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
