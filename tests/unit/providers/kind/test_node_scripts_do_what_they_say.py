"""The scripts that run inside a node, run in namespaces of their own with the real ip and iptables."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from kubewire.providers.kind.node import FIND_POD, LOOK, REPAIR
from kubewire.providers.kind.repair import wanted
from repository import ROOT

POD_NETWORK = ROOT / "src/kubewire/providers/kind/image/files/kind/bin/pod-network"
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "ip", "iptables"))),
    reason="needs root and the node's tools",
)

# A node with one pod, as ptp leaves it, and the way to a second node.
NODE = """
mount -t tmpfs none /run && ip link set lo up
ip link add eth0 type dummy 2>/dev/null || ip link add eth0 type bridge
ip addr add 172.18.0.2/16 dev eth0 && ip link set eth0 up
ip netns add cni-1 && ip netns add cni-empty
ip link add veth1 type veth peer name eth0 netns cni-1
ip -n cni-1 addr add 10.244.1.5/24 dev eth0 && ip -n cni-1 link set eth0 up && ip link set veth1 up
ip addr add 10.244.1.1/32 dev veth1 && ip -n cni-1 route add default via 10.244.1.1
ip route add 10.244.1.5 dev veth1 scope host
ip route add 10.244.2.0/24 via 172.18.0.3
"""


def in_node(*steps: str, **variables: str) -> str:
    """What the steps print, one after another, in a node of their own."""
    done = subprocess.run(
        ["unshare", "-n", "-m", "-p", "-f", "--kill-child", "sh", "-ec", "\n".join([NODE, *steps])],
        capture_output=True,
        text=True,
        env=os.environ | variables,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def call(script: str, *arguments: str) -> str:
    quoted = script.replace("'", "'\\''")
    return " ".join([f"sh -c '{quoted}' kubewire", *arguments])


def test_a_pod_is_found_by_its_address() -> None:
    assert in_node(call(FIND_POD, "10.244.1.5")) == "cni-1\n"
    assert in_node(call(FIND_POD, "10.244.1.50") + " || echo none") == "none\n"


def test_routes_that_are_right_are_left_alone() -> None:
    assert in_node(call(REPAIR, "10.244.2.0/24=172.18.0.3")) == ""


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("ip route del 10.244.1.5", "route 10.244.1.5 dev veth1 put back"),
        ("ip route del 10.244.2.0/24", "route 10.244.2.0/24 via 172.18.0.3 put back"),
        ("ip route replace 10.244.2.0/24 via 172.18.0.9", "route 10.244.2.0/24 via 172.18.0.3 put back"),
        ("ip route replace blackhole 10.244.1.5", "route 10.244.1.5 dev veth1 put back"),
    ],
)
def test_routes_that_are_wrong_are_put_back_and_named(damage: str, told: str) -> None:
    repair = call(REPAIR, "10.244.2.0/24=172.18.0.3")
    out = in_node(damage, repair, "echo --", repair, "ip route").split("--\n")
    assert out[0] == f"{told}\n"
    assert "10.244.1.5 dev veth1" in out[1]
    assert "10.244.2.0/24 via 172.18.0.3 dev eth0" in out[1]
    assert "put back" not in out[1]


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (
            "ip addr del 10.244.1.1/32 dev veth1",
            "address 10.244.1.1 of veth1 put back\nroute 10.244.1.5 dev veth1 put back\n",
        ),
        ("ip link set veth1 down", "veth veth1 set up again\n"),
    ],
)
def test_a_pods_gateway_and_link_are_put_back_and_only_then_named(damage: str, told: str) -> None:
    look = call(LOOK, "10.244.2.0/24=172.18.0.3")
    repair = call(REPAIR, "10.244.2.0/24=172.18.0.3")
    out = in_node(damage, look, "echo --", repair, "echo --", repair, "ip addr show veth1").split("--\n")
    assert out[:2] == [told, told]
    assert "put back" not in out[2]
    assert "again" not in out[2]
    assert "inet 10.244.1.1/32" in out[2]
    assert ",UP" in out[2]


def test_routes_are_wanted_to_every_other_node_by_family() -> None:
    def node(name: str, cidrs: list[str], *ips: str) -> dict[str, object]:
        addresses = [{"type": "InternalIP", "address": ip} for ip in ips]
        status = {"addresses": [{"type": "Hostname", "address": name}, *addresses]}
        return {"metadata": {"name": name}, "spec": {"podCIDRs": cidrs}, "status": status}

    nodes = [
        node("a", ["10.244.0.0/24"], "172.18.0.2"),
        node("b", ["10.244.1.0/24", "fd00:10:244:1::/64"], "172.18.0.3", "fc00::3"),
        {"metadata": {"name": "c"}, "status": {}, "spec": {}},
    ]
    assert wanted(nodes, "a") == ["10.244.1.0/24=172.18.0.3", "fd00:10:244:1::/64=fc00::3"]
    assert wanted(nodes, "b") == ["10.244.0.0/24=172.18.0.2"]


def test_pod_network_configures_its_node_and_reaches_the_others(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    kubectl = tools / "kubectl"
    kubectl.write_text(
        "#!/bin/sh\nprintf 'me|172.18.0.2 |10.244.1.0/24 \\nyou|172.18.0.4 |10.244.3.0/24 \\nnew||\\n'\n"
    )
    kubectl.chmod(0o755)
    (tmp_path / "account").mkdir()
    (tmp_path / "account" / "token").write_text("t")
    script = (
        POD_NETWORK.read_text()
        .replace("/var/run/secrets/kubernetes.io/serviceaccount", str(tmp_path / "account"))
        .replace("/etc/cni/net.d", str(tmp_path))
    )
    (tmp_path / "pod-network").write_text(script)
    run = f"sh {tmp_path}/pod-network"
    out = in_node(
        run,
        run,
        "ip route",
        "iptables-save -t nat",
        PATH=f"{tools}:{os.environ['PATH']}",
        CONTROL_PLANE_ENDPOINT="x:6443",
        POD_SUBNET="10.244.0.0/16",
        NODE_NAME="me",
    )
    assert "10.244.3.0/24 via 172.18.0.4 dev eth0" in out
    assert out.count("-j KIND-MASQ-AGENT") == 1
    rules = [line for line in out.splitlines() if line.startswith("-A KIND-MASQ-AGENT")]
    assert [rule.rpartition(" ")[2] for rule in rules] == ["RETURN", "MASQUERADE"]
    config = json.loads((tmp_path / "10-kindnet.conflist").read_text())
    ptp, portmap = config["plugins"]
    assert ptp["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    assert portmap["type"] == "portmap"
