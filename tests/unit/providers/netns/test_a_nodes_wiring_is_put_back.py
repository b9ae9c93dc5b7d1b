"""What someone does to a node's own link, addresses, routes, forwarding and policies is undone exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from kubewire.lab.schema import Lab
from kubewire.providers.netns.node_network import bridge_mends, declared, mends
from kubewire.providers.node_network import Seen

LAB = Lab.model_validate(
    {
        "name": "wired",
        "mode": "iptables",
        "ipFamily": "dual",
        "podSubnet": ["10.244.0.0/16", "fd00:10:244::/56"],
        "serviceSubnet": ["10.96.0.0/16", "fd00:10:96::/112"],
    }
)
NAME, DECLARED = list(declared(LAB).items())[1]
ADDRESSES = [
    {"local": "172.18.0.3", "prefixlen": 16},
    {"local": "fc00:f853:ccd:e793::3", "prefixlen": 64},
    {"local": "fe80::1", "prefixlen": 64},
]
ROUTES = (
    {"dst": "default", "gateway": "172.18.0.1", "dev": "eth0"},
    {"dst": "172.18.0.0/16", "dev": "eth0", "protocol": "kernel"},
    {"dst": "10.244.0.0/24", "gateway": "172.18.0.2", "dev": "eth0"},
    {"dst": "default", "gateway": "fc00:f853:ccd:e793::1", "dev": "eth0"},
    {"dst": "fc00:f853:ccd:e793::/64", "dev": "eth0", "protocol": "kernel"},
)
SAVED = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {} [3:180]\n:KUBE-FORWARD - [0:0]\nCOMMIT\n"
HEALTHY = Seen(
    link={"flags": ["BROADCAST", "UP"], "addr_info": ADDRESSES},
    routes=ROUTES,
    sysctls={"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1"},
    saved={"iptables": SAVED.format("ACCEPT"), "ip6tables": ""},
)


def texts(seen: Seen) -> list[str]:
    return [call.text for call in mends(1, NAME, DECLARED, seen)]


def test_a_healthy_node_is_left_alone() -> None:
    assert texts(HEALTHY) == []


def test_a_node_with_its_loopback_down_gets_it_up() -> None:
    assert texts(replace(HEALTHY, loopback=False)) == ["link lo set up again"]


def test_ipv6_is_switched_on_before_its_addresses_are_put_back() -> None:
    off = {**HEALTHY.sysctls, "net.ipv6.conf.all.disable_ipv6": "1"}
    link: dict[str, Any] = {"flags": ["UP"], "addr_info": ADDRESSES[:1]}
    assert texts(replace(HEALTHY, sysctls=off, link=link)) == [
        "net.ipv6.conf.all.disable_ipv6 set back to 0",
        "address fc00:f853:ccd:e793::3/64 put back on eth0",
    ]


def test_a_node_without_sysctl_or_iptables_tools_is_left_alone() -> None:
    assert texts(replace(HEALTHY, sysctls={}, saved={})) == []


def test_a_link_set_down_lost_its_routes_and_ipv6_address_too() -> None:
    link: dict[str, Any] = {"flags": ["BROADCAST"], "addr_info": ADDRESSES[:1]}
    assert texts(replace(HEALTHY, link=link, routes=())) == [
        "link eth0 set up again",
        "address fc00:f853:ccd:e793::3/64 put back on eth0",
        "route 172.18.0.0/16 dev eth0 put back",
        "route fc00:f853:ccd:e793::/64 dev eth0 put back",
        "route default via 172.18.0.1 put back",
        "route default via fc00:f853:ccd:e793::1 put back",
    ]


def test_a_deleted_link_is_made_again_on_the_bridge() -> None:
    calls = mends(1, NAME, DECLARED, replace(HEALTHY, link=None, routes=()))
    assert [call.argv for call in calls if call.outside] == [
        tuple(f"ip link add veth-1 type veth peer name eth0 netns {NAME}".split()),
        ("ip", "link", "set", "veth-1", "master", "br0", "up"),
    ]
    assert calls[2].argv == ("ip", "link", "set", "eth0", "up")
    assert len([call for call in calls if call.text.startswith("address ")]) == 2


@pytest.mark.parametrize("lost", range(len(ROUTES)))
def test_each_own_route_is_put_back_and_no_other(lost: int) -> None:
    told = texts(replace(HEALTHY, routes=ROUTES[:lost] + ROUTES[lost + 1 :]))
    assert len(told) == (0 if ROUTES[lost]["dst"].startswith("10.244.") else 1)


def test_a_default_route_elsewhere_is_put_right() -> None:
    routes = ({"dst": "default", "gateway": "172.18.0.99", "dev": "eth0"}, *ROUTES[1:])
    assert texts(replace(HEALTHY, routes=routes)) == ["route default via 172.18.0.1 put back"]


def test_policies_and_forwarding_go_back_to_what_the_sandbox_has() -> None:
    seen = replace(
        HEALTHY,
        sysctls={**HEALTHY.sysctls, "net.ipv4.ip_forward": "0"},
        saved={"iptables": SAVED.format("DROP"), "ip6tables": ""},
    )
    assert texts(seen) == [
        "net.ipv4.ip_forward set back to 1",
        "iptables filter FORWARD: policy DROP set back to ACCEPT",
    ]


def sandbox(**changed: Any) -> dict[str, dict[str, Any]]:
    """The sandbox's own links; a changed one by its name with `_` for `-`, None for one that is gone."""
    own = [{"local": "172.18.0.1", "prefixlen": 16}, {"local": "fc00:f853:ccd:e793::1", "prefixlen": 64}]
    ends = {f"veth-{index}": {"flags": ["UP"], "master": "br0"} for index in range(3)}
    whole = {"br0": {"flags": ["UP"], "addr_info": own}, **ends}
    whole |= {name.replace("_", "-"): link for name, link in changed.items()}
    return {name: link for name, link in whole.items() if link is not None}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({}, []),
        ({"br0": {**sandbox()["br0"], "flags": []}}, ["bridge br0 set up again"]),
        ({"veth_1": {"flags": ["UP"]}}, ["link veth-1 put back on br0"]),
        ({"veth_2": {"flags": [], "master": "br0"}}, ["link veth-2 put back on br0"]),
        ({"veth_0": None}, []),
        (
            {"br0": {"flags": ["UP"], "addr_info": sandbox()["br0"]["addr_info"][1:]}},
            ["address 172.18.0.1/16 put back on br0"],
        ),
        (
            {"br0": None, **{f"veth_{index}": {"flags": ["UP"]} for index in range(3)}},
            [
                "bridge br0 made again",
                "address 172.18.0.1/16 put back on br0",
                "address fc00:f853:ccd:e793::1/64 put back on br0",
                *(f"link veth-{index} put back on br0" for index in range(3)),
                "",
            ],
        ),
    ],
)
def test_the_bridge_and_the_nodes_ends_on_it_are_put_back(changed: dict[str, Any], told: list[str]) -> None:
    calls = bridge_mends(LAB, sandbox(**changed))
    assert [call.text for call in calls] == told
    assert not told or told[-1] or calls[-1].argv == ("ip", "link", "set", "br0", "up")
