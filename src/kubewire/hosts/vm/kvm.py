"""Whether KVM really runs the guest's kernel on this machine: it may hang although /dev/kvm exists."""

from __future__ import annotations

import json
import os
from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.core.files import read_own_json, write_atomically
from kubewire.core.proc import boot_id
from kubewire.core.processes import run
from kubewire.hosts.vm.cache import folder
from kubewire.hosts.vm.debian import Root
from kubewire.hosts.vm.qemu import Qemu, base

DEVICE = Path("/dev/kvm")
PATIENCE = 10.0
"""Seconds. Where KVM works, a kernel without a root panics, which ends QEMU, within two."""


def works(qemu: Qemu, root: Root) -> bool:
    """Tried once for each boot of this machine and each kernel; the result is cached."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return False
    verdict, key = folder() / "kvm.json", f"{boot_id()} {root.kernel} {qemu.which}"
    try:
        known = read_own_json(verdict)
        if known["key"] == key:
            return bool(known["works"])
    except (OSError, LabError, KeyError):
        pass
    answer = _try(qemu, root)
    write_atomically(verdict, json.dumps({"key": key, "works": answer}))
    return answer


def _try(qemu: Qemu, root: Root) -> bool:
    argv = [
        *base(qemu, "kvm", "host", 512, 1),
        *("-kernel", str(root.kernel), "-append", "panic=-1 quiet", "-serial", "null"),
    ]
    return run(argv, timeout=PATIENCE).code == 0
