"""conntrack's entries: a client that is bound to a dead endpoint is named, and nobody else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubewire.dataplane.conntrack import check_conntrack
from kubewire.dataplane.core.connections import read_entries
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import CONNTRACK, NodeSnapshot, Snapshot
from kubewire.dataplane.node import read_inputs
from kubewire.dataplane.trace import trace
from kubewire.snapshot import folder as folders
from kubewire.snapshot.folder import read_snapshot, write_snapshot
from recorded import GOLDEN

CASE = GOLDEN / "cases" / "route_localnet-0"
NODE = "172.18.0.3"
UDP = (
    "ipv4     2 udp      17 {seconds} src={client} dst={to} sport=41234 dport={port} {state}"
    "src={target} dst={client} sport={tport} dport=41234 mark=0 zone=0 use=2\n"
)


def entry(**other: Any) -> str:
    """A client of default/dns on 10.96.0.10:53, bound to its endpoint 10.244.1.6:53."""
    wanted: dict[str, Any] = {
        "seconds": 29,
        "client": "10.244.2.37",
        "to": "10.96.0.10",
        "port": 53,
        "state": "[UNREPLIED] ",
        "target": "10.244.1.6",
        "tport": 53,
    }
    return UDP.format(**(wanted | other))


def snapshot(text: str | None, *endpoints: dict[str, Any], mode: str = "iptables", **files: str) -> Snapshot:
    """The case with a Service default/dns: 10.96.0.10, fd00:10:96::a, UDP 53, SCTP 54, node port 30053."""
    plain = read_snapshot(CASE)
    cluster: Any = json.loads(json.dumps(plain.cluster))
    ports = [
        {"name": "dns", "protocol": "UDP", "port": 53, "nodePort": 30053},
        {"name": "sctp", "protocol": "SCTP", "port": 54},
    ]
    cluster["items"] += [
        {
            "kind": "Service",
            "metadata": {"namespace": "default", "name": "dns"},
            "spec": {
                "type": "NodePort",
                "clusterIP": "10.96.0.10",
                "clusterIPs": ["10.96.0.10", "fd00:10:96::a"],
                "externalIPs": ["198.51.100.9"],
                "ports": ports,
            },
        },
        *(
            {
                "kind": "EndpointSlice",
                "addressType": family,
                "metadata": {
                    "namespace": "default",
                    "name": f"dns-{family}",
                    "labels": {"kubernetes.io/service-name": "dns"},
                },
                "ports": [
                    {"name": "dns", "protocol": "UDP", "port": 53},
                    {"name": "sctp", "protocol": "SCTP", "port": 54},
                ],
                "endpoints": [e for e in endpoints if (":" in e["addresses"][0]) == (family == "IPv6")],
            }
            for family in ("IPv4", "IPv6")
        ),
    ]
    node = plain.nodes[0]
    proxy = {**json.loads(node.files["kube-proxy.yaml"]), "mode": mode}
    found = {**node.files, "kube-proxy.yaml": json.dumps(proxy), **files}
    return Snapshot(
        cluster, (NodeSnapshot(node.name, found if text is None else {**found, CONNTRACK: text}),)
    )


def endpoint(address: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions}


ALIVE = (endpoint("10.244.1.6"), endpoint("fd00:10:244:1::6"))


def failed(taken: Snapshot) -> list[Check]:
    inputs = {node.name: read_inputs(node, taken.state) for node in taken.nodes}
    return [check for check in check_conntrack(taken, inputs)[0] if check.status == "failed"]


def stale(*lines: str, endpoints: tuple[dict[str, Any], ...] = ALIVE) -> list[str]:
    return [check.object for check in failed(snapshot("".join(lines), *endpoints))]


def test_a_dead_endpoint_is_named_with_its_clients() -> None:
    lines = [entry(target="10.244.1.5", client=f"10.244.2.{n}") for n in range(5)]
    [check] = failed(snapshot("".join(lines), *ALIVE))
    assert (check.id, check.service, check.family) == ("conntrack.stale", "default/dns:dns", "ipv4")
    assert check.object == "10.96.0.10:53/udp → 10.244.1.5:53"
    assert check.expected == "an entry to 10.244.1.6:53"
    assert check.observed == "".join(lines[:3]) + "and 2 more"
    assert "10.244.2.0 (port 41234, for 29 s)" in check.reason
    assert "is no endpoint of default/dns:dns" in check.reason


@pytest.mark.parametrize(
    ("to", "port"),
    [("10.96.0.10", 53), ("198.51.100.9", 53), (NODE, 30053)],
    ids=["cluster", "external", "node"],
)
def test_every_address_of_a_service_counts(to: str, port: int) -> None:
    assert stale(entry(to=to, port=port, target="10.244.1.5")) == [f"{to}:{port}/udp → 10.244.1.5:53"]
    assert stale(entry(to=to, port=port)) == []
    assert stale(entry(to=to, port=port, target=to, tport=port)) == [f"{to}:{port}/udp → {to}:{port}"]


def test_ipv6_as_proc_prints_it() -> None:
    to, dead, alive = (
        "fd00:0010:0096:0000:0000:0000:0000:000a",
        "fd00:0010:0244:0001:0000:0000:0000:0005",
        "fd00:0010:0244:0001:0000:0000:0000:0006",
    )
    lines = [entry(to=to, target=target).replace("ipv4     2", "ipv6     10") for target in (dead, alive)]
    assert stale(*lines) == ["[fd00:10:96::a]:53/udp → [fd00:10:244:1::5]:53"]


def test_sctp_is_left_by_kube_proxy() -> None:
    line = entry(port=54, tport=54, target="10.244.1.5", state="", seconds="431998 ESTABLISHED")
    [check] = failed(snapshot(line.replace("udp      17", "sctp     132"), *ALIVE))
    assert check.object == "10.96.0.10:54/sctp → 10.244.1.5:54"
    assert "kubernetes#108523" in check.reason


def test_an_endpoint_that_drains_is_alive_and_one_that_serves_no_more_is_dead() -> None:
    draining = endpoint("10.244.1.6", ready=False, serving=True, terminating=True)
    gone = endpoint("10.244.1.6", ready=False, serving=False, terminating=True)
    assert stale(entry(), endpoints=(draining,)) == []
    assert stale(entry(), endpoints=(gone,)) == ["10.96.0.10:53/udp → 10.244.1.6:53"]


def test_a_service_that_is_gone() -> None:
    [check] = failed(snapshot(entry(to="10.96.0.77"), *ALIVE))
    assert check.object == "10.96.0.77:53/udp → 10.244.1.6:53"
    assert "kubernetes#141371" in check.reason


@pytest.mark.parametrize(
    "line",
    [
        entry(to="10.96.0.77", target="10.96.0.77"),  # nobody ever translated it
        entry(to="203.0.113.5", target="10.244.1.5"),  # no Service network
        entry(to="172.18.0.4", port=30053, target="172.18.0.4", tport=30053),  # another node's
        entry(target="10.96.0.10", state=""),  # a process that listens there
        entry(target="10.244.1.5").replace("udp      17", "tcp      6"),
        entry(target="nonsense"),
        "udp      17 src=10.244.2.37 dst=10.96.0.10\n",
        "\n\0 udp\n",
    ],
)
def test_others_entries_are_left_alone(line: str) -> None:
    assert stale(line) == []


def test_an_untranslated_entry_matters_only_where_an_endpoint_would_answer() -> None:
    line = entry(target="10.96.0.10")
    assert stale(line) == ["10.96.0.10:53/udp → 10.96.0.10:53"]
    assert stale(line, endpoints=()) == []


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [(None, "iptables", "no conntrack.txt"), (entry(target="10.244.1.5"), "ipvs", "connections of ipvs")],
)
def test_what_cannot_be_judged_is_skipped(text: str | None, mode: str, why: str) -> None:
    taken = snapshot(text, *ALIVE, mode=mode)
    inputs = {node.name: read_inputs(node, taken.state) for node in taken.nodes}
    [check] = check_conntrack(taken, inputs)[0]
    assert check.status == "skipped"
    assert why in check.reason


def test_conntracks_own_listing_is_read_too() -> None:
    [found] = read_entries(
        entry().removeprefix("ipv4     2 ").replace("dport=53 ", "dport=53 packets=3 bytes=90 ")
    )
    assert (found.client, found.target, found.replied) == (("10.244.2.37", 41234), ("10.244.1.6", 53), False)


def test_a_large_file_is_judged_so_far(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "CONNTRACK_LIMIT", 5 * len(entry()) + 20)
    lines = [entry(target=f"10.244.9.{n}") for n in range(200)]
    write_snapshot(snapshot("".join(lines), *ALIVE), tmp_path / "taken")
    taken = read_snapshot(tmp_path / "taken")
    inputs = {node.name: read_inputs(node, taken.state) for node in taken.nodes}
    checks, notes = check_conntrack(taken, inputs)
    assert len(checks) == 5
    assert [note.text for note in notes] == ["conntrack.txt is cut: the entries after that were not judged"]
    assert len(failed(snapshot("".join(lines), *ALIVE))) == 100


def test_a_trace_starts_with_what_its_client_is_bound_to() -> None:
    taken = snapshot(entry(client=NODE, target="10.244.1.5") + entry(), *ALIVE)
    name = taken.nodes[0].name
    for path in trace(taken, f"node/{name}", "10.96.0.10:53/udp").paths:
        first, second = path.steps[:2]
        assert first.place == "conntrack"
        assert first.text == "a client socket (port 41234) is bound to 10.244.1.5:53 by conntrack for 29 s"
        assert second.place != "conntrack"
    assert all(
        p.steps[0].place != "conntrack" for p in trace(taken, f"node/{name}", "10.96.0.10:54/sctp").paths
    )
