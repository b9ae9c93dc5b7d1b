"""Sockets on node ports: kube-proxy's own on localhost (KEP-6032), and those of foreign processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubewire.dataplane.core.localhost import Listener, listeners_of
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.dataplane.listeners import check_listeners
from kubewire.dataplane.node import read_inputs
from kubewire.dataplane.trace import trace
from kubewire.snapshot.folder import read_snapshot
from recorded import GOLDEN

SERVED, REFUSED = "localhost-served-v1.37.2", "localhost-refused-v1.37.2"


def taken(golden: str, listeners: list[dict[str, Any]] | None) -> Snapshot:
    """The golden with these listeners on its node."""
    snapshot = read_snapshot(GOLDEN / "dataplane_nft" / golden)
    [node] = snapshot.nodes
    facts = json.loads(node.files.get("facts.json") or "{}")
    if listeners is not None:
        facts["listeners"] = listeners
    files = {**node.files, "facts.json": json.dumps(facts), "ip-route.json": "[]"}
    return Snapshot(snapshot.cluster, (NodeSnapshot(node.name, files),))


def judged(golden: str, listeners: list[dict[str, Any]] | None) -> tuple[list[tuple[str, ...]], list[str]]:
    snapshot = taken(golden, listeners)
    inputs = {node.name: read_inputs(node, snapshot.state) for node in snapshot.nodes}
    checks, notes = check_listeners(snapshot, inputs)
    return [(c.status, c.object, c.observed) for c in checks], [note.text for note in notes]


def own(*addresses: str, process: str = "kube-proxy") -> list[dict[str, Any]]:
    """Sockets of one process on every TCP node port of the golden."""
    ports = sorted({int(target.rpartition(":")[2]) for _, target, _ in judged(SERVED, None)[0]})
    assert ports
    return [
        {"protocol": "tcp", "address": address, "port": port, "process": process, "pid": 7}
        for address in addresses
        for port in ports
    ]


def test_kube_proxys_own_sockets_pass_and_unknown_ones_are_skipped() -> None:
    found, notes = judged(SERVED, own("127.0.0.1", "::1"))
    assert {status for status, *_ in found} == {"passed"}
    assert notes == []
    assert {status for status, *_ in judged(SERVED, None)[0]} == {"skipped"}


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "*"])
def test_a_foreign_process_in_its_place_is_named(address: str) -> None:
    found, notes = judged(SERVED, own(address, process="nginx"))
    status, target, observed = found[0]
    port = target.rpartition(":")[2]
    assert (status, observed) == ("failed", f"nginx (pid 7) listens on {address}:{port}/tcp")
    assert notes == []


def test_no_socket_fails_too() -> None:
    for status, target, observed in judged(SERVED, [])[0]:
        assert (status, observed) == ("failed", f"no process listens on {target}/tcp")


def test_where_rules_take_the_packets_a_foreign_process_is_a_note() -> None:
    found, notes = judged(REFUSED, own("127.0.0.1", process="nginx"))
    assert found == []
    assert notes
    assert all(note.startswith("nginx (pid 7) listens on 127.0.0.1:") for note in notes)


def test_what_a_snapshot_says_of_listeners_is_bounded_and_known() -> None:
    fine = {"protocol": "udp", "address": "::%lo", "port": 53, "process": "a\x1b[31m" + "b" * 99, "pid": 3}
    odd = [None, {}, {**fine, "protocol": "raw"}, {**fine, "port": "53"}, {**fine, "address": "x"}]
    assert listeners_of({"listeners": [*odd, fine]}) == (Listener("udp", "::", 53, "a[31m" + "b" * 26, 3),)
    assert listeners_of({"listeners": [fine] * 1000}) is None, "what lies behind the bound is not known"
    assert listeners_of({"listeners": 1}) is None


@pytest.mark.parametrize(
    ("listeners", "fate", "words"),
    [
        (own, "delivered", "kube-proxy (pid 7) on node-a, which listens on"),
        (None, "delivered", "if one listens on"),
        ([], "rejected", "no process on node-a listens on"),
    ],
)
def test_a_trace_ends_at_the_socket(listeners: Any, fate: str, words: str) -> None:
    told = own("127.0.0.1") if callable(listeners) else listeners
    target = judged(SERVED, None)[0][0][1]
    found = trace(taken(SERVED, told), "node/node-a", target)
    [path] = found.paths
    assert path.outcome is not None
    assert path.outcome.fate == fate
    assert words in path.outcome.text
