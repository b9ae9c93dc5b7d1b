"""A change of a dataplane and its cause: a feature of the version table, or one of those below."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["appeared", "vanished", "changed"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a dataplane changed: its name (a feature of the version table, or another), a title, the source."""

    name: str
    title: str
    source: str = ""


UNKNOWN = Cause("unknown", "nothing that kubewire knows of explains it")
CLUSTER = Cause("cluster", "the cluster's objects differ: Services, endpoints, nodes, or their networks")
CONFIGURATION = Cause("configuration", "kube-proxy's configuration differs")
NODE = Cause("node", "the node differs: its kernel's settings or its addresses")


@dataclass(frozen=True, slots=True)
class Change:
    """One container (chain, set, map, virtual server) whose lines differ, by roles; equal on all `nodes`."""

    kind: Kind
    place: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """All changes of one cause. `by_version`: the cause is a feature that the version adds or removes."""

    cause: Cause
    changes: tuple[Change, ...]
    by_version: bool = False


@dataclass(frozen=True, slots=True)
class Drift:
    """What changed from one snapshot to another, the unknown first. `subject` names what was compared."""

    subject: str
    before: str
    after: str
    groups: tuple[Group, ...]
