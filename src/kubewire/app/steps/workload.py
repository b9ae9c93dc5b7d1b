"""Apply a lab's API objects as its definition has them, and name each drift."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec

from kubewire.app.steps.cluster import living_record
from kubewire.app.steps.outcome import Outcome
from kubewire.cluster.api import FIELD_MANAGER, Api, ApiError
from kubewire.cluster.object_diff import (
    as_text,
    differences,
    hidden,
    taken_back,
    title,
    with_ownership,
    without,
)
from kubewire.cluster.rollout import wait_for_rollout
from kubewire.core.errors import LabError
from kubewire.core.files import UnsafeFileError, read_own, write_atomically
from kubewire.core.paths import LEDGER, lab_dir
from kubewire.core.progress import emit
from kubewire.core.serialization import decode
from kubewire.core.timeouts import scaled
from kubewire.lab.loading import load_lab
from kubewire.lab.lookup import lab_name, required_record
from kubewire.lab.record import Record
from kubewire.lab.schema import Lab
from kubewire.lab.workload import workload_manifests
from kubewire.providers.base import Change
from kubewire.providers.registry import get_provider

Manifest = Mapping[str, Any]
Key = tuple[str, str, str, str]
"""apiVersion, kind, namespace, name."""
SETTLING = 10.0
"""Seconds that a new cluster may take for its namespace `default`, and an object for its deletion."""


def bring_workload(
    lab: str,
    timeout: float = 90,
    overrides: Mapping[str, object] | None = None,
    anew: bool = False,
    *,
    check: bool = False,
) -> Outcome:
    """Apply the definition's objects, remove those that only a former one had, wait for the roll-out.

    With `check` nothing is written. The definition is then the one that this run would have recorded: the
    file's with `overrides`, or else the recorded one; with `anew` the cluster would be empty.
    """
    name = lab_name(lab)
    if not check:
        record = required_record(name)
        changes, waited = _bring(record, record.lab, timeout)
        return Outcome(changes, {"waited": waited})
    living = living_record(name)
    wanted = living.lab if living and overrides is None else load_lab(lab, overrides or {})
    if living is None or anew:
        return Outcome([_created(name, manifest) for manifest in workload_manifests(wanted)])
    try:
        return Outcome(_bring(living, wanted, check=True)[0])
    except ApiError as error:
        planned = get_provider(living.provider).up(living.lab, check=True)
        if error.status or not any(not change.reported for change in planned):
            raise
        return Outcome(message=f"the objects can't be compared before the cluster is repaired: {error.what}")


def _bring(record: Record, lab: Lab, timeout: float = 0, *, check: bool = False) -> tuple[list[Change], bool]:
    """The changes, and whether pods or endpoints had to be waited for."""
    name, manifests = lab.name, workload_manifests(lab)
    ledger = Ledger(lab_dir(name) / LEDGER)
    with Api(get_provider(record.provider).kubeconfig(name)) as api:
        formerly = ledger.read()
        known = {_key(former) for former in formerly}
        changes = remove_former(api, name, formerly, manifests, check)
        if not check:
            ledger.write([*formerly, *manifests])
        for manifest in manifests:
            emit("workload", title(manifest))
            changes += bring_object(api, name, manifest, known, check)
        if not check:
            ledger.write(manifests)
        waited = not check and wait_for_rollout(api, manifests, scaled(timeout), emit)
    return changes, waited


def bring_object(api: Api, lab: str, manifest: Manifest, known: Collection[Key], check: bool) -> list[Change]:
    """Change one live object to match its manifest; the change, or none if it matches already.

    `known` are the objects that this lab applied before: if one of them is missing, it was deleted.
    """
    live = _find(api, manifest)
    if live and live["metadata"].get("deletionTimestamp"):
        if not check:
            emit("workload", f"{title(manifest)}: waiting for its deletion")
            _retry(lambda: _must_be_gone(api, api.object_path(manifest)), SETTLING)
        live = None
    if live is None:
        if not check:
            _retry(lambda: api.apply(manifest), SETTLING)
        return [_created(lab, manifest, "it was deleted" if _key(manifest) in known else "")]
    wanted = _planned(api, live, manifest) if check else _applied(api, live, manifest)
    sides = hidden(live), hidden(wanted)
    drift = differences(*sides) or (["its data"] if differences(live, wanted) else [])
    if not drift:
        return []
    before, after = map(as_text, sides)
    return [Change(lab, f"{title(manifest)}: {'; '.join(drift)}", before=before, after=after)]


def _applied(api: Api, live: Manifest, manifest: Manifest) -> Manifest:
    """The object, applied as its manifest; fields that other tools manage are taken over first."""
    if owned := with_ownership(live, FIELD_MANAGER):
        version = live["metadata"]["resourceVersion"]
        api.patch(
            api.object_path(manifest), {"metadata": {"resourceVersion": version, "managedFields": owned}}
        )
    wanted = api.apply(manifest, dry_run=True)
    return api.apply(manifest) if differences(live, wanted) else wanted


def _planned(api: Api, live: Manifest, manifest: Manifest) -> Manifest:
    """What `_applied` would change, according to the apiserver's dry runs."""
    wanted = api.apply(manifest, dry_run=True)
    fields = taken_back(live, wanted, FIELD_MANAGER)
    if not fields:
        return wanted
    return api.request("PUT", api.object_path(manifest), body=without(wanted, fields), dryRun="All")


def _created(lab: str, manifest: Manifest, why: str = "") -> Change:
    return Change(lab, f"created {title(manifest)}", why, after=as_text(hidden(manifest)))


def _find(api: Api, manifest: Manifest) -> Manifest | None:
    """The live object; None also if its kind doesn't exist yet."""
    try:
        return api.find(api.object_path(manifest))
    except ApiError as error:
        if error.status == httpx.codes.NOT_FOUND:
            return None
        raise


def remove_former(
    api: Api, lab: str, formerly: Sequence[Manifest], manifests: Sequence[Manifest], check: bool
) -> list[Change]:
    """Delete the objects that this lab once applied and its definition no longer holds."""
    kept = {_key(manifest) for manifest in manifests}
    changes = []
    for former in formerly:
        live = None if _key(former) in kept else api.find(api.object_path(former))
        if live is None:
            continue
        if not check:
            api.delete(api.object_path(former), propagationPolicy="Background")
        why = "a former definition had applied it"
        changes.append(Change(lab, f"removed {title(former)}", why, before=as_text(hidden(live))))
    return changes


class Name(msgspec.Struct, omit_defaults=True):
    name: str
    namespace: str = ""


class Applied(msgspec.Struct):
    """An object that a lab applied."""

    apiVersion: str  # noqa: N815 - Kubernetes' own
    kind: str
    metadata: Name


class Ledger:
    """The objects that this lab applied, recorded in its folder: apiVersion, kind, namespace and name."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[Manifest]:
        """The objects applied so far; none if there are none, or the file is invalid."""
        try:
            applied = decode(read_own(self._path), list[Applied])
        except (FileNotFoundError, UnsafeFileError, ValueError, RecursionError):
            return []
        return list(msgspec.to_builtins(applied))

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
        raise ApiError("the object's deletion doesn't finish", status=httpx.codes.NOT_FOUND, where=path)


def _retry(call: Callable[[], object], seconds: float) -> None:
    """Call until the answer isn't 404: a new namespace may not exist yet."""
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
