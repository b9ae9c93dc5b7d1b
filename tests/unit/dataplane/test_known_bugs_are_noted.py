"""Each known bug of kube-proxy is noted where a cluster is hit, and only there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from kubewire.dataplane.check import check_snapshot
from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import Note
from kubewire.dataplane.core.snapshot import NodeSnapshot
from kubewire.dataplane.known_bugs import KNOWN_BUGS, PREFIX, KnownBug, Site, bug_notes
from kubewire.dataplane.node import read_inputs
from kubewire.verify.evaluate import evaluate_snapshot
from recorded import GOLDEN, load

NAME = "a"
READY, GONE, LEAVING = (
    {"ready": True},
    {"ready": False},
    {"ready": False, "serving": True, "terminating": True},
)


def entry(ip: str, node: str = "node-b", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [ip], "nodeName": node, "conditions": conditions}


def state(
    spec: Mapping[str, Any] | None = None,
    *slices: list[dict[str, Any]],
    protocol: str = "UDP",
    ports: list[dict[str, Any]] | None = None,
    ingress: str = "",
) -> ClusterState:
    """One Service and its slices."""
    port = {"name": "p", "protocol": protocol, "port": 53}
    meta = {"namespace": "default", "name": NAME}
    kind: dict[str, Any] = {"clusterIP": "10.96.0.10", "ports": [port], **(spec or {})}
    items: list[dict[str, Any]] = [{"kind": "Service", "metadata": meta, "spec": kind}]
    if ingress:
        items[0]["status"] = {"loadBalancer": {"ingress": [{"ip": ingress}]}}
    items += [
        {
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "ports": ports or [port],
            "endpoints": entries,
        }
        for entries in slices
    ]
    return ClusterState.from_list({"items": items})


def site(cluster: ClusterState, version: str, mode: str, node: str = "node-a", **files: str) -> Site:
    config = json.dumps({"kind": "KubeProxyConfiguration", "mode": mode})
    snapshot = NodeSnapshot(node, {"kube-proxy.yaml": config, "kube-proxy-version": version} | files)
    return Site(cluster, read_inputs(snapshot, cluster), "ipv4")


LB = {"type": "LoadBalancer", "externalTrafficPolicy": "Local"}
ALL = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["0.0.0.0/0", "192.0.2.0/24"]}
SOME = {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]}
EXTERNAL = {"externalIPs": ["192.0.2.9"], "externalTrafficPolicy": "Local"}
SERVED = state(None, [entry("10.244.1.2", **READY)])
TCP = state(None, [entry("10.244.1.2", **READY)], protocol="TCP")
TWO = [{"name": "p", "protocol": "TCP", "port": 53}, {"name": "q", "protocol": "TCP"}]

# The first thread, the mode, a state that is hit, versions that have the bug; another state, other versions.
CASES: tuple[tuple[int, str, ClusterState, str, ClusterState, str], ...] = (
    (125467, "iptables", SERVED, "1.29.9 1.30.5 1.31.1", TCP, "1.29.10 1.30.6 1.31.2 1.32.0 1.37.2"),
    (126532, "ipvs", SERVED, "1.29.8 1.30.4 1.31.0", TCP, "1.29.9 1.30.5 1.31.1 1.32.0 1.37.2"),
    (
        139628,
        "nftables",
        state(None, [entry("10.244.1.2", **GONE)]),
        "1.32.0 1.33.13 1.34.9 1.35.6 1.36.2",
        SERVED,
        "1.31.14 1.33.14 1.36.3 1.37.0 1.37.2",
    ),
    (129982, "iptables", SERVED, "1.32.0 1.32.2", TCP, "1.31.14 1.32.3 1.33.0"),
    (
        135266,
        "iptables",
        state(None, [entry("10.244.1.2", **LEAVING), entry("10.244.1.2", **READY)]),
        "1.29.6 1.33.6 1.35.0",
        state(None, [entry("10.244.1.2", **READY)], [entry("10.244.1.3", **LEAVING)]),
        "1.36.0 1.37.2",
    ),
    (
        0,
        "iptables",
        state(None, [entry("10.244.1.2", **READY)], protocol="TCP", ports=TWO),
        "1.29.6 1.30.14",
        state(None, [entry("10.244.1.2", **READY)], protocol="TCP", ports=TWO[1:]),
        "1.31.0 1.37.2",
    ),
    (
        131765,
        "nftables",
        state(LB, [entry("10.244.1.2", **READY)], ingress="192.0.2.1"),
        "1.31.0 1.32.2 1.33.5",
        state(LB, [entry("10.244.1.2", "node-a", **READY)], ingress="192.0.2.1"),
        "1.33.6 1.34.0 1.37.2",
    ),
    (
        122614,
        "nftables",
        state(SOME, [entry("10.244.1.2", **READY)], ingress="192.0.2.1"),
        "1.29.0 1.29.6",
        state({"type": "LoadBalancer"}, ingress="192.0.2.1"),
        "1.30.0 1.37.2",
    ),
    (135631, "ipvs", TCP, "1.34.0 1.34.3 1.35.0", TCP, "1.33.13 1.34.4 1.35.1 1.36.0"),
    (
        132719,
        "ipvs",
        state(ALL, ingress="192.0.2.1"),
        "1.29.6 1.33.2",
        state(SOME, ingress="192.0.2.1"),
        "1.34.0 1.37.2",
    ),
    (121919, "ipvs", state(EXTERNAL), "1.29.0", state({"externalIPs": ["192.0.2.9"]}), "1.29.1 1.30.0"),
)
IDS = [str(case[0]) for case in CASES]


def bug(thread: int) -> KnownBug:
    return next(bug for bug in KNOWN_BUGS if thread in (bug.threads or (0,)))


def noted(thread: int, *sites: Site) -> list[Note]:
    return [note for note in bug_notes(sites) if bug(thread).source in note.text]


@pytest.mark.parametrize(("thread", "mode", "hit", "versions", "other", "later"), CASES, ids=IDS)
def test_it_is_noted_where_the_cluster_is_hit(
    thread: int, mode: str, hit: ClusterState, versions: str, other: ClusterState, later: str
) -> None:
    for version in versions.split():
        [note] = noted(thread, site(hit, version, mode))
        assert note.text.startswith(f"{PREFIX} v{version}: {bug(thread).seen}")
        assert note.node == "node-a"
        if bug(thread).threads != (135631,):
            assert f"default/{NAME}" in note.text
            assert noted(thread, site(other, version, mode)) == []


@pytest.mark.parametrize(("thread", "mode", "hit", "versions", "other", "later"), CASES, ids=IDS)
def test_a_version_or_mode_without_it_is_not_noted(
    thread: int, mode: str, hit: ClusterState, versions: str, other: ClusterState, later: str
) -> None:
    for version in later.split():
        assert noted(thread, site(hit, version, mode)) == []
    for elsewhere in {"iptables", "ipvs", "nftables"} - set(bug(thread).modes):
        assert noted(thread, site(hit, versions.partition(" ")[0], elsewhere)) == []


def foreign(nft: str, table: Mapping[str, Any]) -> dict[str, str]:
    return {
        "facts.json": json.dumps({"tools": {"nft": nft}}),
        "nft-foreign.json": json.dumps({"nftables": [table]}),
    }


def test_sets_of_a_newer_nft_are_noted_where_no_rules_are_there() -> None:
    new = foreign("nftables v1.1.3 (Commodore Bullmoose #4)", {"set": {}})
    assert noted(136786, site(TCP, "1.34.3", "nftables", **new))
    assert not noted(136786, site(TCP, "1.37.0", "nftables", **new))
    old = foreign("nftables v1.1.1 (Commodore Bullmoose #2)", {"set": {}})
    for files in (old, foreign("nftables v1.1.3", {"chain": {}}), {}, {"nft-foreign.json": "["}):
        assert not noted(136786, site(TCP, "1.34.3", "nftables", **files))


def test_every_entry_has_its_case() -> None:
    assert {bug.threads[:1] for bug in KNOWN_BUGS} == {(t,) if t else () for t in (*map(int, IDS), 136786)}


def test_one_note_names_the_nodes() -> None:
    sites = [site(SERVED, "1.29.6", "iptables", node) for node in ("node-a", "node-b")]
    [note] = noted(125467, *sites)
    assert note == Note(note.text)
    assert note.text.startswith(f"{PREFIX} v1.29.6 on node-a, node-b: ")


def test_many_services_are_counted() -> None:
    items = [
        {
            "kind": "Service",
            "metadata": {"namespace": "default", "name": f"s{number}"},
            "spec": {"clusterIP": f"10.96.1.{number}", "ports": [{"port": 53, "protocol": "UDP"}]},
        }
        for number in range(20)
    ]
    [note] = noted(125467, site(ClusterState.from_list({"items": items}), "1.29.6", "iptables"))
    assert " and 12 more (" in note.text


@pytest.mark.parametrize("version", ["1.29.6", "1.34.3", "1.37.2", "1.38.0", "2.0.0"])
def test_a_version_is_hit_only_as_far_as_known(version: str) -> None:
    for entry in KNOWN_BUGS:
        newest = max((*entry.fixed, *entry.last))
        assert not (entry.affects(Version.parse(version)) and Version.parse(version) > newest)


def test_a_prefix_of_interfaces_that_nft_refuses_is_one_finding() -> None:
    snapshot = load(GOLDEN / "cases" / "interface-prefix-before-1.34.2")
    failed = [c for c in evaluate_snapshot(snapshot).failed if not c.id.startswith("kernel.")]
    assert [(check.node, check.id) for check in failed] == [
        (node.name, "kube-proxy.configuration") for node in snapshot.nodes
    ]
    assert failed[0].observed == 'iif "veth*"'
    assert "v1.34.1 can't sync" in failed[0].reason
    assert "kubernetes#134024, fixed in 1.33.6, 1.34.2, 1.35.0" in failed[0].reason


def changed(edit: Callable[[dict[str, str]], None]) -> list[str]:
    """What fails on a node of a recorded v1.34.4, or of the case, after its files were edited."""
    snapshot = load(GOLDEN / "cases" / "interface-prefix-before-1.34.2")
    node = snapshot.nodes[0]
    files = dict(node.files)
    edit(files)
    checked = check_snapshot(type(snapshot)(snapshot.cluster, (NodeSnapshot(node.name, files),)))
    return sorted({check.id for check in checked.checks if check.status == "failed"})


def test_it_leads_where_no_table_is_there() -> None:
    assert changed(lambda files: [files.pop(name) for name in ("nft-ip.json", "nft-ip6.json")]) == [
        "kube-proxy.configuration"
    ]


def test_a_fixed_version_or_another_detector_is_compared() -> None:
    found = changed(lambda files: files.update({"kube-proxy-version": "v1.34.2"}))
    assert "kube-proxy.configuration" not in found
    assert "nftables.table" in found
    cidr = "InterfaceNamePrefix", "ClusterCIDR"
    assert (
        changed(lambda files: files.update({"kube-proxy.yaml": files["kube-proxy.yaml"].replace(*cidr)}))
        == []
    )


def test_a_bridge_that_is_there_is_matched() -> None:
    def bridge(name: str) -> Callable[[dict[str, str]], None]:
        document = {
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "hostnameOverride": "node-a",
            "detectLocalMode": "BridgeInterface",
            "detectLocal": {"bridgeInterface": name},
        }
        return lambda files: files.update({"kube-proxy.yaml": json.dumps(document)})

    assert changed(bridge("cni9")) == ["kube-proxy.configuration"]
    assert "kube-proxy.configuration" not in changed(bridge("eth0"))


def test_a_name_too_long_for_a_comment_is_one_finding() -> None:
    long = {"namespace": "n" * 63, "name": "s" * 63}
    service = {
        "kind": "Service",
        "metadata": long,
        "spec": {"clusterIP": "10.96.9.77", "ports": [{"name": "http", "protocol": "TCP", "port": 80}]},
    }
    snapshot = load(GOLDEN / "versions" / "v1.36.3-nftables")
    items = {**snapshot.cluster, "items": [*snapshot.cluster["items"], service]}
    checks = check_snapshot(type(snapshot)(items, snapshot.nodes[:1])).checks
    [check] = [check for check in checks if check.status == "failed"]
    assert check.id == "kube-proxy.configuration"
    assert check.service == f"{long['namespace']}/{long['name']}:http"
    assert "kubernetes#139516, fixed in 1.37.0" in check.reason
