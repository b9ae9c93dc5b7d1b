"""Sysctls that the rules need: wrong ones are named with what they break, unread ones are skipped once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.dataplane.kernel import check_kernel
from kubewire.dataplane.node import read_inputs
from kubewire.snapshot.folder import read_snapshot
from kubewire.verify.offline import verify_folder
from recorded import GOLDEN

CASE = GOLDEN / "cases" / "route_localnet-0"
HEALTHY = {
    "net.ipv4.conf.all.route_localnet": "1",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv6.conf.all.disable_ipv6": "0",
    "net.netfilter.nf_conntrack_count": "40",
    "net.netfilter.nf_conntrack_max": "262144",
}


def node(
    sysctls: Mapping[str, str | None] = {}, facts: Mapping[str, Any] = {}, **config: Any
) -> NodeSnapshot:
    """The case's node with these settings, None for one that wasn't read."""
    [whole] = read_snapshot(CASE).nodes
    found = json.loads(whole.files["facts.json"]) | facts
    values = {**found["sysctls"], **HEALTHY, **sysctls}
    found["sysctls"] = {name: value for name, value in values.items() if value is not None}
    proxy = {**yaml.safe_load(whole.files["kube-proxy.yaml"]), **config}
    files = {**whole.files, "facts.json": json.dumps(found), "kube-proxy.yaml": json.dumps(proxy)}
    return NodeSnapshot(whole.name, files)


def judged(*nodes: NodeSnapshot, services: str = "") -> tuple[list[Check], list[str]]:
    """The checks that didn't pass, and the notes. `services`: an IPv6 address for each Service."""
    cluster: Any = json.loads(json.dumps(read_snapshot(CASE).cluster))
    for item in cluster["items"]:
        if services and item["kind"] == "Service":
            item["spec"]["clusterIPs"] = [item["spec"]["clusterIP"], services]
    snapshot = Snapshot(cluster, nodes)
    inputs = {each.name: read_inputs(each, snapshot.state) for each in nodes}
    checks, notes = check_kernel(snapshot, inputs)
    return [check for check in checks if check.status != "passed"], [note.text for note in notes]


def observed(*nodes: NodeSnapshot, services: str = "") -> list[tuple[str, str]]:
    return [(check.status, check.observed) for check in judged(*nodes, services=services)[0]]


def test_the_reported_case_fails_and_names_the_sysctl() -> None:
    report = verify_folder(CASE)
    failed = [check for check in report.checks if check.status == "failed"]
    assert [(check.id, check.object, check.node) for check in failed] == [
        ("kernel.sysctl", "net.ipv4.conf.all.route_localnet", "ipt-worker")
    ]
    assert failed[0].observed == "net.ipv4.conf.all.route_localnet = 0"
    assert "localhost" in failed[0].reason
    assert report.exit_code == 1


def test_a_healthy_node_passes() -> None:
    assert judged(node()) == ([], [])


@pytest.mark.parametrize(
    "config",
    [
        {"mode": "nftables"},
        {"iptables": {"localhostNodePorts": False}},
        {"nodePortAddresses": ["172.18.0.0/16"]},
    ],
    ids=str,
)
def test_route_localnet_is_wanted_for_localhost_node_ports_only(config: dict[str, Any]) -> None:
    assert observed(node({"net.ipv4.conf.all.route_localnet": "0"}, **config)) == []


def test_forwarding_is_wanted_in_the_families_of_services() -> None:
    off = node({"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"})
    four, six = ("failed", "net.ipv4.ip_forward = 0"), ("failed", "net.ipv6.conf.all.forwarding = 0")
    assert observed(off) == [four]
    assert observed(off, services="fd00:10:96::1") == [four, six]


def test_services_with_ipv6_need_ipv6_in_the_kernel() -> None:
    for six, wrong in (
        (node({"net.ipv6.conf.all.disable_ipv6": "1"}), "net.ipv6.conf.all.disable_ipv6 = 1"),
        (
            node({"net.ipv6.conf.all.disable_ipv6": None}, {"ipv6": "disabled"}),
            "net.ipv6.conf.all.disable_ipv6 = 1",
        ),
        (
            node({"net.ipv6.conf.all.disable_ipv6": None}, {"ipv6": "absent"}),
            "net.ipv6.conf.all.disable_ipv6: the kernel has no IPv6",
        ),
    ):
        assert observed(six) == []
        assert observed(six, services="fd00:10:96::1") == [("failed", wrong)]


def test_a_liberal_conntrack_is_wanted_where_it_is_configured() -> None:
    assert observed(node()) == []
    liberal = node(conntrack={"maxPerCore": 0, "tcpBeLiberal": True})
    assert observed(liberal) == [("failed", "net.netfilter.nf_conntrack_tcp_be_liberal = 0")]


def test_the_table_is_as_large_as_configured() -> None:
    small = {"net.netfilter.nf_conntrack_max": "131072"}
    assert observed(node(small, {"cpus": 8}, conntrack={})) == [
        ("failed", "net.netfilter.nf_conntrack_max = 131072")
    ]
    assert observed(node(small, {"cpus": 4}, conntrack={})) == []
    assert observed(node(small, {"cpus": 8})) == []
    assert observed(node(small, conntrack={})) == []
    capped = {"net.netfilter.nf_conntrack_max": "1048576"}
    assert observed(node(capped, {"cpus": 512}, conntrack={})) == []


@pytest.mark.parametrize(
    ("count", "failed", "noted"), [(800, 0, 0), (810, 0, 1), (949, 0, 1), (950, 1, 0), (1000, 1, 0)]
)
def test_a_table_that_fills_is_noted_and_a_full_one_fails(count: int, failed: int, noted: int) -> None:
    checks, notes = judged(
        node({"net.netfilter.nf_conntrack_count": str(count), "net.netfilter.nf_conntrack_max": "1000"})
    )
    assert ([check.id for check in checks], len(notes)) == (["conntrack.full"] * failed, noted)


def test_what_was_not_read_is_one_skip_a_node() -> None:
    names = ("net.ipv4.ip_forward", "net.netfilter.nf_conntrack_count", "net.ipv4.conf.all.route_localnet")
    [skipped], notes = judged(node(dict.fromkeys(names)))
    assert (skipped.id, skipped.status, skipped.object) == ("kernel.sysctl", "skipped", "facts.json")
    assert all(name in skipped.reason for name in names)
    assert notes == []


def on_a_bridge(sysctls: Mapping[str, str | None], **config: Any) -> NodeSnapshot:
    plain = node(sysctls, **config)
    links = [
        {"ifname": "cni0", "addr_info": [{"family": "inet", "local": "10.244.1.1", "prefixlen": 24}]},
        {"ifname": "veth1", "master": "cni0", "addr_info": []},
    ]
    cidr = next(n.pod_cidrs[0] for n in read_snapshot(CASE).state.nodes if n.name == plain.name)
    links[0]["addr_info"][0]["local"] = cidr.replace("0/24", "1")  # type: ignore[index]
    return NodeSnapshot(plain.name, {**plain.files, "ip-addr.json": json.dumps(links)})


def test_bridged_pods_need_their_packets_in_the_rules() -> None:
    name = "net.bridge.bridge-nf-call-iptables"
    assert observed(on_a_bridge({name: "1"})) == []
    assert observed(on_a_bridge({name: "0"})) == [("failed", f"{name} = 0")]
    assert observed(on_a_bridge({})) == [("failed", f"{name}: br_netfilter is not loaded")]
    assert observed(on_a_bridge({name: "0"}, iptables={"masqueradeAll": True})) == []
    assert observed(node({name: "0"})) == []
    [skipped] = judged(on_a_bridge({"net.ipv4.conf.all.rp_filter": None}))[0]
    assert skipped.status == "skipped"
    assert name in skipped.reason


def routed(name: str, address: str, other: str, cidr: str, back: str, rp_filter: str) -> NodeSnapshot:
    """A node with eth0 and eth1 whose way to the other's pods is by `back`."""
    plain = node({"net.ipv4.conf.all.rp_filter": "0", "net.ipv4.conf.eth0.rp_filter": rp_filter})
    links = [
        {"ifname": "eth0", "flags": ["UP"], "addr_info": [_info(address)]},
        {"ifname": "eth1", "flags": ["UP"], "addr_info": [_info(address.replace("172.18", "172.19"))]},
    ]
    routes = [{"dst": cidr, "gateway": other, "dev": back, "flags": []}]
    files = {**plain.files, "ip-addr.json": json.dumps(links), "ip-route.json": json.dumps(routes)}
    proxy = {**json.loads(files["kube-proxy.yaml"]), "hostnameOverride": name}
    return NodeSnapshot(name, {**files, "kube-proxy.yaml": json.dumps(proxy)})


def _info(address: str) -> dict[str, Any]:
    return {"family": "inet", "local": address, "prefixlen": 16, "scope": "global"}


@pytest.mark.parametrize(
    ("back", "rp_filter", "wrong"),
    [("eth1", "1", True), ("eth1", "2", False), ("eth1", "0", False), ("eth0", "1", False)],
)
def test_a_strict_rp_filter_fails_where_the_way_back_is_another(
    back: str, rp_filter: str, wrong: bool
) -> None:
    cidrs = {n.name: n.pod_cidrs[0] for n in read_snapshot(CASE).state.nodes}
    here, there = "ipt-worker", "ipt-worker2"
    nodes = (
        routed(here, "172.18.0.3", "172.18.0.4", cidrs[there], back, rp_filter),
        routed(there, "172.18.0.4", "172.18.0.3", cidrs[here], "eth0", "0"),
    )
    failed = [check for check in judged(*nodes)[0] if check.status == "failed"]
    assert [(check.node, check.object) for check in failed] == (
        [(here, "net.ipv4.conf.eth0.rp_filter")] if wrong else []
    )
