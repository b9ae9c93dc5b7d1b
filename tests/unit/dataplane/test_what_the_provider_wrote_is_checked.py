"""node-network.json tells what the provider wrote on a node; each part that is gone is one failed check."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from kubewire.core.serialization import encode
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NODE_NETWORK, Snapshot
from kubewire.dataplane.node_network import Masquerade, NodeNetwork, check_node_networks
from kubewire.verify.causes import leading, linked
from kubewire.verify.evaluate import evaluate_snapshot
from recorded import folder_of, load

RECORDED = load(folder_of("v1.37.2-iptables"))
CHAIN, JUMP = "KIND-MASQ-AGENT", "-A POSTROUTING -j KIND-MASQ-AGENT"
RULES = (f"-A {CHAIN} -d 10.244.0.0/16 -j RETURN", f"-A {CHAIN} -j MASQUERADE")
NETWORK = NodeNetwork(
    links=("lo", "eth0"),
    addresses={"eth0": ("172.18.0.3/16",)},
    routes=("172.18.0.0/16 dev eth0", "default via 172.18.0.1"),
    sysctls={"net.ipv4.ip_forward": "1"},
    masquerade=(Masquerade("ipv4", CHAIN, RULES, JUMP),),
    pod_gateways=True,
)
ADDRESSES = [
    {"ifname": "lo", "flags": ["LOOPBACK", "UP"], "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
    {"ifname": "eth0", "flags": ["UP"], "addr_info": [{"local": "172.18.0.3", "prefixlen": 16}]},
    {"ifname": "veth1", "flags": ["UP"], "addr_info": [{"local": "10.244.1.1", "prefixlen": 32}]},
]
ROUTES = [
    {"dst": "default", "gateway": "172.18.0.1", "dev": "eth0"},
    {"dst": "172.18.0.0/16", "dev": "eth0", "protocol": "kernel"},
    {"dst": "10.244.1.2", "dev": "veth1", "scope": "host"},
]
SAVED = "\n".join(["*nat", JUMP, *RULES, "COMMIT", ""])
CLUSTER = {
    "kind": "List",
    "items": [
        {"kind": "Node", "metadata": {"name": "n"}, "spec": {"podCIDRs": ["10.244.1.0/24"]}},
        {
            "kind": "Pod",
            "metadata": {"namespace": "d", "name": "p"},
            "spec": {"nodeName": "n"},
            "status": {"phase": "Running", "podIPs": [{"ip": "10.244.1.2"}]},
        },
    ],
}


def files(**changed: Any) -> dict[str, str]:
    """A healthy node's files; a changed one as JSON or text, None for one that is missing."""
    whole: dict[str, Any] = {
        NODE_NETWORK: encode(NETWORK).decode(),
        "ip-addr.json": ADDRESSES,
        "ip-route.json": ROUTES,
        "iptables-save.txt": SAVED,
        "facts.json": {"sysctls": {"net.ipv4.ip_forward": "1"}},
    }
    whole |= {
        {"addr": "ip-addr.json", "route": "ip-route.json", "saved": "iptables-save.txt"}.get(k, k): v
        for k, v in changed.items()
    }
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in whole.items() if v is not None}


def checks(**changed: Any) -> list[Check]:
    node = replace(RECORDED.nodes[0], name="n", files=files(**changed), errors={})
    return check_node_networks(Snapshot(CLUSTER, (node,)))


def failed(**changed: Any) -> list[tuple[str, str]]:
    return [(check.id, check.object) for check in checks(**changed) if check.status == "failed"]


def test_a_node_as_the_provider_made_it_passes_every_check() -> None:
    found = checks()
    assert {check.status for check in found} == {"passed"}
    assert len(found) == 9


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({"addr": ADDRESSES[1:]}, ("node.link", "lo")),
        ({"addr": [ADDRESSES[0], {**ADDRESSES[1], "flags": []}, ADDRESSES[2]]}, ("node.link", "eth0")),
        (
            {"addr": [*ADDRESSES[:1], {**ADDRESSES[1], "addr_info": []}, ADDRESSES[2]]},
            ("node.address", "172.18.0.3/16 dev eth0"),
        ),
        (
            {"addr": [*ADDRESSES[:2], {**ADDRESSES[2], "addr_info": []}]},
            ("node.address", "10.244.1.1/32 dev veth1"),
        ),
        ({"route": ROUTES[1:]}, ("node.route", "default via 172.18.0.1")),
        ({"route": [ROUTES[0], ROUTES[2]]}, ("node.route", "172.18.0.0/16 dev eth0")),
        ({"facts.json": {"sysctls": {"net.ipv4.ip_forward": "0"}}}, ("node.sysctl", "net.ipv4.ip_forward")),
        ({"saved": SAVED.replace(JUMP, "")}, ("node.masquerade", f"iptables nat POSTROUTING -j {CHAIN}")),
        (
            {"saved": SAVED.replace(JUMP, f"{JUMP}\n{JUMP}")},
            ("node.masquerade", f"iptables nat POSTROUTING -j {CHAIN}"),
        ),
        ({"saved": SAVED.replace(RULES[0], "")}, ("node.masquerade", f"iptables nat {CHAIN}")),
    ],
)
def test_each_thing_that_is_gone_is_named_and_nothing_else(
    changed: dict[str, Any], wanted: tuple[str, str]
) -> None:
    assert failed(**changed) == [wanted]


def test_counters_do_not_matter() -> None:
    assert failed(saved=SAVED.replace("-A ", "[3:180] -A ")) == []


@pytest.mark.parametrize(
    ("changed", "skipped"),
    [
        ({NODE_NETWORK: None}, {"node.network"}),
        ({NODE_NETWORK: "{"}, {"node.network"}),
        ({NODE_NETWORK: {"links": 3}}, {"node.network"}),
        ({"addr": None}, {"node.link"}),
        ({"route": None}, {"node.route"}),
        ({"addr": [{"ifname": "eth0", "flags": 3}]}, {"node.network"}),
        ({"saved": None}, {"node.masquerade"}),
        ({"saved": "# Table `nat' is incompatible, use 'nft' tool.\n"}, {"node.masquerade"}),
        ({"facts.json": None}, {"node.sysctl"}),
        ({"facts.json": "[]"}, {"node.sysctl"}),
    ],
)
def test_what_the_snapshot_does_not_tell_is_skipped_with_the_reason(
    changed: dict[str, Any], skipped: set[str]
) -> None:
    found = checks(**changed)
    assert {check.id for check in found if check.status == "skipped"} == skipped
    assert all(check.reason for check in found if check.status == "skipped")
    assert not [check for check in found if check.status == "failed"]


def test_ipv6_sysctls_are_no_matter_where_the_kernel_has_no_ipv6() -> None:
    network = encode(NodeNetwork(sysctls={"net.ipv6.conf.all.forwarding": "1"})).decode()
    assert checks(**{NODE_NETWORK: network, "facts.json": {"ipv6": "absent"}}) == []


def test_a_snapshot_of_another_cluster_has_one_skipped_check() -> None:
    found = [check for check in evaluate_snapshot(RECORDED).checks if check.id.startswith("node.")]
    assert [(check.id, check.status, check.node) for check in found] == [("node.network", "skipped", "")]


def test_a_link_leads_what_lies_on_it_and_an_effect_leads_its_sysctl() -> None:
    def fails(kind: str, label: str) -> Check:
        return Check(kind, "failed", "n", object=label)

    link, broken = fails("node.link", "eth0"), fails("kernel.sysctl", "net.ipv4.ip_forward")
    found = [
        fails("route.pod-cidr", "10.244.2.0/24 of m"),
        fails("node.route", "default via 172.18.0.1"),
        fails("node.sysctl", "net.ipv4.ip_forward"),
        link,
        broken,
        fails("node.masquerade", "iptables nat KIND-MASQ-AGENT"),
    ]
    assert {check.key for check in leading(linked(found))} == {link.key, broken.key, found[-1].key}
