"""Labs on real kind, on a real Docker engine: brought up, judged, damaged, mended, removed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import Kubewire, pods
from on_kind import docker, embedded_ids, engine_picture, ids_of_own_services, kept_files

from waiting import DEADLINE

pytestmark = [pytest.mark.kind, pytest.mark.slow]
NODES = ("control-plane", "worker", "worker2")


@dataclass(frozen=True)
class OnKind:
    """A lab of labs/ that is up on kind: its name is its mode."""

    kubewire: Kubewire
    name: str

    def ok(self, command: str, *argv: str) -> str:
        return self.kubewire.ok(command, self.name, *argv).text

    def verify(self) -> int:
        return self.kubewire.run("verify", self.name).code

    def node(self, node: str, *argv: str) -> str:
        return self.kubewire.node(self.name, node, *argv)

    def kubectl(self, *argv: str) -> str:
        binary = sorted(Path.home().glob(".cache/kubewire/bin/v1.3*/kubectl"))[-1]
        config = self.kubewire.ok("kubeconfig", self.name).out.strip()
        assert Path(config).stat().st_mode & 0o777 == 0o600
        return subprocess.run(
            [binary, "--kubeconfig", config, *argv],
            capture_output=True,
            text=True,
            check=True,
            timeout=DEADLINE,
        ).stdout


@pytest.fixture(scope="module", params=[pytest.param("iptables", marks=pytest.mark.sample), "nftables"])
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnKind]:
    """The lab, up and proven in one run as `make lab-NAME PROVIDER=kind` does; afterwards nothing is left."""
    before = engine_picture()
    command = Kubewire(tmp_path_factory.mktemp("state"))
    try:
        first = command.ok("up", request.param, "--provider", "kind", "--verify")
        assert first.err.startswith("kind: asked for; its nodes run kubewire/node:v1.37.2\n")
        yield OnKind(command, request.param)
    finally:
        command.run("down", request.param)
        command.run("gc")
    assert engine_picture() == before
    assert kept_files(command) == []


def test_the_same_is_checked_as_on_the_embedded_provider(
    lab: OnKind, tmp_path_factory: pytest.TempPathFactory
) -> None:
    code, report = lab.kubewire.report(lab.name)
    assert code == 0, [c for c in report["checks"] if c["status"] == "failed"]
    assert [node["name"] for node in report["nodes"]] == [f"{lab.name}-{node}" for node in NODES]
    assert (report["provider"], report["mode"]) == ("kind", lab.name)
    assert ids_of_own_services(report) == embedded_ids(tmp_path_factory.mktemp("embedded"), lab.name)
    (tools,) = (note for note in report["notes"] if "tools: " in note)
    assert re.fullmatch(r"3 of 3 nodes: tools: ipset v\S+, iptables v.+, ipvsadm .+, nftables v.+", tools)


def test_a_second_up_changes_nothing(lab: OnKind) -> None:
    assert "changed=0" in lab.ok("up")


def test_dns_answers_with_all_its_replicas(lab: OnKind) -> None:
    status = lab.kubectl("get", "-n", "kube-system", "deployment/coredns", "-o", "jsonpath={.status}")
    assert '"readyReplicas":2' in status


def test_tools_run_in_every_node(lab: OnKind) -> None:
    for node in NODES:
        assert "ipset v" in lab.node(node, "ipset", "--version")
        ipvsadm = lab.kubewire.run("exec", lab.name, node, "--", "ipvsadm", "-L", "-n")
        if Path("/proc/net/ip_vs").exists():
            assert "IP Virtual Server version" in ipvsadm.out
        else:  # it runs, and says what the kernel lacks
            assert "Can't initialize ipvs" in ipvsadm.text


def test_the_articles_own_commands_show_its_chain(lab: OnKind) -> None:
    listing = docker("exec", f"{lab.name}-worker", "iptables", "-L", "-t", "nat")
    chain = listing.partition("Chain KUBE-SVC-FREKB6WNWYJLKTHC")[2].partition("\n\n")[0]
    if lab.name == "iptables":
        assert re.findall(r"probability (\S+)", chain) == ["0.25000000000", "0.33333333349", "0.50000000000"]
    else:
        assert chain == ""


def damage(lab: OnKind) -> str:
    """What the report must name."""
    if lab.name == "iptables":
        rules = lab.node("worker", "iptables-save", "-t", "nat").splitlines()
        dnat = next(line for line in rules if "-j DNAT" in line and "httpbin" in line)
        lab.node("worker", "iptables", "-w", "-t", "nat", "-D", *shlex.split(dnat)[1:])
        return "httpbin"
    lab.node("worker", "nft", "flush", "map", "ip", "kube-proxy", "service-ips")
    return "map ip kube-proxy service-ips is empty"


def test_httpbin_is_on_every_worker(lab: OnKind) -> None:
    """Also right after the first `up`: a student looks for pod routes on any of them."""
    for node in ("worker", "worker2"):
        assert " dev veth" in lab.node(node, "ip", "-4", "route")


def test_damage_is_found_named_and_mended(lab: OnKind) -> None:
    named = damage(lab)
    found = lab.kubewire.run("verify", lab.name)
    assert found.code == 1, found.text
    assert f"{lab.name}-worker" in found.text
    assert named in found.text
    assert f"{lab.name}-worker: restarted kube-proxy" in lab.ok("up")
    assert lab.verify() == 0
    assert "changed=0" in lab.ok("up")


def test_lost_routes_are_put_back(lab: OnKind) -> None:
    routes = lab.node("worker", "ip", "-4", "route").splitlines()
    pod = next(line.split()[0] for line in routes if " dev veth" in line)
    cidr = next(line.split()[0] for line in routes if line.startswith("10.244.") and " via " in line)
    for lost in (pod, cidr):
        lab.node("worker", "ip", "route", "del", lost)
    found = lab.kubewire.run("verify", lab.name)
    assert found.code == 1
    for lost in (pod, cidr):
        assert lost in found.text
    assert "put back" in lab.ok("up")
    assert lab.verify() == 0


POD = "$(ip -o link | sed -n 's/^[0-9]*: \\(veth[^@]*\\)@.*/\\1/p' | head -n 1)"
GATEWAY = f"$(ip -o -4 address show dev {POD} | sed -n 's/.* inet \\([0-9.]*\\).*/\\1/p')/32"
JUMP = "iptables -t nat -S POSTROUTING | grep KIND-MASQ-AGENT | sed 's/^-A/iptables -t nat -D/'"
LOST = {
    "masquerading": ("worker", f'iptables -t nat -F KIND-MASQ-AGENT; eval "$({JUMP})"', {"node.masquerade"}),
    "forwarding and the way out": (
        "worker",
        "sysctl -qw net.ipv4.ip_forward=0; ip route del default",
        {"kernel.sysctl", "node.route"},
    ),
    "a pod's gateway": (
        "worker",
        f"veth={POD}; address={GATEWAY}; route=$(ip route show dev $veth); "
        "ip address del $address dev $veth; ip route replace $route dev $veth",
        {"node.address"},
    ),
    "the way to the apiserver": ("control-plane", "ip link set eth0 down", set()),
    "the link, which only Docker can make": ("worker2", "ip link del eth0", {"node.link"}),
}
CHANGE = re.compile(r"^      (\S+: .*)$", re.M)


@pytest.mark.parametrize("what", LOST)
def test_what_was_written_on_a_node_is_named_announced_and_put_back(lab: OnKind, what: str) -> None:
    node, damage, ids = LOST[what]
    lab.node(node, "sh", "-c", damage)
    if ids:
        report = json.loads(lab.kubewire.run("verify", lab.name, "--format", "json").out)
        leads = [c for c in report["checks"] if c["status"] == "failed" and not c.get("cause")]
        assert ids <= {c["id"] for c in leads if c["node"] == f"{lab.name}-{node}"}, leads
        announced = CHANGE.findall(lab.ok("up", "--check"))
    done = CHANGE.findall(lab.ok("up"))
    assert done
    assert not ids or [line.replace("would be done: ", "") for line in announced] == done
    assert "changed=0" in lab.ok("up")
    assert lab.verify() == 0


def test_scaling_is_followed_and_taken_back(lab: OnKind) -> None:
    lab.kubectl("scale", "deployment", "httpbin", "--replicas=2")
    lab.kubectl("rollout", "status", "deployment/httpbin", "--timeout=300s")
    assert lab.verify() == 0
    assert "2 → 4" in lab.ok("up")
    assert len(pods(lab.kubectl("get", "pods", "-o", "json"))) == 4


def test_a_stopped_node_is_named_and_started(lab: OnKind) -> None:
    docker("stop", "-t", "2", f"{lab.name}-worker2")
    found = lab.kubewire.run("verify", lab.name)
    assert found.code in (1, 4)
    assert f"{lab.name}-worker2" in found.text
    assert "the node does not answer" in found.text
    assert f"{lab.name}-worker2 is exited" in lab.kubewire.run("status", lab.name).text
    assert f"{lab.name}-worker2: node container started" in lab.ok("up")
    assert lab.verify() == 0


def test_what_kind_cannot_change_is_refused_or_made_afresh(lab: OnKind) -> None:
    outcome = lab.kubewire.run("up", lab.name, "--set", "nodes.workers=0")
    assert outcome.code == 2
    assert "--recreate" in outcome.text
    assert "nodes.workers: 2 → 0" in outcome.text
    if lab.name == "nftables":  # once is enough
        lab.ok("up", "--set", "nodes.workers=0", "--recreate", "--verify")
        assert docker("ps", "--format", "{{.Names}}").split() == ["nftables-control-plane"]
