"""What the provider wrote on a node is deleted: `verify` names it, `up --check` announces exactly what
`up` then puts back, and only after that there is nothing to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import ROOT, Kubewire

from kubewire.core.processes import run
from kubewire.providers.registry import get_provider
from waiting import DEADLINE

pytestmark = pytest.mark.e2e
LAB = "regained"
MASQUERADE = "KIND-MASQ-AGENT"
VETH = "$(ip -o link | sed -n 's/^[0-9]*: \\(veth[^@]*\\)@.*/\\1/p' | head -n 1)"
GATEWAY = f"$(ip -o -4 address show dev {VETH} | sed -n 's/.* inet \\([0-9.]*\\).*/\\1/p')/32"
JUMP = f"iptables -t nat -S POSTROUTING | grep {MASQUERADE} | sed 's/^-A/iptables -t nat -D/'"
CHAIN = "iptables -t nat -S | sed -n 's/^-N \\(CNI-DN-.*\\)/\\1/p'"
DAMAGES = {
    "the rules of the masquerade chain": (f"iptables -t nat -F {MASQUERADE}", "node.masquerade"),
    "the jump to it": (f'eval "$({JUMP})"', "node.masquerade"),
    "a jump too many": (f'eval "$({JUMP} | sed "s/ -D / -A /")"', "node.masquerade"),
    "the default route": ("ip route del default", "node.route"),
    "a route to another node's pods": ("ip route del 10.244.0.0/24", "route.pod-cidr"),
    "the host route of a pod": (f"ip route flush dev {VETH}", "route.pod"),
    "the gateway of a pod": (
        f"veth={VETH}; address={GATEWAY}; route=$(ip route show dev $veth); "
        "ip address del $address dev $veth; ip route replace $route dev $veth",
        "node.address",
    ),
    "the address": ("ip address flush dev eth0", "node.address"),
    "the link": ("ip link set eth0 down", "node.link"),
    "loopback": ("ip link set lo down", "node.link"),
    "forwarding": ("sysctl -qw net.ipv4.ip_forward=0", "kernel.sysctl"),
    "the way to host ports": ("iptables -t nat -F CNI-HOSTPORT-DNAT", "node.host-port"),
    "a rule for a host port": (f'iptables -t nat -D "$({CHAIN})" 1', "node.host-port"),
    "a sysctl without effect": ("sysctl -qw net.ipv6.conf.default.accept_dad=1", "node.sysctl"),
}
QUICK = ("the rules of the masquerade chain", "the default route")
"""One that the node agent puts back, one that the provider does."""
PORT = f"""
apiVersion: v1
kind: Pod
metadata: {{name: port, namespace: default}}
spec:
  nodeName: {LAB}-worker
  terminationGracePeriodSeconds: 1
  containers:
    - name: httpbin
      image: docker.io/kubewire/httpbin:1
      ports: [{{containerPort: 80, hostPort: 8080}}]
"""
CHANGE = re.compile(r"^      (\S+: .*)$", re.M)


@pytest.fixture(scope="module")
def definition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("lab") / f"{LAB}.yml"
    file.write_text((ROOT / "labs" / "iptables.yml").read_text() + "manifests: [port.yml]\n")
    (file.parent / "port.yml").write_text(PORT)
    return file


@pytest.fixture(scope="module")
def command(definition: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubewire]:
    kubewire = Kubewire(tmp_path_factory.mktemp("state"))
    kubewire.ok("up", str(definition))
    yield kubewire
    kubewire.run("down", LAB)


@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=() if what in QUICK else pytest.mark.slow) for what in DAMAGES]
)
def test_it_is_named_announced_and_put_back(command: Kubewire, definition: Path, what: str) -> None:
    damage, check = DAMAGES[what]
    command.node(LAB, "worker", "sh", "-c", damage)
    report = json.loads(command.run("verify", LAB, "--format", "json").out)
    leads = [c for c in report["checks"] if c["status"] == "failed" and not c.get("cause")]
    assert check in {c["id"] for c in leads if c["node"] == f"{LAB}-worker"}, leads
    announced = CHANGE.findall(command.ok("up", str(definition), "--check").text)
    done = CHANGE.findall(command.ok("up", str(definition)).text)
    assert done
    assert [line.replace("would be done: ", "") for line in announced] == done
    assert "nothing to do" in command.ok("up", str(definition)).text
    command.ok("verify", LAB)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param("ip link set veth-1 nomaster", marks=pytest.mark.slow),
        pytest.param("ip link set br0 down", marks=pytest.mark.slow),
        pytest.param("ip address flush dev br0", marks=pytest.mark.slow),
        "ip link del br0; ip link set veth-2 down",
    ],
)
def test_the_bridge_outside_the_nodes_is_announced_and_put_back(
    command: Kubewire, definition: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(command.state))
    outside = get_provider("netns").external_prefix(LAB)
    assert run([*outside, "sh", "-ec", damage], timeout=DEADLINE).code == 0
    announced = CHANGE.findall(command.ok("up", str(definition), "--check").text)
    done = CHANGE.findall(command.ok("up", str(definition)).text)
    assert "br0" in done[0]
    assert [line.replace("would be done: ", "") for line in announced] == done
    assert "nothing to do" in command.ok("up", str(definition)).text
    command.ok("verify", LAB)
