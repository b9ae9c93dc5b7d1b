"""The VM that a lab runs in."""

from __future__ import annotations

from kubewire.app.steps.cluster import Overrides
from kubewire.app.steps.outcome import Outcome
from kubewire.binaries import supply
from kubewire.binaries.fetchplan import needs
from kubewire.binaries.versions import Components
from kubewire.core.progress import Progress, emit
from kubewire.hosts.inventory import Target
from kubewire.hosts.vm import machine
from kubewire.hosts.vm.parts import Parts, prepare, unlike
from kubewire.hosts.vm.state import HOST, write_inventory
from kubewire.lab.loading import load_lab
from kubewire.lab.schema import Lab
from kubewire.providers.base import Change


def start_vm(lab: str, overrides: Overrides, *, check: bool = False) -> Outcome:
    """Start the lab's VM and keep it; the facts name the inventory that has it as host `vm`."""
    loaded = load_lab(lab, overrides)
    name = loaded.name
    before = machine.parts_of(name)
    if check:
        return Outcome([] if before else [Change(name, "its VM started")])
    target, version = boot(loaded)
    machine.commit(name)
    if not before:
        changes = [Change(name, "its VM started")]
    else:
        why = unlike(before, machine.parts_of(name))
        changes = [Change(name, "its VM recreated", why)] if why else []
    return Outcome(changes, {"inventory": target.inventory[0], "host": target.pattern, "kubernetes": version})


def boot(lab: Lab, progress: Progress = emit) -> tuple[Target, str]:
    """The lab's VM as a lab host, and the exact Kubernetes version of its binaries. Until `machine.commit` a
    new VM ends with its owners.
    """
    parts, version = prepare_parts(lab, progress)
    inventory = write_inventory(machine.ensure(lab.name, parts, progress))
    return Target(HOST, (HOST,), (str(inventory),)), version


def prepare_parts(lab: Lab, progress: Progress = emit) -> tuple[Parts, str]:
    """Put all parts of the lab's VM into the cache; the parts, and the exact Kubernetes version."""
    beside = lab.control_plane
    found = supply.ensure(lab.kubernetes, control_plane=beside, dns=lab.dns, progress=progress)
    chosen = Components(found.version, found.control_plane_version)
    return prepare(needs(chosen, lab.dns), progress), found.version
