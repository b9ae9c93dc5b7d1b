"""Owner processes: if one of them ends before the lab is ready, nobody waits for the lab any more."""

from __future__ import annotations

import os
import select
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

VARIABLE = "KUBEWIRE_MAKER_PID"


def owners() -> list[int]:
    """The caller first, then its Ansible ancestors and the CLI (from the environment), without repeats."""
    found = [os.getpid(), *_ansible_ancestors(os.getpid())]
    cli = os.environ.get(VARIABLE, "")
    if cli.isdecimal():
        found.append(int(cli))
    return list(dict.fromkeys(found))


def command_lives() -> bool:
    """Whether the command that started this playbook still runs; True if no command did."""
    pid = os.environ.get(VARIABLE, "")
    if not pid.isdecimal():
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@contextmanager
def ended_with_owners(process: subprocess.Popen[str]) -> Iterator[None]:
    """Within the block, kill this process as soon as one of its owners ends.

    Its child processes end by themselves: a request that is interrupted may still take effect.
    """
    with ExitStack() as stack:
        over, done = os.pipe()
        stack.callback(os.close, over)
        watched = [descriptor for pid in owners()[1:] if (descriptor := _open(pid)) is not None]
        for descriptor in watched:
            stack.callback(os.close, descriptor)

        def watch() -> None:
            ready, _, _ = select.select([over, *watched], [], [])
            if over not in ready:
                process.kill()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        stack.callback(thread.join)
        stack.callback(os.close, done)
        yield


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _ansible_ancestors(pid: int) -> list[int]:
    parent = _parent(pid)
    if parent > 1 and b"ansible-playbook" in _command(parent):
        return [parent, *_ansible_ancestors(parent)]
    return []


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
