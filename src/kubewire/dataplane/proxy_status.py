"""Whether a node's kube-proxy runs and syncs, by kube-proxy-status.json: failures may follow from it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from kubewire.core.printable import one_line
from kubewire.core.serialization import decode
from kubewire.dataplane.core.findings import Check, Place
from kubewire.dataplane.core.snapshot import PROXY_STATUS, NodeSnapshot, Snapshot

CHECK = "kube-proxy.syncs"
LAG_SECONDS = 10
OVERDUE_SECONDS = 60
"""kube-proxy calls itself unhealthy after two sync periods of 30 s (healthcheck/proxy_health.go)."""
LONGEST = 240
_TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
_WHY = "while it doesn't sync, its rules stay as they are, whatever changes"
_GOOD = "it runs and syncs"
_SILENT = {
    "timeout": "hangs: its healthz does not answer",
    "refused": "has not come up: nothing listens at its healthz address",
}
_KNOWN = (
    (
        re.compile("nfacct"),
        "the kernel has nfnetlink_acct, but not xt_nfacct, so every sync fails: k/k#142068",
    ),
    (
        re.compile(r"segmentation fault|\bnft: .*Assertion|core dumped", re.IGNORECASE),
        "its nft breaks on a set of a newer nft, in whichever table: k/k#136786",
    ),
)
"""Errors with which no sync succeeds: what stands in the log, and what it means."""


class ProxyStatus(Struct, frozen=True):
    """The file. `state`: the process's letter in /proc, or `absent`; `healthz`: the HTTP status, `timeout` or
    `refused`; `synced`, `queued`: by family, when a sync last ended well or was asked for, in seconds of the
    epoch (0: never); `time`: the node's clock. What is unknown is absent.
    """

    time: float = 0
    state: str = ""
    healthz: str = ""
    node_eligible: bool = True
    synced: Mapping[str, float] = {}
    queued: Mapping[str, float] = {}
    failures: Mapping[str, float] = {}
    last_error: str = ""


def read_status(node: NodeSnapshot) -> ProxyStatus | None:
    """A node's file, None where there is none. ValueError for one that isn't as it must be."""
    text = node.files.get(PROXY_STATUS)
    return None if text is None else decode(text, ProxyStatus)


def check_kube_proxies(snapshot: Snapshot, failing: Collection[str]) -> list[Check]:
    """One check for each node; `failing` are the nodes on which objects of kube-proxy's differ."""
    return [_check(node, snapshot.cluster, differs=node.name in failing) for node in snapshot.nodes]


def _check(node: NodeSnapshot, cluster: Mapping[str, Any], *, differs: bool) -> Check:
    place = Place("", node.name, "")
    try:
        status = read_status(node)
    except ValueError as error:
        return place.skip(CHECK, "kube-proxy", f"{PROXY_STATUS} can't be read: {error}"[:LONGEST])
    if status is None:
        return place.skip(CHECK, "kube-proxy", f"the snapshot has no {PROXY_STATUS}")
    wrong = trouble(status) or (_behind(status, cluster) if differs else "")
    return place.check(CHECK, "kube-proxy", _WHY, _GOOD, wrong or _GOOD)


def trouble(status: ProxyStatus) -> str:
    """Why a kube-proxy doesn't sync for sure, in one line; "" for one that may."""
    if status.state == "absent":
        return "kube-proxy does not run"
    if status.state in ("T", "t"):
        return f"kube-proxy is stopped by SIGSTOP or a debugger (state {status.state} in /proc)"
    if status.healthz == "503" and status.node_eligible:
        return _with_error("kube-proxy does not sync: its healthz answers 503", status)
    return ""


def _behind(status: ProxyStatus, cluster: Mapping[str, Any]) -> str:
    """The same where its rules are known to differ, by signs that a busy node may show as well: no answer, a
    sync that is due, an error that lets none succeed, a last sync that is older than the objects.
    """
    if status.healthz in _SILENT:
        return _with_error(f"kube-proxy {_SILENT[status.healthz]}", status)
    for family, queued in status.queued.items():
        late = status.time - queued
        if queued > status.synced.get(family, queued) and late > OVERDUE_SECONDS:
            text = f"kube-proxy does not sync{_named(family)}: one sync has been due for {late:.0f} s"
            return _with_error(text, status)
    if any(pattern.search(status.last_error) for pattern, _ in _KNOWN) and any(status.failures.values()):
        return _with_error("kube-proxy does not sync", status)
    synced = max(status.synced.values(), default=None)
    newest = max(_moments(cluster), default=0.0)
    if synced is None or newest <= synced + LAG_SECONDS or newest > status.time - LAG_SECONDS:
        return ""
    when = f"last sync {_clock(synced)}" if synced else "no sync has succeeded"
    return _with_error(f"kube-proxy is older than the objects: {when}, they changed {_clock(newest)}", status)


def _with_error(text: str, status: ProxyStatus) -> str:
    known = next((f" ({words})" for pattern, words in _KNOWN if pattern.search(status.last_error)), "")
    error = one_line(" ".join(status.last_error.split()))[:LONGEST]
    return f"{text}; last error: {error}{known}" if error else text


def _named(family: str) -> str:
    return "" if family == "all" else f" {family}"[:10]


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(min(max(seconds, 0), 2**32), UTC):%Y-%m-%d %H:%M:%S}"


def _moments(cluster: Mapping[str, Any]) -> Iterator[float]:
    """When Services with a cluster IP and their slices were made or last changed, as far as they tell."""
    for item in cluster["items"]:
        metadata = item.get("metadata") or {}
        labels = metadata.get("labels") or {}
        headless = "service.kubernetes.io/headless" in labels
        headless = headless or (item.get("spec") or {}).get("clusterIP") == "None"
        if item.get("kind") in ("Service", "EndpointSlice") and not headless:
            stamps = metadata.get("creationTimestamp"), (metadata.get("annotations") or {}).get(_TRIGGER)
            for stamp in stamps:
                with suppress(TypeError, ValueError):
                    yield datetime.fromisoformat(str(stamp)).timestamp()
