"""Over generated states, a known bug is noted for those versions and modes only that have it."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from typing import Any

import pytest
from bugs import HAD, false_notes, threads
from cluster_states import NODE_IP, NODES, Limits, State, states
from hypothesis import HealthCheck, given, settings
from variants import document, variants

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import FAMILIES, Note
from kubewire.dataplane.core.snapshot import NodeSnapshot
from kubewire.dataplane.known_bugs import Site, bug_notes
from kubewire.dataplane.node import Inputs, read_inputs
from recorded import FOLDERS, load

VERSIONS = (
    *("v1.29.0", "v1.29.6", "v1.29.15", "v1.30.4", "v1.30.14", "v1.31.0", "v1.31.14", "v1.32.2", "v1.32.11"),
    *("v1.33.5", "v1.33.13", "v1.34.1", "v1.34.4", "v1.35.0", "v1.35.4", "v1.36.2", "v1.36.3"),
    *("v1.37.0", "v1.37.2"),
)
SEEN: Counter[str] = Counter()
NODE_OBJECTS: list[dict[str, Any]] = [
    {
        "kind": "Node",
        "metadata": {"name": name},
        "status": {"addresses": [{"type": "InternalIP", "address": NODE_IP}]},
    }
    for name in NODES
]


@cache
def nodes(version: str, mode: str) -> tuple[Inputs, ...]:
    """A node for each fourth configuration that the version and mode know."""
    known = Version.parse(version)
    found = []
    for number, variant in enumerate(variants(known, mode)[::4]):
        config = json.dumps(document(variant, known, mode))
        files = {"kube-proxy.yaml": config, "kube-proxy-version": version}
        node = NodeSnapshot(f"{number}", files)
        found.append(read_inputs(node, ClusterState.from_list({"items": NODE_OBJECTS})))
    return tuple(found)


def notes_of(cluster: ClusterState, version: str, mode: str) -> list[Note]:
    return bug_notes(Site(cluster, node, family) for node in nodes(version, mode) for family in FAMILIES)


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(states(Limits(many=False)))
def test_generated_states(state: State) -> None:
    items = [*NODE_OBJECTS, *(item for objects in state.values() for item in objects)]
    cluster = ClusterState.from_list({"items": items})
    for version in VERSIONS:
        for mode in ("iptables", "ipvs", "nftables"):
            notes = notes_of(cluster, version, mode)
            assert false_notes(notes, Version.parse(version), mode) == []
            SEEN.update(threads(notes))


def test_most_of_them_were_noted() -> None:
    """Otherwise the test above says nothing; what needs another node's table is never generated."""
    if not SEEN:
        pytest.skip("the states were not generated in this process")
    assert set(HAD) - set(SEEN) <= {"136786", "135266"}, SEEN


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_recorded_kube_proxies(folder: Any) -> None:
    snapshot = load(folder)
    version, mode = folder.name.split("-")[:2]
    sites = [
        Site(snapshot.state, read_inputs(node, snapshot.state), family)
        for node in snapshot.nodes
        for family in FAMILIES
    ]
    found = bug_notes(sites)
    assert false_notes(found, Version.parse(version), mode) == []
    assert not found or not version.startswith("v1.37.")
