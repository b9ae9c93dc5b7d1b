"""What Docker, kind and its pod network write on a node: declared from the engine's own words, right on labs
recorded on real kind, and put back by the commands that it lacks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from kubewire.core.processes import Outcome
from kubewire.core.serialization import encode
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import NODE_NETWORK, NodeSnapshot, Snapshot
from kubewire.dataplane.node_network import NodeNetwork, check_node_networks
from kubewire.lab.schema import Lab
from kubewire.providers import node_network
from kubewire.providers.base import Change
from kubewire.providers.kind.node_network import declared, hint
from kubewire.providers.kind.records import NodeContainer, node_of
from kubewire.providers.kind.state import ClusterState
from recorded import load
from repository import GOLDEN

OURS, KINDNETD = "docker.io/kubewire/empty:1", "docker.io/kindest/kindnetd:v20230511-dc714da8"
RECORDED = {mode: load(GOLDEN / "kind" / mode) for mode in ("iptables", "nftables")}
LAB = Lab.model_validate({"name": "demo", "mode": "iptables"})
DUAL = Lab.model_validate(
    {
        "name": "demo",
        "mode": "iptables",
        "ipFamily": "dual",
        "podSubnet": ["10.244.0.0/16", "fd00:10:244::/56"],
        "serviceSubnet": ["10.96.0.0/16", "fd00:10:96::/112"],
    }
)
ENDPOINT = {
    "IPAddress": "172.20.0.2",
    "IPPrefixLen": 16,
    "Gateway": "172.20.0.1",
    "GlobalIPv6Address": "fc00:f853:ccd:e793::2",
    "GlobalIPv6PrefixLen": 64,
    "IPv6Gateway": "fc00:f853:ccd:e793::1",
}


def state(pod_network: str = OURS) -> ClusterState:
    return ClusterState("demo", "v1.37.2", "image", (), {}, True, pod_network=pod_network)


def container(name: str, **networks: Any) -> NodeContainer:
    """As the engine tells it of a node that is in these networks."""
    return node_of(
        {
            "Name": f"/{name}",
            "Id": "0",
            "Image": "image",
            "Config": {"Labels": {"io.x-k8s.kind.role": "worker"}},
            "State": {"Status": "running"},
            "NetworkSettings": {"Networks": networks},
        }
    )


def recorded_container(node: NodeSnapshot) -> NodeContainer:
    """With the addresses that the node had when it was recorded."""
    links = json.loads(node.files["ip-addr.json"])
    four, six, _ = next(link for link in links if link.get("ifname") == "eth0")["addr_info"]
    ways = [
        route["gateway"] for route in json.loads(node.files["ip-route.json"]) if route["dst"] == "default"
    ]
    endpoint = {
        "IPAddress": four["local"],
        "IPPrefixLen": four["prefixlen"],
        "Gateway": ways[0],
        "GlobalIPv6Address": six["local"],
        "GlobalIPv6PrefixLen": six["prefixlen"],
        "IPv6Gateway": ways[1],
    }
    return container(node.name, kind=endpoint)


def checks(
    mode: str = "iptables",
    pod_network: str = OURS,
    change: Callable[[dict[str, str]], dict[str, str]] = lambda files: {},
) -> list[Check]:
    """Of a recorded lab, with what is declared for it, and with changed files on each node."""
    snapshot = RECORDED[mode]
    networks = declared(LAB, state(pod_network), [recorded_container(node) for node in snapshot.nodes])
    nodes = tuple(
        replace(
            node,
            files={**node.files, NODE_NETWORK: encode(networks[node.name]).decode(), **change(node.files)},
        )
        for node in snapshot.nodes
    )
    return check_node_networks(Snapshot(snapshot.cluster, nodes))


def lost(file: str, *words: str) -> Callable[[dict[str, str]], dict[str, str]]:
    """Without the lines of an iptables-save dump that have all of these words."""

    def change(files: dict[str, str]) -> dict[str, str]:
        kept = [line for line in files[file].splitlines() if not all(word in line for word in words)]
        return {file: "\n".join(kept)}

    return change


def moved_behind(files: dict[str, str]) -> dict[str, str]:
    """The exemption of pods deleted, and appended by kindnetd a minute later."""
    lines = files["iptables-save.txt"].splitlines()
    rule = next(line for line in lines if line.startswith("-A KIND-MASQ-AGENT -d"))
    lines.remove(rule)
    last = next(index for index, line in enumerate(lines) if line.startswith("-A KIND-MASQ-AGENT "))
    return {"iptables-save.txt": "\n".join([*lines[: last + 1], rule, *lines[last + 1 :]])}


def without_default_route(files: dict[str, str]) -> dict[str, str]:
    routes = [route for route in json.loads(files["ip-route.json"]) if route["dst"] != "default"]
    return {"ip-route.json": json.dumps(routes)}


def without_gateways(files: dict[str, str]) -> dict[str, str]:
    links = [
        {**link, "addr_info": []} if str(link.get("ifname")).startswith("veth") else link
        for link in json.loads(files["ip-addr.json"])
    ]
    return {"ip-addr.json": json.dumps(links)}


@pytest.mark.parametrize("pod_network", [OURS, KINDNETD])
@pytest.mark.parametrize("mode", RECORDED)
def test_a_lab_recorded_on_real_kind_is_as_declared(mode: str, pod_network: str) -> None:
    found = checks(mode, pod_network)
    assert [(check.status, check.id, check.object) for check in found if check.status != "passed"] == []
    assert {check.id for check in found} == {
        f"node.{kind}" for kind in ("link", "address", "route", "sysctl", "masquerade")
    }


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (
            lost("iptables-save.txt", "-A KIND-MASQ-AGENT", "MASQUERADE"),
            {("node.masquerade", "iptables nat KIND-MASQ-AGENT")},
        ),
        (moved_behind, {("node.masquerade", "iptables nat KIND-MASQ-AGENT")}),
        (
            lost("iptables-save.txt", "-A POSTROUTING", "KIND-MASQ-AGENT"),
            {("node.masquerade", "iptables nat POSTROUTING -j KIND-MASQ-AGENT")},
        ),
        (without_default_route, {("node.route", "default via 172.20.0.1")}),
        (
            lambda files: {"facts.json": files["facts.json"].replace('ip_forward": "1', 'ip_forward": "0')},
            {("node.sysctl", "net.ipv4.ip_forward")},
        ),
    ],
)
def test_what_is_lost_is_named_and_nothing_else(
    change: Callable[[dict[str, str]], dict[str, str]], named: set[tuple[str, str]]
) -> None:
    failed = [check for check in checks(change=change) if check.status == "failed"]
    assert {(check.id, check.object) for check in failed} == named
    assert len(failed) == 3, "on each node"


def test_lost_gateways_of_pods_are_named() -> None:
    failed = [check for check in checks(change=without_gateways) if check.status == "failed"]
    assert {check.id for check in failed} == {"node.address"}
    assert all("10.244." in check.expected for check in failed)


@pytest.mark.parametrize(
    ("pod_network", "why"),
    [
        ("ghcr.io/aojea/kindnetd:v1.8.0", "ghcr.io/aojea/kindnetd:v1.8.0 writes isn't known"),
        ("", "--recreate"),
    ],
)
def test_an_unknown_pod_network_is_skipped_with_the_reason(pod_network: str, why: str) -> None:
    found = checks(pod_network=pod_network, change=without_gateways)
    assert [check for check in found if check.status == "failed"] == []
    skipped = [check for check in found if check.status == "skipped"]
    assert {(check.id, check.object) for check in skipped} == {("node.network", "pod network")}
    assert all(why in check.reason for check in skipped)
    assert not [check for check in found if check.id == "node.masquerade"]


def test_both_families_are_declared_where_the_lab_has_them() -> None:
    network = declared(DUAL, state(), [container("demo-worker", kind=ENDPOINT)])["demo-worker"]
    assert network.addresses == {"eth0": ("172.20.0.2/16", "fc00:f853:ccd:e793::2/64")}
    assert network.routes == (
        "172.20.0.0/16 dev eth0",
        "fc00:f853:ccd:e793::/64 dev eth0",
        "default via 172.20.0.1",
        "default via fc00:f853:ccd:e793::1",
    )
    assert network.sysctls["net.ipv6.conf.all.forwarding"] == "1"
    assert [chain.family for chain in network.masquerade] == ["ipv4", "ipv6"]
    single = declared(LAB, state(), [container("demo-worker", kind=ENDPOINT)])["demo-worker"]
    assert not [text for text in (*single.routes, *single.sysctls) if "::" in text or "ipv6" in text]


def test_of_a_node_in_further_networks_no_address_is_declared() -> None:
    node = container("demo-worker", kind=ENDPOINT, another=ENDPOINT)
    assert node.ips == ("172.20.0.2", "fc00:f853:ccd:e793::2")
    network = declared(LAB, state(), [node])["demo-worker"]
    assert (network.links, network.addresses, network.routes) == (("lo", "eth0"), {"eth0": ()}, ())


class Node:
    """A stand-in for `docker exec`: answers the look, and keeps what else is run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, link: bool = True) -> None:
        self.ran: list[tuple[list[str], bytes]] = []
        eth0 = {"ifname": "eth0", "flags": ["UP"], "addr_info": [{"local": "172.20.0.2", "prefixlen": 16}]}
        self.links = [{"ifname": "lo", "flags": ["UP"]}, *([eth0] if link else [])]
        self.code = 0
        monkeypatch.setattr(node_network, "run", self.run)

    def run(self, argv: list[str], *, timeout: float, data: bytes = b"") -> Outcome:
        if "sh" not in argv:
            self.ran.append((argv[4:], data))
            return Outcome(0)
        mark = argv[argv.index("kubewire") + 1]
        route = {"dst": "172.20.0.0/16", "dev": "eth0"}
        sections = [self.links, [route], [], "net.ipv4.ip_forward = 1", "*nat\nCOMMIT", ""]
        texts = [section if isinstance(section, str) else json.dumps(section) for section in sections]
        return Outcome(self.code, "".join(f"{text}\n{mark}\n" for text in texts).encode(), b"it is gone")


class Engine:
    def __init__(self) -> None:
        self.restarted: list[str] = []

    def restart(self, node: NodeContainer) -> None:
        self.restarted.append(node.name)


@pytest.mark.parametrize("check", [True, False])
def test_what_is_missing_is_put_back_and_with_check_only_told(
    check: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, nodes = Node(monkeypatch), [container("demo-worker", kind=ENDPOINT)]
    changes = hint(LAB, state(), Engine(), nodes, check=check)  # type: ignore[arg-type]
    assert [change.what for change in changes] == [
        "route default via 172.20.0.1 put back",
        "iptables: the rules of chain KIND-MASQ-AGENT put back; "
        "the jump from POSTROUTING to KIND-MASQ-AGENT put back",
    ]
    assert [argv[0] for argv, _ in node.ran] == ([] if check else ["ip", "iptables-restore"])
    assert check or b"-A KIND-MASQ-AGENT -d 10.244.0.0/16" in node.ran[1][1]


@pytest.mark.parametrize("check", [True, False])
def test_a_node_without_its_link_is_restarted(check: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    Node(monkeypatch, link=False)
    engine = Engine()
    changes = hint(LAB, state(), engine, [container("demo-worker", kind=ENDPOINT)], check=check)  # type: ignore[arg-type]
    why = "its link eth0 was deleted"
    assert changes == [Change("demo-worker", "node container restarted", why, afresh=True)]
    assert engine.restarted == ([] if check else ["demo-worker"])


def test_a_node_that_does_not_answer_is_an_error_and_not_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    Node(monkeypatch).code = 1
    with pytest.raises(Exception, match="can't be read: it is gone") as caught:
        node_network.look(("docker",), "demo-worker", NodeNetwork())
    assert caught.value.where == "demo-worker"  # type: ignore[attr-defined]
