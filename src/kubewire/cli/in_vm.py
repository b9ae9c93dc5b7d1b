"""`up` of a lab in a VM of its own: the VM first, then as on any other host."""

from __future__ import annotations

import sys

from kubewire.cli import elsewhere
from kubewire.cli.display import Display
from kubewire.hosts import records
from kubewire.kubernetes import binaries
from kubewire.kubernetes.fetchplan import PUBLIC, components_of, needs
from kubewire.lab.loading import load_lab
from kubewire.steps.lock import lab_lock
from kubewire.vm import machine
from kubewire.vm.hosting import HOST, is_dead, write_inventory
from kubewire.vm.parts import prepare


def bring_up(
    lab: str,
    overrides: dict[str, str],
    why: str,
    *,
    verify: bool = False,
    recreate: bool = False,
    check: bool = False,
    wait: bool = True,
) -> int:
    """Start the lab's VM unless it runs, make or mend the lab in it; the exit code."""
    display = Display()
    loaded = load_lab(lab, overrides)
    name = loaded.name
    display.line(f"vm: {why}")
    command = " ".join(sys.argv[1:]) or "up"
    with lab_lock(name, command, wait=wait, tell=lambda who: display.line(f"lab {name}: {who}", "yellow")):
        lived = not is_dead(name, HOST) and bool(records.read(name))
        if check and not lived:
            display.line(f"lab {name} would be made in a VM of its own")
            return 0
        if not lived:
            machine.remove(name)
            records.forget(name, HOST)
        try:
            with display.running(f"Kubernetes {loaded.kubernetes}"):
                version = binaries.ensure(loaded.kubernetes, dns=loaded.dns, progress=display.tell).version
            with display.running("a VM with a kernel that has ip_vs"):
                parts = prepare(needs(components_of(version, PUBLIC), loaded.dns), display.tell)
                endpoint = machine.ensure(name, parts, display.tell)
            target = write_inventory(endpoint)
            pinned = overrides | {"kubernetes": version.removeprefix("v")}
            code = elsewhere.bring_up(
                target,
                lab,
                pinned,
                provider="netns",
                verify=verify,
                recreate=recreate,
                check=check,
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
