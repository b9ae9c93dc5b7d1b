"""Create or repair the lab's cluster, and record it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from kubewire.app.steps.outcome import Outcome
from kubewire.core.paths import lab_dir
from kubewire.lab.loading import find_lab, load_lab
from kubewire.lab.lock import lab_lock
from kubewire.lab.lookup import lab_name
from kubewire.lab.record import Record, read_record, require_same_source, write_record
from kubewire.lab.schema import Lab
from kubewire.providers.base import GONE, Change, Provider
from kubewire.providers.registry import Choice, choose, get_provider

Overrides = Mapping[str, object]


@dataclass(frozen=True)
class Intent:
    """The goal of `up`: the effective lab, its file, and the provider of its nodes."""

    lab: Lab
    source: Path
    choice: Choice
    record: Record | None

    @property
    def has_binaries(self) -> bool:
        """Whether a running lab has the binaries that this definition asks for."""
        was = self.record and self.record.lab
        return bool(was and _binaries_of(was) == _binaries_of(self.lab))


def _binaries_of(lab: Lab) -> tuple[object, ...]:
    return lab.kubernetes, lab.control_plane, lab.dns


def intend(lab: str, overrides: Overrides, provider: str = "auto") -> Intent:
    """Read the definition and choose the provider. DefinitionError for the file or an option; raises as
    `intent_of`.
    """
    return intent_of(load_lab(lab, overrides), find_lab(lab), provider)


def intent_of(effective: Lab, source: Path, provider: str = "auto") -> Intent:
    """Choose the provider of the lab that a file defines; a running lab keeps its provider.

    Raises DefinitionError (another lab of that name) and HostError (the provider).
    """
    record = living_record(effective.name)
    if record:
        require_same_source(effective.name, source)
    recorded = Choice(record.provider, record.provider_why) if record else None
    wanted = provider if provider != "auto" else effective.provider
    choice = choose(wanted, recorded=recorded, lab=effective.name)
    if record is None:
        choice = replace(choice, why=get_provider(choice.name).explained(choice.why, effective))
    return Intent(effective, source, choice, record)


def living_record(name: str) -> Record | None:
    """The record of a running lab; one left by a crash or a reboot doesn't count."""
    record = read_record(name)
    if record and get_provider(record.provider).status(name).phase in GONE:
        return None
    return record


def make_cluster(
    lab: str,
    overrides: Overrides,
    provider: str = "auto",
    recreate: bool = False,
    keep: bool = False,
    *,
    check: bool = False,
) -> Outcome:
    """Create or repair the cluster and record it; each change is named. `check` only lists the changes;
    `keep` leaves what a failed creation created.
    """
    from kubewire.app.steps.packages import missing_packages

    intent = intend(lab, overrides, provider)
    name = intent.lab.name
    maker = get_provider(intent.choice.name)
    if not (check and missing_packages(intent.lab, intent.choice.name)):  # they would be installed by now
        maker.preflight(intent.lab)
    facts = {"lab": name, "provider": intent.choice.name, "why": intent.choice.why}
    if check:
        return _outcome(_planned(intent, maker, recreate), facts)
    with lab_lock(name, "up"):
        changes = []
        if recreate and maker.down(name):
            changes.append(_removed(name))
        changes += maker.up(intent.lab, keep=keep)
        version = maker.status(name).kubernetes
        if intent.record is None:
            _forget(name)
        write_record(_record(intent, overrides, version))
    return _outcome(changes, facts | {"kubernetes": version})


def _planned(intent: Intent, maker: Provider, recreate: bool) -> list[Change]:
    name = intent.lab.name
    if recreate and lab_dir(name).exists():
        return [_removed(name), Change(name, "cluster made", anew=True)]
    return maker.up(intent.lab, check=True)


def _removed(name: str) -> Change:
    return Change(name, "removed, to be recreated", "recreate")


def _outcome(changes: Sequence[Change], facts: Mapping[str, object]) -> Outcome:
    """`anew`: the cluster is new and has no objects of the lab yet."""
    return Outcome(changes, {**facts, "anew": any(change.anew for change in changes)})


def commit_cluster(lab: str, *, check: bool = False) -> Outcome:
    """From now on the lab outlives its owner."""
    name = lab_name(lab)
    record = read_record(name)
    if record and not check:
        get_provider(record.provider).commit(name)
    return Outcome()


def _record(intent: Intent, overrides: Overrides, version: str) -> Record:
    return Record(
        source=intent.source,
        lab=intent.lab,
        provider=intent.choice.name,
        provider_why=intent.choice.why,
        kubernetes=version,
        overrides=dict(overrides),
        created=intent.record.created if intent.record else datetime.now(UTC),
    )


def _forget(name: str) -> None:
    """Remove a dead lab's record, which would reserve the name for its file."""
    from kubewire.lab.record import record_path

    record_path(name).unlink(missing_ok=True)
