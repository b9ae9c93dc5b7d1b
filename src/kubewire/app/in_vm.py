"""Run a lab in a VM of its own: start the VM, then proceed as on any other host."""

from __future__ import annotations

from dataclasses import replace

from kubewire.app.display import Display
from kubewire.app.on_hosts import up_on_hosts
from kubewire.app.placement import Request
from kubewire.app.playbook import forget_logs
from kubewire.app.steps.vm import boot
from kubewire.core.os_packages import can_install, missing_packages
from kubewire.hosts import records, tunnel
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.vm import machine
from kubewire.hosts.vm.preflight import programs
from kubewire.hosts.vm.state import HOST, is_dead
from kubewire.providers.registry import embedded


def up_in_vm(name: str, request: Request, why: str) -> int:
    """Start the lab's VM unless it runs, create or repair the lab in it; the exit code."""
    display = Display()
    display.line(f"vm: {why}")
    with display.lab_lock(name, "up", wait=request.wait):
        lived = not is_dead(name, HOST) and bool(records.read(name))
        if request.check and not lived:
            if (missing := missing_packages(programs())) and can_install():
                display.line(f"the OS packages {', '.join(missing)} would be installed")
            display.line(f"lab {name} would be created in a VM of its own")
            return 0
        if not lived:
            _remove(name)
        try:
            with display.running("A VM whose kernel has ip_vs"):
                target, version = boot(request.definition, display.tell)
            pinned = {**request.overrides, "kubernetes": version.removeprefix("v")}
            code = up_on_hosts(name, replace(request, overrides=pinned, provider=embedded().name), target)
        except BaseException:
            if not lived:
                _remove(name)
            raise
        if HOST in records.read(name):
            machine.commit(name)
        elif not lived:
            _remove(name)
    return code


def down_in_vm(away: RemoteLab, *, wait: bool) -> int:
    """Remove the lab's VM, and with it the lab; the exit code."""
    display = Display()
    with display.lab_lock(away.lab, "down", wait=wait):
        tunnel.close(away)
        was_there = _remove(away.lab)
        display.line(f"lab {away.lab}: its VM {'is removed' if was_there else 'was removed already'}")
        forget_logs(away.lab)
    return 0


def _remove(name: str) -> bool:
    """Whether there was a VM."""
    was_there = machine.remove(name)
    records.forget(name, HOST)
    return was_there
