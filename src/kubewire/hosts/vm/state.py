"""A lab's VM: its files in its folder, whether it still runs, and how it is reached as a lab host. Light."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from msgspec import field

from kubewire.core.errors import LabError
from kubewire.core.files import read_record, write_atomically, write_record
from kubewire.core.paths import state_dir
from kubewire.core.proc import Origin, Process
from kubewire.core.timeouts import VARIABLE

HOST = "vm"
"""The inventory name of a lab's VM, as in `--host vm`."""
INVENTORY = "inventory.json"
FILE = "vm.json"
KEY = "key"
KNOWN_HOSTS = "known_hosts"
SEED = "seed.tar"
CONSOLE = "console.log"
LOG = "qemu.log"
SCHEMA = 1
ADDRESS, USER = "127.0.0.1", "root"
PYTHON = "/usr/bin/python3"
"""In the guest: a Python with kubewire's locked dependencies and kubewire itself."""
CACHE_HOME = "/opt/kubewire/cache"
"""In the guest: XDG_CACHE_HOME; the host's Kubernetes binaries lie below it, read-only."""
PATIENCE = "5"
"""The factor for deadlines in the guest."""
ENVIRONMENT = {"XDG_CACHE_HOME": CACHE_HOME, "XDG_STATE_HOME": "/var/lib", VARIABLE: PATIENCE}
"""The variables that kubewire needs in the guest to find the binaries and to keep its state."""


class VmState(Origin, frozen=True):
    """A VM as its monitor recorded it. `parts` are its disks; `about` describes it for people."""

    boot: str  # without it a record proves nothing
    lab: str
    monitor: Process = field(name="keeper")  # the key of earlier releases
    qemu: Process | None
    port: int
    parts: tuple[str, ...]
    about: str

    def alive(self) -> bool:
        return self.all_alive(self.monitor, self.qemu)

    @property
    def options(self) -> list[str]:
        """ssh's options: kubewire generated the host key and pins it."""
        pairs = {
            "IdentityFile": folder(self.lab) / KEY,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": folder(self.lab) / KNOWN_HOSTS,
            "GlobalKnownHostsFile": "/dev/null",
            "HostKeyAlias": alias(self.lab),
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
        }
        return ["-F", "none", *(part for key, value in pairs.items() for part in ("-o", f"{key}={value}"))]

    @property
    def ssh(self) -> tuple[str, ...]:
        """The argv that opens a connection, without a command."""
        return ("ssh", *self.options, "-p", str(self.port), f"{USER}@{ADDRESS}")


def folder(lab: str) -> Path:
    return state_dir() / "vm" / lab


def post_mortem(lab: str) -> Path:
    """Where the monitor keeps the console of a VM that has ended; `down` and `gc` remove it."""
    return state_dir() / "logs" / lab / "vm"


def alias(lab: str) -> str:
    """The name under which the VM's host key is pinned."""
    return f"kubewire-vm-{lab}"


def write_state(state: VmState) -> None:
    write_record(folder(state.lab) / FILE, state, SCHEMA)


def read_state(lab: str) -> VmState | None:
    """The recorded VM, or None where there is none or its record is not understood.

    UnsafeFileError if it is not this user's own: what it describes must not be touched.
    """
    return read_record(folder(lab) / FILE, VmState, SCHEMA)


def running(lab: str) -> VmState | None:
    """The lab's VM if it runs."""
    found = read_state(lab)
    return found if found and found.alive() else None


def recorded() -> list[str]:
    """The labs that have a VM folder, sorted."""
    base = state_dir() / "vm"
    return sorted(entry.name for entry in base.iterdir()) if base.is_dir() else []


def write_inventory(vm: VmState) -> Path:
    """An Ansible inventory whose only host is the VM, with kubewire's paths on it."""
    path = folder(vm.lab) / INVENTORY
    host = {
        "ansible_host": ADDRESS,
        "ansible_port": vm.port,
        "ansible_user": USER,
        "ansible_ssh_common_args": shlex.join(vm.options),
        "ansible_python_interpreter": PYTHON,
        "kubewire_python": PYTHON,
        "kubewire_environment": ENVIRONMENT,
    }
    write_atomically(path, json.dumps({"all": {"hosts": {HOST: host}}}, indent=1) + "\n")
    return path


def is_dead(lab: str, host: str) -> bool:
    """Whether that host is the lab's VM and no longer runs."""
    return host == HOST and running(lab) is None


def why_dead(lab: str) -> str:
    console = post_mortem(lab) / CONSOLE
    return "its VM has ended" + (f"; the end of its console: {console}" if console.exists() else "")


def require_alive(lab: str) -> None:
    """LabError for a lab whose VM has ended, with the path of its console log."""
    if is_dead(lab, HOST):
        raise LabError(
            why_dead(lab),
            where=f"lab {lab}",
            hint=f"recreate it: kubewire down {lab}, then kubewire up {lab}",
        )
