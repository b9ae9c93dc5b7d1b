"""A packet that arrives is no use where its reply is lost: a trace says by what, where and how likely."""

from __future__ import annotations

import json
from ipaddress import ip_address

import pytest
from msgspec import structs

from kubewire.dataplane.core.model import Element, Set
from kubewire.dataplane.core.packet import NotModelled, Packet
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.ipvs.membership import membership
from kubewire.dataplane.trace import Trace, trace
from trace_golden import LABS, edited, ends, lab


def worker(snapshot: Snapshot) -> str:
    return next(node.name for node in snapshot.nodes if node.name.endswith("-worker"))


def to_httpbin(snapshot: Snapshot, source: str) -> Trace:
    spec = next(
        i["spec"] for i in snapshot.cluster["items"] if i["metadata"]["name"] == "httpbin" and "spec" in i
    )
    return trace(snapshot, source, f"{spec['clusterIP']}:{spec['ports'][0]['port']}")


def with_rule(name: str, table: str, chain: str, rule: str, source: str = "node/worker") -> Trace:
    """A trace to httpbin with a table of one rule more on the worker, before all of its others."""
    text = f"*{table}\n:{chain} ACCEPT [0:0]\n-A {chain} {rule}\nCOMMIT\n"
    changed = edited(lab(name), worker(lab(name)), "iptables-save.txt", lambda dump: dump + text)
    return to_httpbin(changed, source)


def said(found: Trace) -> set[str]:
    return {path.outcome.text for path in found.paths if path.outcome and path.outcome.fate == "dropped"}


@pytest.mark.parametrize("name", LABS)
@pytest.mark.parametrize(
    ("table", "chain", "rule"),
    [
        ("security", "INPUT", "-p tcp -m tcp --sport 80 -j DROP"),
        ("raw", "PREROUTING", "-i eth0 -p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK -j DROP"),
        ("security", "INPUT", "-m conntrack --ctstate ESTABLISHED -j REJECT --reject-with tcp-reset"),
    ],
)
def test_a_rule_that_drops_the_reply_is_named(name: str, table: str, chain: str, rule: str) -> None:
    found = with_rule(name, table, chain, rule)
    assert said(found) == {f"the reply: -A {chain} {rule}"}
    outcomes = [path.outcome for path in found.paths if path.outcome]
    assert {end.node for end in outcomes if end.fate == "dropped"} == {worker(lab(name))}


@pytest.mark.parametrize("name", LABS)
def test_what_only_first_packets_meet_does_not_stop_a_reply(name: str) -> None:
    for rule in ("-m conntrack --ctstate NEW -j DROP", "-p tcp -m tcp --dport 80 -j DROP"):
        assert not said(with_rule(name, "security", "INPUT", rule))


@pytest.mark.parametrize("name", LABS)
def test_what_is_left_to_chance_is_a_share(name: str) -> None:
    rule = "-p tcp -m tcp --sport 80 -m statistic --mode random --probability 0.50000000000 -j DROP"
    found = ends(with_rule(name, "security", "INPUT", rule))
    assert found["dropped"] == pytest.approx(0.5)
    assert sum(found.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", LABS)
def test_a_rule_that_a_reply_meets_and_that_cannot_be_evaluated_ends_the_trace(name: str) -> None:
    found = with_rule(
        name, "security", "INPUT", "-m conntrack --ctstate ESTABLISHED -m u32 --u32 0x0=0x0 -j DROP"
    )
    assert found.refused


def test_a_reply_to_an_address_that_is_not_the_nodes_is_lost() -> None:
    snapshot = lab(LABS[0])
    rule = "-A POSTROUTING -p tcp -j SNAT --to-source 192.0.2.9\n"
    head = "-A POSTROUTING -m comment"
    changed = edited(
        snapshot, worker(snapshot), "iptables-save.txt", lambda dump: dump.replace(head, rule + head, 1)
    )
    lost = said(to_httpbin(changed, "node/worker"))
    assert lost
    assert all("192.0.2.9, which is not an address of" in text for text in lost)


def test_a_local_pod_answers_any_source() -> None:
    snapshot = lab(LABS[0])
    rule = "-A POSTROUTING -o veth+ -p tcp -j SNAT --to-source 192.0.2.9\n"
    head = "-A POSTROUTING -m comment"
    changed = edited(
        snapshot, worker(snapshot), "iptables-save.txt", lambda dump: dump.replace(head, rule + head, 1)
    )
    assert not said(to_httpbin(changed, "node/worker"))


def test_a_reply_past_the_node_that_has_not_masqueraded_is_lost() -> None:
    snapshot = lab(LABS[0])
    head = "-A POSTROUTING -m comment"
    changed = edited(
        snapshot,
        worker(snapshot),
        "iptables-save.txt",
        lambda dump: dump.replace(head, f"-A POSTROUTING -j ACCEPT\n{head}", 1),
    )
    spec = next(
        i["spec"] for i in snapshot.cluster["items"] if i["metadata"]["name"] == "httpbin" and "spec" in i
    )
    to = f"{spec['clusterIP']}:{spec['ports'][0]['port']}"
    lost = said(trace(changed, "external/203.0.113.9", to, worker(snapshot)))
    assert lost
    assert all(text.startswith("the reply goes to 203.0.113.9 past ") for text in lost)
    assert not said(trace(snapshot, "external/203.0.113.9", to, worker(snapshot)))


def test_a_table_that_is_not_evaluated_is_a_remark() -> None:
    chain = {
        "family": "netdev",
        "table": "edge",
        "name": "in",
        "type": "filter",
        "hook": "ingress",
        "prio": 0,
    }
    text = json.dumps({"nftables": [{"table": {"family": "netdev", "name": "edge"}}, {"chain": chain}]})
    snapshot = lab(LABS[0])
    nodes = tuple(
        structs.replace(node, files={**node.files, "nft-foreign.json": text})
        if node.name == worker(snapshot)
        else node
        for node in snapshot.nodes
    )
    [remark] = to_httpbin(structs.replace(snapshot, nodes=nodes), "node/worker").remarks
    assert remark.startswith(
        f"{worker(snapshot)}: nft table netdev edge: chain in (hook ingress, priority 0) is not evaluated"
    )


def test_a_replys_unknown_port_is_in_no_set_without_such_ports() -> None:
    def holds(*members: str) -> bool:
        item = Set("ipv4", "", "KUBE-TEST", "hash:ip,port", elements=tuple(map(Element, members)))
        reply = Packet(ip_address("10.244.1.2"), ip_address("10.244.2.2"), "tcp", 80, reply=True)
        return membership(item)(reply, ("dst", "dst"))

    assert not holds("10.96.0.1,tcp:443", "10.244.2.2,tcp:30080")
    with pytest.raises(NotModelled):
        holds("10.96.0.1,tcp:40000")
