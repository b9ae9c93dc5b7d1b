"""Telling lag from faults: a difference counts if it outlasts the time that kube-proxy needs to sync."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.lab.schema import Lab
from kubewire.providers.base import Provider
from kubewire.snapshot.cluster import Reader, fingerprint
from kubewire.snapshot.collect import take_snapshot
from kubewire.verify.evaluate import Verdict, evaluate_snapshot

LAG_SECONDS = 10.0
SURE_SECONDS = 2.0
SURE_SNAPSHOTS = 3
PAUSE_SECONDS = 0.4
DEADLINE_SECONDS = 30.0
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"


@dataclass(frozen=True)
class Observation:
    """A snapshot and its final result."""

    snapshot: Snapshot
    verdict: Verdict


def observe(
    provider: Provider,
    lab: Lab,
    api: Reader,
    *,
    kubernetes: str,
    parts: Sequence[str],
    deadline: float = DEADLINE_SECONDS,
) -> Observation:
    """Take snapshots until one agrees, or its difference is real: the same in SURE_SNAPSHOTS snapshots of the
    same cluster over SURE_SECONDS, the last change being LAG_SECONDS old, or `deadline` seconds are over.
    """
    end = time.monotonic() + deadline
    same: list[float] = []
    key: object = None
    while True:
        snapshot = take_snapshot(provider, lab, api, kubernetes=kubernetes)
        verdict = evaluate_snapshot(snapshot, parts)
        now = time.monotonic()
        current = (fingerprint(snapshot.cluster), frozenset(map(_steady, verdict.failed)))
        same = [*same, now] if current == key else [now]
        key = current
        if not verdict.failed or now > end:
            return Observation(snapshot, verdict)
        sure = len(same) >= SURE_SNAPSHOTS and now - same[0] >= SURE_SECONDS
        if sure and not recently_changed(snapshot.cluster, datetime.now(UTC)):
            return Observation(snapshot, verdict)
        time.sleep(PAUSE_SECONDS)


def _steady(check: Check) -> Check:
    """A check without what counts up or down by itself: conntrack's seconds and its number of entries."""
    counted = check.id.startswith("conntrack.")
    return replace(check, reason="", expected="", observed="") if counted else check


def recently_changed(cluster: Mapping[str, Any], now: datetime) -> bool:
    """Whether a Service, a slice or a pod changed in the last LAG_SECONDS, as far as the objects show."""
    return any(0 <= (now - moment).total_seconds() < LAG_SECONDS for moment in _moments(cluster))


def _moments(cluster: Mapping[str, Any]) -> Iterator[datetime]:
    for item in cluster["items"]:
        metadata = item["metadata"]
        if item["kind"] == "Node":
            continue
        stamps = [metadata.get("creationTimestamp"), metadata.get("annotations", {}).get(_TRIGGER)]
        for stamp in stamps:
            if stamp:
                yield datetime.fromisoformat(stamp)
