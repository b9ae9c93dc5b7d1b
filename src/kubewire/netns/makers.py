"""Whose death, before the lab is ready, means that nobody waits for it any more."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "KUBEWIRE_MAKER_PID"


def makers() -> list[int]:
    """The caller first, then its Ansible ancestors and the CLI (from the environment), without repeats."""
    found = [os.getpid(), *_ansible_ancestors(os.getpid())]
    cli = os.environ.get(VARIABLE, "")
    if cli.isdecimal():
        found.append(int(cli))
    return list(dict.fromkeys(found))


def command_lives() -> bool:
    """Whether the command that started this playbook is still there; True where none did."""
    pid = os.environ.get(VARIABLE, "")
    if not pid.isdecimal():
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


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
