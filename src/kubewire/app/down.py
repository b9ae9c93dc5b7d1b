"""`down` of a lab on this machine: the step of playbooks/down.yml without Ansible, which is faster."""

from __future__ import annotations

from kubewire.app.display import Display
from kubewire.app.playbook import forget_logs
from kubewire.app.steps.remove import remove_here
from kubewire.hosts.definitions import forget_unused


def down_here(name: str, *, wait: bool = True) -> int:
    """Remove a lab under its lock, then its logs; the exit code."""
    display = Display()
    with display.lab_lock(name, "down", wait=wait):
        with display.running("Remove the lab and everything that belongs to it"):
            removed = remove_here(name)
        forget_logs(name)
        display.line(f"lab {name} is removed" if removed else f"there was no lab {name}", "green")
    forget_unused()  # the definition that another machine sent, in use until the lock is released
    return 0
