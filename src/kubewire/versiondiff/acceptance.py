"""Drift that was reviewed and accepted, with a reason, until a date."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kubewire.lab.definition import LabFileError, display_path, messages, read_definition
from kubewire.lab.schema import Model
from kubewire.lab.validation import validate
from kubewire.versiondiff.model import Change, Drift, Group

SHORTEST = "the shortest is “accepted: []”"
Standing = Literal["known", "accepted", "open"]


class Acceptance(Model):
    """A kind of change that is not a failure."""

    cause: str
    """The cause's name, as `kubewire diff` prints it: `unknown`, `cluster`, `nft-dnat-map`."""
    object: str = "*"
    """Which objects, as a pattern: `nftables ip chain service-*`."""
    reason: Annotated[str, Field(min_length=1)]
    """Why it is accepted."""
    expires: date
    """The last day of the acceptance, as 2026-12-31."""


class Acceptances(Model):
    """The file."""

    accepted: tuple[Acceptance, ...] = ()
    """Everything that is accepted."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A group of changes: `known` by the version's features, `accepted` and for what reason, or `open`."""

    group: Group
    standing: Standing
    reason: str = ""


def load_acceptances(path: Path) -> tuple[Acceptance, ...]:
    """Read such a file. LabFileError with all errors, by line and column."""
    shown = display_path(path)
    document = read_definition(path, shown, "list of accepted drift", SHORTEST)
    found, issues = validate(document.data, Acceptances, {})
    said = messages(issues, document, shown)
    if found is None or said:
        raise LabFileError(said)
    return found.accepted


def judge(drift: Drift, acceptances: Sequence[Acceptance], today: date) -> list[Judged]:
    """Each group, split where only some of its changes are accepted; open ones first."""
    found: list[Judged] = []
    for group in drift.groups:
        if group.by_version:
            found.append(Judged(group, "known"))
            continue
        by_reason: dict[str, list[Change]] = {}
        for change in group.changes:
            by_reason.setdefault(_accepted(group, change, acceptances, today), []).append(change)
        for reason, changes in by_reason.items():
            part = Group(group.cause, tuple(changes))
            found.append(Judged(part, "accepted" if reason else "open", reason))
    order: tuple[Standing, ...] = ("open", "accepted", "known")
    return sorted(found, key=lambda each: order.index(each.standing))


def expired(acceptances: Sequence[Acceptance], today: date) -> list[Acceptance]:
    """Expired entries, which no longer apply and are reported."""
    return [each for each in acceptances if each.expires < today]


def _accepted(group: Group, change: Change, acceptances: Sequence[Acceptance], today: date) -> str:
    """The reason by which a change is accepted, "" if it isn't."""
    for each in acceptances:
        fits = each.cause == group.cause.name and fnmatchcase(change.place, each.object)
        if fits and each.expires >= today:
            return each.reason
    return ""
