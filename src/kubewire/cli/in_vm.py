"""`up` of a lab in a VM of its own: the VM first, then as on any other host."""

from __future__ import annotations

import sys

from kubewire.cli import elsewhere
from kubewire.cli.display import Display
from kubewire.hosts import records
from kubewire.lab.loading import load_lab
from kubewire.ospackages import can_install, missing_packages
from kubewire.steps.lock import lab_lock
from kubewire.steps.vm import boot
from kubewire.vm import machine
from kubewire.vm.hosting import HOST, is_dead
from kubewire.vm.preflight import programs


def bring_up(
    lab: str,
    overrides: dict[str, str],
    why: str,
    *,
    verify: bool = False,
    recreate: bool = False,
    check: bool = False,
    diff: bool = False,
    wait: bool = True,
) -> int:
    """Start the lab's VM unless it runs, make or mend the lab in it; the exit code."""
    display = Display()
    name = load_lab(lab, overrides).name
    display.line(f"vm: {why}")
    command = " ".join(sys.argv[1:]) or "up"
    with lab_lock(name, command, wait=wait, tell=lambda who: display.line(f"lab {name}: {who}", "yellow")):
        lived = not is_dead(name, HOST) and bool(records.read(name))
        if check and not lived:
            if (missing := missing_packages(programs())) and can_install():
                display.line(f"the OS packages {', '.join(missing)} would be installed")
            display.line(f"lab {name} would be made in a VM of its own")
            return 0
        if not lived:
            machine.remove(name)
            records.forget(name, HOST)
        try:
            with display.running("A VM whose kernel has ip_vs"):
                target, version = boot(lab, overrides, display.tell)
            pinned = overrides | {"kubernetes": version.removeprefix("v")}
            code = elsewhere.bring_up(
                target,
                lab,
                pinned,
                provider="netns",
                verify=verify,
                recreate=recreate,
                check=check,
                diff=diff,
                wait=wait,
            )
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
