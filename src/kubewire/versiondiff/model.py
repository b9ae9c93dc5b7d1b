"""A change of a dataplane and what it is put down to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kubewire.dataplane.core.causes import Cause

Kind = Literal["appeared", "vanished", "changed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One container (chain, set, map, virtual server) whose lines differ, by roles; `nodes` have it alike."""

    kind: Kind
    place: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """All changes of one cause. `by_version`: the cause is a feature that came or went with the version."""

    cause: Cause
    changes: tuple[Change, ...]
    by_version: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """What changed from one snapshot to another, the unknown first. `subject` says of what."""

    subject: str
    before: str
    after: str
    groups: tuple[Group, ...]
