"""The rules that portmap v1.9.1 wrote, recorded, are those that are computed; each that is gone is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from kubewire.core.serialization import encode
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NODE_NETWORK, Snapshot
from kubewire.dataplane.node_network import NodeNetwork, check_node_networks
from recorded import folder_of, load

RECORDED = load(folder_of("v1.37.2-iptables"))
UID = "0a1b-uid"
CHAIN = "CNI-DN-64fca7ba9c01cda4488a9"
SHARED = f"""
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j CNI-HOSTPORT-MASQ
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"kindnet\\" id: \\"{UID}\\"" -m multiport --dports 8080,8081 -j {CHAIN}
-A CNI-HOSTPORT-DNAT -p udp -m comment --comment "dnat name: \\"kindnet\\" id: \\"{UID}\\"" -m multiport --dports 5353 -j {CHAIN}
-A CNI-HOSTPORT-MASQ -m mark --mark 0x2000/0x2000 -j MASQUERADE
-A CNI-HOSTPORT-SETMARK -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000
"""  # noqa: E501
FOUR = f"""
-A {CHAIN} -s 10.244.1.0/24 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A {CHAIN} -s 127.0.0.1/32 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A {CHAIN} -p tcp -m tcp --dport 8080 -j DNAT --to-destination 10.244.1.5:80
-A {CHAIN} -s 10.244.1.0/24 -p udp -m udp --dport 5353 -j CNI-HOSTPORT-SETMARK
-A {CHAIN} -s 127.0.0.1/32 -p udp -m udp --dport 5353 -j CNI-HOSTPORT-SETMARK
-A {CHAIN} -p udp -m udp --dport 5353 -j DNAT --to-destination 10.244.1.5:53
-A {CHAIN} -s 10.244.1.0/24 -d 172.18.0.3/32 -p tcp -m tcp --dport 8081 -j CNI-HOSTPORT-SETMARK
-A {CHAIN} -s 127.0.0.1/32 -d 172.18.0.3/32 -p tcp -m tcp --dport 8081 -j CNI-HOSTPORT-SETMARK
-A {CHAIN} -d 172.18.0.3/32 -p tcp -m tcp --dport 8081 -j DNAT --to-destination 10.244.1.5:81
"""
SIX = f"""
-A {CHAIN} -s fd00:10:244:1::/64 -p tcp -m tcp --dport 8080 -j CNI-HOSTPORT-SETMARK
-A {CHAIN} -p tcp -m tcp --dport 8080 -j DNAT --to-destination [fd00:10:244:1::5]:80
-A {CHAIN} -s fd00:10:244:1::/64 -p udp -m udp --dport 5353 -j CNI-HOSTPORT-SETMARK
-A {CHAIN} -p udp -m udp --dport 5353 -j DNAT --to-destination [fd00:10:244:1::5]:53
"""
PORTS = [
    {"hostPort": 8080, "containerPort": 80},
    {"hostPort": 5353, "containerPort": 53, "protocol": "UDP"},
    {"hostPort": 8081, "containerPort": 81, "hostIP": "172.18.0.3"},
    {"containerPort": 9},
]
LINES = {"ipv4": (SHARED + FOUR).split("\n"), "ipv6": (SHARED + SIX).split("\n")}


def checks(lines: dict[str, list[str]], network: str = "kindnet", ports: Any = PORTS) -> list[Check]:
    cidrs = ["10.244.1.0/24", "fd00:10:244:1::/64"]
    pod = {
        "kind": "Pod",
        "metadata": {"namespace": "d", "name": "p", "uid": UID},
        "spec": {"nodeName": "n", "containers": [{"ports": ports}]},
        "status": {"phase": "Running", "podIPs": [{"ip": "10.244.1.5"}, {"ip": "fd00:10:244:1::5"}]},
    }
    node = {"kind": "Node", "metadata": {"name": "n"}, "spec": {"podCIDRs": cidrs}}
    files = {
        NODE_NETWORK: encode(NodeNetwork(port_network=network)).decode(),
        "ip-addr.json": json.dumps([{"ifname": "lo", "flags": ["UP"]}]),
        "ip-route.json": "[]",
    }
    for family, file in (("ipv4", "iptables-save.txt"), ("ipv6", "ip6tables-save.txt")):
        if family in lines:
            files[file] = "\n".join(["*nat", *lines[family], "COMMIT", ""])
    taken = replace(RECORDED.nodes[0], name="n", files=files, errors={})
    return check_node_networks(Snapshot({"kind": "List", "items": [node, pod]}, (taken,)))


def test_what_portmap_wrote_is_what_is_expected() -> None:
    assert [(check.id, check.status, check.family) for check in checks(LINES)] == [
        ("node.host-port", "passed", "ipv4"),
        ("node.host-port", "passed", "ipv6"),
    ]


@pytest.mark.parametrize("lost", [line for line in LINES["ipv4"] if line])
def test_each_rule_that_is_gone_is_missing_in_what_was_observed(lost: str) -> None:
    kept = {**LINES, "ipv4": [line for line in LINES["ipv4"] if line != lost]}
    (failed,) = (check for check in checks(kept) if check.status == "failed")
    assert (failed.id, failed.family) == ("node.host-port", "ipv4")
    assert failed.object == "iptables nat: host ports of d/p"
    assert set(failed.expected.splitlines()) - set(failed.observed.splitlines()) == {lost}


def test_a_rule_too_many_in_the_pods_chain_and_a_wrong_order_fail() -> None:
    more = {**LINES, "ipv4": [*LINES["ipv4"], f"-A {CHAIN} -j RETURN"]}
    turned = {**LINES, "ipv4": LINES["ipv4"][::-1]}
    assert [check.status for check in checks(more)] == ["failed", "passed"]
    assert [check.status for check in checks(turned)] == ["failed", "passed"]


def test_what_is_not_known_is_not_stated() -> None:
    assert checks(LINES, network="") == []
    assert checks(LINES, ports=[{"containerPort": 80}]) == []
    found = checks({"ipv4": LINES["ipv4"]})
    assert [check.status for check in found] == ["passed", "skipped"]
    assert "ip6tables-save.txt" in found[1].reason
