"""One cell on another host, or in a VM of its own: sends what it lacks, receives its result.

`python -m kubewire.nightly.remote_cell FOLDER PARENT` with a RemoteOrder on standard input, in place of
kubewire.nightly.cell. HostError's exit code means that the host is lost.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from msgspec import Struct
from pydantic import ValidationError

from kubewire.app.steps.send_binaries import ship_binaries
from kubewire.app.steps.vm import boot
from kubewire.core import console
from kubewire.core.errors import KubewireError, LabError
from kubewire.core.files import size_text, write_atomically
from kubewire.core.processes import dying_with_us
from kubewire.core.serialization import decode, encode
from kubewire.hosts import agent, definitions
from kubewire.hosts.agent import CELL_MARK
from kubewire.hosts.multiplexing import shared
from kubewire.hosts.remote import SSH_FAILED, runner
from kubewire.hosts.ssh_errors import unreachable
from kubewire.hosts.ssh_target import SshTarget
from kubewire.hosts.vm import machine, state
from kubewire.hosts.vm.state import HOST as VM
from kubewire.lab.loading import load_lab
from kubewire.matrix.results import CellResult
from kubewire.nightly.cell import keep_packed, overrides_of
from kubewire.nightly.children import serve
from kubewire.nightly.folder import CellOrder, CellRequest
from kubewire.snapshot.archive import PACKED_LIMIT, pack_snapshot, unpack_snapshot

PATIENCE = 15.0
"""Seconds that the host gets to remove its lab when this process gets SIGTERM."""
ANSWER_LIMIT = PACKED_LIMIT + (64 << 20)
LOG_LIMIT = 1 << 20


class RemoteOrder(Struct):
    order: CellOrder
    place: SshTarget | None
    """None for a VM."""


def main(arguments: list[str]) -> int:
    return serve(arguments, _work)


def _work(folder: Path, told: bytes) -> int:
    far = decode(told, RemoteOrder)
    try:
        with shared_host(far.order, far.place) if far.place else vm_for(far.order) as place:
            definition = definitions.pack(far.order.reference, overrides_of(far.order))
            result, snapshot = _ask(CellRequest(far.order, definition), place)
        if snapshot:
            keep_packed(folder, pack_snapshot(unpack_snapshot(snapshot, "its snapshot")))
        write_atomically(folder / "result.json", result.model_dump_json(by_alias=True) + "\n")
    except KubewireError as error:
        console.out(f"{error.where}: {error.what}" if error.where else error.what)
        return error.exit_code
    return 0


@contextmanager
def shared_host(order: CellOrder, place: SshTarget) -> Iterator[SshTarget]:
    """The host, with the cell's binaries, through one connection."""
    _say("binaries")
    with shared(place) as host:
        sent = ship_binaries(runner(host), host, order.reference, dict(overrides_of(order)))
        if sent.get("failed"):
            raise LabError(sent["msg"], where=host.name)
        yield host


@contextmanager
def vm_for(order: CellOrder) -> Iterator[SshTarget]:
    """A VM with the cell's binaries; it ends with the block or this process."""
    overrides = overrides_of(order)
    _say("VM")
    boot(load_lab(order.reference, overrides))
    try:
        if (vm := state.running(overrides["name"])) is None:
            raise LabError("the VM has ended", where=overrides["name"])
        yield SshTarget(VM, vm.ssh, state.PYTHON, state.ENVIRONMENT)
    finally:
        machine.remove(overrides["name"])


def _ask(request: CellRequest, place: SshTarget) -> tuple[CellResult, bytes]:
    """The cell's result and its packed snapshot, both validated; the cell's output goes to this process's
    log.
    """
    command = place.argv(agent.command(place, "cell"), "-T", "-o", "BatchMode=yes")
    there = subprocess.Popen(
        [*dying_with_us(), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert there.stdin is not None and there.stdout is not None and there.stderr is not None  # noqa: S101
    threading.Thread(target=_log, args=(there.stderr,), daemon=True).start()
    try:
        with suppress(BrokenPipeError):  # one that ends at once may have printed why
            there.stdin.write(encode(request) + b"\n")
            there.stdin.flush()
        answer = there.stdout.read(ANSWER_LIMIT + 1)
    except BaseException:
        there.stdin.close()  # the host notices the end by it
        with suppress(subprocess.TimeoutExpired):
            there.wait(PATIENCE)
        raise
    if len(answer) > ANSWER_LIMIT:
        there.kill()
        raise LabError(f"the cell answered more than {size_text(ANSWER_LIMIT)}", where=place.name)
    code = there.wait()
    _, found, rest = answer.partition(CELL_MARK)
    if code == SSH_FAILED:
        raise unreachable("the connection was closed by remote host", place.name)
    agent.check_version(code, "", place.name)
    if not found:
        raise LabError(f"the cell gave no result (exit code {code})", where=place.name)
    result, _, snapshot = rest.partition(b"\n")
    return read_result(result, request.order, place.name), snapshot


def read_result(data: bytes, order: CellOrder, host: str) -> CellResult:
    """A host's result of that cell; LabError for anything else."""
    try:
        found = CellResult.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise LabError(f"its cell's answer is invalid: {first['msg']} at {where}", where=host) from error
    if {"id": found.id, **{key: getattr(found, key) for key in order.keys}} != {"id": order.id, **order.keys}:
        raise LabError(f"it answered for another cell than {order.id}", where=host)
    return found


def _log(said: IO[bytes]) -> None:
    """Copy the cell's output, printable, to this process's log, up to LOG_LIMIT bytes."""
    left = LOG_LIMIT
    for line in iter(lambda: said.readline(LOG_LIMIT), b""):
        if left > 0:
            console.out(line[:left].decode(errors="replace").rstrip("\n"))
        left -= len(line)


def _say(phase: str) -> None:
    console.out(f"{time.strftime('%H:%M:%S')} {phase}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
