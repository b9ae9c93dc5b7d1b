"""`up` of a lab in a VM of its own: the VM first, then as on any other host."""

from __future__ import annotations

import sys
from dataclasses import replace

from kubewire.app import on_hosts
from kubewire.app.display import Display
from kubewire.app.steps.vm import boot
from kubewire.app.up import UpCall
from kubewire.core.os_packages import can_install, missing_packages
from kubewire.hosts import records
from kubewire.hosts.vm import machine
from kubewire.hosts.vm.hosting import HOST, is_dead
from kubewire.hosts.vm.preflight import programs
from kubewire.lab.loading import load_lab
from kubewire.lab.lock import lab_lock
from kubewire.providers.registry import embedded


def bring_up(call: UpCall, why: str) -> int:
    """Start the lab's VM unless it runs, make or mend the lab in it; the exit code."""
    display = Display()
    name = load_lab(call.lab, call.overrides).name
    display.line(f"vm: {why}")
    command = " ".join(sys.argv[1:]) or "up"

    def tell(who: str) -> None:
        display.line(f"lab {name}: {who}", "yellow")

    with lab_lock(name, command, wait=call.wait, tell=tell):
        lived = not is_dead(name, HOST) and bool(records.read(name))
        if call.check and not lived:
            if (missing := missing_packages(programs())) and can_install():
                display.line(f"the OS packages {', '.join(missing)} would be installed")
            display.line(f"lab {name} would be made in a VM of its own")
            return 0
        if not lived:
            machine.remove(name)
            records.forget(name, HOST)
        try:
            with display.running("A VM whose kernel has ip_vs"):
                target, version = boot(call.lab, call.overrides, display.tell)
            pinned = call.overrides | {"kubernetes": version.removeprefix("v")}
            code = on_hosts.bring_up(replace(call, overrides=pinned, provider=embedded().name), target)
        except BaseException:
            if not lived:
                _give_up(name)
            raise
        if HOST in records.read(name):
            machine.commit(name)
        elif not lived:
            _give_up(name)
    return code


def _give_up(name: str) -> None:
    machine.remove(name)
    records.forget(name, HOST)
