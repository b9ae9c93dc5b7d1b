"""Mending finds what is missing and what is stray, and leaves the kernel's own routes alone."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kubewire.providers.netns.agent.routes import Route, cidr_routes, mends, observed, pod_route
from kubewire.providers.netns.agent_config import Node

SUBNETS = ["10.244.0.0/16", "fd00:10:244::/56"]


def node(number: int) -> Node:
    ips = (f"172.18.0.{number}", f"fc00::{number}")
    return Node(f"n{number}", "worker", ips, Path(f"/run/netns/n{number}"))


def test_each_other_node_by_family() -> None:
    others = [(node(n), (f"10.244.{n}.0/24", f"fd00:10:244:{n}::/64")) for n in (2, 3)]
    assert cidr_routes(node(2), others) == [
        Route("10.244.3.0/24", via="172.18.0.3"),
        Route("fd00:10:244:3::/64", via="fc00::3"),
    ]


def test_observed_takes_pod_routes_only() -> None:
    table = [
        {"dst": "default", "gateway": "172.18.0.1", "dev": "eth0"},
        {"dst": "172.18.0.0/16", "dev": "eth0", "protocol": "kernel"},
        {"dst": "10.96.0.0/16", "gateway": "172.18.0.9", "dev": "eth0"},
        {"dst": "10.244.2.0/24", "gateway": "172.18.0.4", "dev": "eth0"},
        {"dst": "10.244.1.2", "dev": "veth1", "scope": "host"},
        {"dst": "fd00:10:244:1::1", "dev": "veth1", "protocol": "kernel"},
        {"dst": "fd00:10:244:1::2", "dev": "veth1"},
        {"type": "blackhole", "dst": "10.244.9.0/24", "dev": "lo"},
    ]
    assert observed(table, SUBNETS) == [
        Route("10.244.2.0/24", via="172.18.0.4"),
        Route("10.244.1.2/32", device="veth1"),
        Route("fd00:10:244:1::2/128", device="veth1"),
        Route("10.244.9.0/24"),
    ]


def test_a_wrong_gateway_is_taken_out_before_the_right_one_goes_in() -> None:
    right, wrong = Route("10.244.2.0/24", via="172.18.0.4"), Route("10.244.2.0/24", via="172.18.0.2")
    calls = mends([right], [wrong])
    assert [" ".join(call.argv) for call in calls] == [
        "-4 route delete 10.244.2.0/24 via 172.18.0.2",
        "-4 route replace 10.244.2.0/24 via 172.18.0.4",
    ]
    assert calls[1].text == "route 10.244.2.0/24 via 172.18.0.4 put back"


def test_pod_route_is_as_ptp_makes_it() -> None:
    assert " ".join(pod_route("10.244.1.2", "veth1").argv("replace")) == (
        "-4 route replace 10.244.1.2/32 dev veth1 scope host"
    )
    assert " ".join(pod_route("fd00::2", "veth1").argv("replace")) == "-6 route replace fd00::2/128 dev veth1"
    assert str(pod_route("10.244.1.2", "veth1")) == "10.244.1.2 dev veth1"


ROUTES = st.sets(
    st.builds(
        Route,
        st.integers(0, 20).map(lambda n: f"10.244.{n}.0/24"),
        via=st.integers(1, 3).map(lambda n: f"172.18.0.{n}"),
    )
)


@given(ROUTES, ROUTES)
def test_mends_lead_from_any_state_to_the_expected_one(expected: set[Route], seen: set[Route]) -> None:
    state = {str(route): route for route in seen}
    for call in mends(expected, seen):
        route = Route(call.argv[3], via=call.argv[5])
        if call.argv[2] == "delete":
            del state[str(route)]
        else:
            state[str(route)] = route
    assert set(state.values()) == expected
