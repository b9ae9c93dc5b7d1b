"""Where a lab runs: here, or on the hosts that it was brought up on. It never moves under anybody."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kubewire.core.errors import DefinitionError
from kubewire.hosts import records
from kubewire.hosts.inventory import Target, find_target
from kubewire.hosts.records import Away
from kubewire.hosts.vm.hosting import require_alive
from kubewire.lab.lookup import is_recorded, lab_name

LOCAL = "local"


def target_of(lab: str, wanted: str, inventory: Iterable[str] = ()) -> Target | None:
    """The hosts on which `up` is to make or mend a lab; None for this machine.

    `wanted` is `local`, a host, a group, or "" for where the lab is, else this machine. Raises
    DefinitionError where that would leave a lab behind on another host.
    """
    name = lab_name(lab)
    known = records.read(name)
    if wanted in ("", LOCAL):
        if known and wanted == LOCAL:
            raise _elsewhere(name, known, LOCAL)
        return recorded_target(known) if known else None
    if is_recorded(name):
        raise _moved(name, "this machine", wanted)
    target = find_target(wanted, inventory)
    new, old = set(target.hosts), set(known)
    if old and not (new <= old or new >= old):
        raise _elsewhere(name, known, wanted)
    return target


def recorded_target(known: Mapping[str, Away]) -> Target:
    """The hosts that a lab was brought up on, by the inventories that named them then."""
    sources = dict.fromkeys(source for away in known.values() for source in away.inventory)
    return Target(",".join(known), tuple(known), tuple(sources))


def away(lab: str, wanted: str = "") -> dict[str, Away]:
    """Where a lab runs on other hosts, all or (`wanted`) one of them; empty for a lab of this machine."""
    if wanted == LOCAL or (not wanted and is_recorded(lab)):
        return {}
    if not (known := records.read(lab)):
        known = records.read(lab_name(lab))
    if not wanted:
        return known
    if wanted not in known:
        there = f"it is up on {', '.join(known)}" if known else f"kubewire up {lab} --host {wanted}"
        raise DefinitionError(f"lab {lab} isn't up on {wanted}", mend=there)
    return {wanted: known[wanted]}


def one_away(lab: str, wanted: str = "") -> Away | None:
    """The one other host a lab runs on; None for this machine; DefinitionError where there are several."""
    known = away(lab, wanted)
    if len(known) > 1:
        raise DefinitionError(
            f"lab {lab} is up on {', '.join(known)}", mend="name one of them with --host NAME, before the lab"
        )
    there = next(iter(known.values()), None)
    if there:
        require_alive(there.lab, there.place.name)
    return there


def _elsewhere(name: str, known: Mapping[str, Away], wanted: str) -> DefinitionError:
    return _moved(name, ", ".join(known), wanted)


def _moved(name: str, there: str, wanted: str) -> DefinitionError:
    return DefinitionError(
        f"lab {name} runs on {there}; it can't move to {wanted} under it",
        mend=f"remove it first: kubewire down {name}",
    )
