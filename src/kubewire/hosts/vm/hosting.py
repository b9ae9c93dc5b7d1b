"""The VM as a lab host: its inventory, and whether it still runs. Light."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.core.files import write_atomically
from kubewire.hosts.vm import state
from kubewire.hosts.vm.state import VmState

HOST = "vm"
"""The inventory name of a lab's VM, as in `--host vm`."""
INVENTORY = "inventory.json"


def write_inventory(vm: VmState) -> Path:
    """An Ansible inventory whose only host is the VM, with kubewire's paths on it."""
    path = state.folder(vm.lab) / INVENTORY
    host = {
        "ansible_host": state.ADDRESS,
        "ansible_port": vm.port,
        "ansible_user": state.USER,
        "ansible_ssh_common_args": shlex.join(vm.options),
        "ansible_python_interpreter": state.PYTHON,
        "kubewire_python": state.PYTHON,
        "kubewire_environment": state.ENVIRONMENT,
    }
    write_atomically(path, json.dumps({"all": {"hosts": {HOST: host}}}, indent=1) + "\n")
    return path


def is_dead(lab: str, host: str) -> bool:
    """Whether that host is the lab's VM and no longer runs."""
    return host == HOST and state.running(lab) is None


def why_dead(lab: str) -> str:
    console = state.post_mortem(lab) / state.CONSOLE
    return "its VM has ended" + (f"; the end of its console: {console}" if console.exists() else "")


def require_alive(lab: str) -> None:
    """LabError for a lab whose VM has ended, with the path of its console log."""
    if is_dead(lab, HOST):
        raise LabError(
            why_dead(lab),
            where=f"lab {lab}",
            hint=f"recreate it: kubewire down {lab}, then kubewire up {lab}",
        )
