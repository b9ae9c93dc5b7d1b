"""Bring a lab's API objects to its definition, naming each drift."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

from kubewire.core.files import write_atomically
from kubewire.errors import LabError
from kubewire.kubernetes.api import FIELD_MANAGER, Api, ApiError
from kubewire.lab.workload import workload_manifests
from kubewire.paths import lab_dir
from kubewire.patience import patient
from kubewire.progress import emit
from kubewire.provider import Change
from kubewire.providers import get_provider
from kubewire.steps.drift import differences, title, with_ownership
from kubewire.steps.outcome import Outcome
from kubewire.steps.rollout import wait_for_rollout
from kubewire.steps.target import is_recorded, lab_name, required_record

Manifest = Mapping[str, Any]
Key = tuple[str, str, str, str]
"""apiVersion, kind, namespace, name."""
SETTLING = 10.0
"""Seconds that a new cluster may take for its namespace `default`, and an object for its deletion."""


def bring_workload(lab: str, timeout: float = 90, *, check: bool = False) -> Outcome:
    """Apply what the definition holds, remove what a former one had applied, wait for the roll-out."""
    name = lab_name(lab)
    if check and not is_recorded(name):
        return Outcome([Change(name, "the workload would be created")])
    record = required_record(name)
    manifests = workload_manifests(record.lab)
    ledger = Ledger(lab_dir(name) / "workload.json")
    with Api(get_provider(record.provider).kubeconfig(name)) as api:
        formerly = ledger.read()
        known = {_key(former) for former in formerly}
        changes = [
            Change(name, what, "a former definition had applied it")
            for what in remove_former(api, formerly, manifests, check)
        ]
        if not check:
            ledger.write([*formerly, *manifests])
        for manifest in manifests:
            emit("workload", title(manifest))
            changes += [Change(name, what, why) for what, why in bring_object(api, manifest, known, check)]
        if not check:
            ledger.write(manifests)
            wait_for_rollout(api, manifests, patient(timeout), emit)
    return Outcome(changes)


def bring_object(api: Api, manifest: Manifest, known: Collection[Key], check: bool) -> list[tuple[str, str]]:
    """Make one live object what its manifest says; (what was done, why), none if nothing was.

    `known` are the objects that this lab applied before: one of them that is gone was deleted.
    """
    path = api.object_path(manifest)
    live = api.find(path)
    if live and live["metadata"].get("deletionTimestamp") and not check:
        emit("workload", f"{title(manifest)}: waiting for its deletion")
        _retry(lambda: _must_be_gone(api, path), SETTLING)
        live = None
    if live is None:
        if not check:
            _retry(lambda: api.apply(manifest), SETTLING)
        return [(f"created {title(manifest)}", "it was deleted" if _key(manifest) in known else "")]
    owned = with_ownership(live, FIELD_MANAGER)
    if owned and not check:
        version = live["metadata"]["resourceVersion"]
        api.patch(path, {"metadata": {"resourceVersion": version, "managedFields": owned}})
    drift = differences(live, api.apply(manifest, dry_run=True))
    if drift and not check:
        api.apply(manifest)
    return [(f"{title(manifest)}: {'; '.join(drift)}", "")] if drift else []


def remove_former(
    api: Api, formerly: Sequence[Manifest], manifests: Sequence[Manifest], check: bool
) -> list[str]:
    """Delete the objects that this lab once applied and its definition no longer holds."""
    kept = {_key(manifest) for manifest in manifests}
    lines = []
    for former in formerly:
        if _key(former) in kept:
            continue
        path = api.object_path(former)
        if api.find(path) is None:
            continue
        if not check:
            api.delete(path, propagationPolicy="Background")
        lines.append(f"removed {title(former)}")
    return lines


class Ledger:
    """What this lab applied: apiVersion, kind, namespace and name of each object, in the lab's folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Manifest]:
        """The objects applied so far; none where nothing was, or where the file can't be understood."""
        try:
            found = json.loads(self._path.read_text())
            return [entry for entry in found if _key(entry)]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def write(self, manifests: Sequence[Manifest]) -> None:
        unique = {_key(manifest): manifest for manifest in manifests}
        entries = [
            {
                "apiVersion": m["apiVersion"],
                "kind": m["kind"],
                "metadata": {k: v for k, v in m["metadata"].items() if k in ("name", "namespace")},
            }
            for m in unique.values()
        ]
        write_atomically(self._path, json.dumps(entries, indent=1))


def _key(obj: Manifest) -> Key:
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]


def _must_be_gone(api: Api, path: str) -> None:
    if api.find(path) is not None:
        raise ApiError("the object is being deleted and doesn't go", status=httpx.codes.NOT_FOUND, where=path)


def _retry(call: Callable[[], object], seconds: float) -> None:
    """Call until the answer isn't 404: what a call needs (its namespace) may still be on its way."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            call()
        except ApiError as error:
            if error.status != httpx.codes.NOT_FOUND or time.monotonic() > deadline:
                raise LabError(error.what, where=error.where) from error
            time.sleep(0.1)
        else:
            return
