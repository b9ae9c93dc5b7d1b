"""`up`: create a missing lab; repair an existing one, and name what was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubewire.core import paths
from kubewire.core.errors import LabError
from kubewire.core.files import read_own, write_atomically
from kubewire.core.progress import emit
from kubewire.providers.base import Change
from kubewire.providers.netns import control, creation, node_network, removal, state
from kubewire.providers.netns.preflight import require

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab


def up(lab: Lab, *, check: bool = False) -> list[Change]:
    """Create or repair; the changes, with `check` only planned."""
    directory = paths.lab_dir(lab.name)
    recorded = state.read_state(directory)
    if recorded is None or not recorded.alive():
        was = "made" if recorded is None else "made anew"
        why = "" if recorded is None else "what supervised it was killed"
        if not check:
            _create(lab)
        return [Change(lab.name, f"cluster {was}", why, anew=True)]
    differences = cluster_differences(recorded.definition, lab)
    if differences:
        if not check:
            _recreate(lab, directory)
        return [_made_anew(lab.name, difference) for difference in differences]
    return node_network.hint(lab, recorded, check=check) + _hint(lab, directory, check=check)


def cluster_differences(definition: dict[str, Any], lab: Lab) -> list[str]:
    """`key: old → new` for each key that needs a new cluster."""
    from kubewire.lab.record import changes_between
    from kubewire.lab.schema import Lab as Definition

    cluster, _ = changes_between(Definition.model_validate(definition), lab)
    return cluster


def _made_anew(lab: str, difference: str) -> Change:
    """The change for `key: old → new`."""
    key, _, values = difference.partition(": ")
    old, _, new = values.partition(" → ")
    what = f"cluster recreated: {difference}"
    return Change(lab, what, before=f"{key}: {old}", after=f"{key}: {new}", anew=True)


def _create(lab: Lab) -> None:
    from kubewire.binaries.supply import ensure

    require(lab, load=True)
    creation.end(paths.lab_dir(lab.name))  # a monitor that is still cleaning up
    removal.clear_leftovers(lab.name)
    binaries = ensure(lab.kubernetes, control_plane=lab.control_plane, dns=lab.dns, progress=emit)
    emit("cluster", "creating the nodes and the control plane")
    creation.make(lab, binaries)


def _recreate(lab: Lab, directory: Path) -> None:
    """Recreate the sandbox, but keep the lab's record, which the old sandbox's removal would remove."""
    record = directory / paths.RECORD
    kept = read_own(record).decode() if record.exists() else None
    creation.end(directory)
    _create(lab)
    if kept is not None and not record.exists():
        write_atomically(record, kept)


def _hint(lab: Lab, directory: Path, *, check: bool) -> list[Change]:
    """Start every stopped component; restarts by the supervisor since the last `up` are reported once."""
    try:
        found = control.call(directory, control.Request("status"), control.SandboxStatus)
    except OSError as error:
        raise LabError(
            f"the lab's PID 1 does not answer: {error}",
            where=f"lab {lab.name}",
            hint=f"remove it and start again: kubewire down {lab.name}",
        ) from error
    mishaps = [
        Change(
            event.node or lab.name,
            f"{event.component} restarted by its supervisor",
            event.what,
            reported=True,
        )
        for event in found.events
    ]
    broken = {n: u for n, u in found.components.items() if u.state in ("stopped", "failed")}
    mended = [
        Change(unit.node or lab.name, f"{name} started again", unit.reason or "it was stopped")
        for name, unit in broken.items()
    ]
    if not check:
        for name, unit in broken.items():
            _start_again(lab.name, directory, name, unit)
        creation.wait(lab.name, directory)
        control.call(directory, control.Request("forget", events=len(mishaps)), control.Done)
    return [*dict.fromkeys(mishaps), *mended]


def _start_again(lab: str, directory: Path, name: str, unit: control.Unit) -> None:
    emit("cluster", f"starting {name} again")
    afresh = name.startswith("kube-proxy@")  # it rewrites what it missed, or somebody changed meanwhile
    request = control.Request("restart", name, cleanup=afresh)
    if unit.pid and not afresh:
        request = control.Request("resume", name)
    try:
        control.call(directory, request, control.Done, timeout=60.0)
    except ValueError as error:
        raise creation.component_failed(lab, directory, name, str(error)) from error
