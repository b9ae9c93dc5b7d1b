"""`make lab-iptables` as the article walks through it: chains by hand, damage found and mended, drift."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Kubewire, pods

from kubewire.app.steps.outcome import WOULD
from kubewire.core.paths import cache_dir
from waiting import DEADLINE

pytestmark = pytest.mark.e2e
LAB = "iptables"
SVC = "KUBE-SVC-FREKB6WNWYJLKTHC"


def hint(lab: Kubewire, *named: str, announced: list[str] | None = None) -> None:
    """`up` repairs what `announced` says, naming each of `named`; then there is nothing to find or to do."""
    outcome = lab.ok("up", LAB)
    for text in named:
        assert text in outcome.text
    if announced is not None:
        assert changes(outcome.text) == announced
    assert lab.ok("verify", LAB).code == 0
    assert "changed=0" in lab.ok("up", LAB).text


def changes(text: str) -> list[str]:
    """The lines of `up` about what it changed, or with --check would change."""
    return [line.replace(WOULD, "", 1) for line in re.findall(rf"^      ({LAB}\S*: .*)$", text, re.M)]


def rules(lab: Kubewire, node: str, table: str = "nat") -> list[str]:
    return lab.node(LAB, node, "iptables-save", "-t", table).splitlines()


def rule(lab: Kubewire, node: str, text: str) -> list[str]:
    """The first saved rule that holds `text`, as the words of an iptables command (CHAIN, spec…)."""
    saved = next(line for line in rules(lab, node) if text in line and line.startswith("-A"))
    return shlex.split(saved)[1:]


def test_the_articles_chain_is_shown(lab: Kubewire) -> None:
    listing = lab.node(LAB, "worker", "iptables", "-t", "nat", "-L", SVC)
    assert re.search(r"KUBE-MARK-MASQ +tcp +-- +!10\.244\.0\.0/16 ", listing)
    assert len(re.findall(r"^KUBE-SEP-", listing, re.M)) == 4
    assert re.findall(r"probability (\S+)", listing) == ["0.25000000000", "0.33333333349", "0.50000000000"]
    assert "or 0x4000" in lab.node(LAB, "worker", "iptables", "-t", "nat", "-L", "KUBE-MARK-MASQ")


def test_every_node_is_judged_and_the_story_told(lab: Kubewire) -> None:
    code, report = lab.report(LAB)
    assert code == 0
    assert report["status"] == "passed"
    assert [node["name"] for node in report["nodes"]] == [
        "iptables-control-plane",
        "iptables-worker",
        "iptables-worker2",
    ]
    for node in report["nodes"]:
        seen = {check["id"] for check in report["checks"] if check["node"] == node["name"]}
        assert {"iptables.table", "iptables.service.probability", "route.pod-cidr"} <= seen
    keys = [(c["id"], c["node"], c["service"], c["object"], c["family"]) for c in report["checks"]]
    assert len(keys) == len(set(keys))
    assert {c["id"] for c in report["checks"] if c["id"].startswith("traffic.") and c["status"] == "passed"}


def test_a_second_up_changes_nothing(lab: Kubewire) -> None:
    assert "changed=0" in lab.ok("up", LAB).text


def delete_rule(lab: Kubewire) -> tuple[str, ...]:
    lab.node(LAB, "worker", "iptables", "-w", "-t", "nat", "-D", *rule(lab, "worker", "-j DNAT"))
    return ("iptables-worker", "DNAT")


def change_probability(lab: Kubewire) -> tuple[str, ...]:
    words = rule(lab, "worker2", "0.25000000000")
    words[words.index("0.25000000000")] = "0.75"
    lab.node(LAB, "worker2", "iptables", "-w", "-t", "nat", "-R", SVC, "2", *words[1:])
    return ("iptables-worker2", "default/httpbin", SVC, "0.25000000000", "0.75000000000")


def stray_dnat(lab: Kubewire) -> tuple[str, ...]:
    vip = lab.node(LAB, "worker", "iptables-save", "-t", "nat")
    address = re.search(r"-d (\S+)/32 .*httpbin:http cluster IP", vip)
    assert address
    stray = ("-d", address[1], "-p", "tcp", "--dport", "8000", "-j", "DNAT", "--to-destination", "10.9.9.9:1")
    lab.node(LAB, "worker", "iptables", "-w", "-t", "nat", "-I", "PREROUTING", *stray)
    return ("iptables-worker", "10.9.9.9:1")


def delete_chain_jump(lab: Kubewire) -> tuple[str, ...]:
    lab.node(LAB, "control-plane", "iptables", "-w", "-t", "nat", "-F", "KUBE-POSTROUTING")
    return ("iptables-control-plane", "KUBE-POSTROUTING", "MASQUERADE")


def delete_pod_route(lab: Kubewire) -> tuple[str, ...]:
    route = next(
        line
        for line in lab.node(LAB, "worker", "ip", "-4", "route").splitlines()
        if " dev veth" in line and "via" not in line
    )
    lab.node(LAB, "worker", "ip", "route", "del", *route.split()[:3])
    return ("iptables-worker", route.split()[0])


def delete_cidr_route(lab: Kubewire) -> tuple[str, ...]:
    route = next(
        line for line in lab.node(LAB, "worker", "ip", "-4", "route").splitlines() if "10.244.2.0/24" in line
    )
    lab.node(LAB, "worker", "ip", "route", "del", route.split()[0])
    return ("iptables-worker", "10.244.2.0/24")


DAMAGES = (
    delete_rule,
    change_probability,
    stray_dnat,
    delete_chain_jump,
    delete_pod_route,
    delete_cidr_route,
)


def test_all_damage_at_once_is_found_announced_and_mended(lab: Kubewire) -> None:
    named = [text for damage in DAMAGES for text in damage(lab)]
    outcome = lab.run("verify", LAB)
    assert outcome.code == 1, outcome.text
    assert [text for text in named if text not in outcome.text] == []
    announced = changes(lab.ok("up", LAB, "--check").text)
    assert announced
    hint(lab, announced=announced)


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_by_hand_is_found_named_and_mended(
    lab: Kubewire, damage: Callable[[Kubewire], tuple[str, ...]]
) -> None:
    named = damage(lab)
    outcome = lab.run("verify", LAB)
    assert outcome.code == 1, outcome.text
    for text in named:
        assert text in outcome.text
    announced = changes(lab.ok("up", LAB, "--check").text)
    assert announced
    hint(lab, named[0], announced=announced)


def test_a_stopped_kube_proxy_is_started_again(lab: Kubewire) -> None:
    pids = lab.node(LAB, "worker", "pgrep", "-f", "hostname-override=iptables-worker$|kube-proxy").split()
    node = lab.node(LAB, "worker", "readlink", "/proc/self/ns/net").strip()
    mine = [p for p in pids if lab.node(LAB, "worker", "readlink", f"/proc/{p}/ns/net").strip() == node]
    lab.node(LAB, "worker", "kill", "-STOP", mine[0])
    hint(lab, "iptables-worker", "kube-proxy")


@pytest.mark.slow
def test_a_killed_kube_proxy_is_named(lab: Kubewire) -> None:
    lab.node(LAB, "worker2", "pkill", "-KILL", "kube-proxy")
    hint(lab, "iptables-worker2", "kube-proxy")


def kubectl(lab: Kubewire, *argv: str) -> str:
    """The real kubectl, with the kubeconfig that a user is told of."""
    binary = sorted(cache_dir().glob("bin/v*/kubectl"))[-1]
    config = lab.ok("kubeconfig", LAB).out.strip()
    return subprocess.run(
        [binary, "--kubeconfig", config, *argv], capture_output=True, text=True, check=True, timeout=DEADLINE
    ).stdout


@pytest.mark.slow
def test_scaling_is_followed_and_taken_back(lab: Kubewire) -> None:
    kubectl(lab, "scale", "deployment", "httpbin", "--replicas=2")
    assert lab.ok("verify", LAB).code == 0
    code, report = lab.report(LAB)
    assert code == 0
    dnats = {c["object"] for c in report["checks"] if c["id"] == "iptables.endpoint.dnat"}
    assert len(dnats) == 3, "two of httpbin, one of the apiserver"
    assert len(pods(kubectl(lab, "get", "pods", "-o", "json"))) == 2
    hint(lab, "2 → 4")
    assert len(pods(kubectl(lab, "get", "pods", "-o", "json"))) == 4


@pytest.mark.slow
def test_a_deleted_deployment_comes_back(lab: Kubewire) -> None:
    kubectl(lab, "delete", "deployment", "httpbin")
    hint(lab, "Deployment default/httpbin")


def test_pods_behave_as_on_kind(lab: Kubewire) -> None:
    wide = kubectl(lab, "get", "pods", "-o", "wide")
    assert len(re.findall(r"1/1 +Running", wide)) == 4
    assert set(re.findall(r"10\.244\.(\d)\.\d+", wide)) == {"1", "2"}
    kubectl(lab, "rollout", "restart", "deployment/httpbin")
    assert "successfully rolled out" in kubectl(
        lab, "rollout", "status", "deployment/httpbin", "--timeout=300s"
    )
    name = pods(kubectl(lab, "get", "pods", "-o", "json"))[0]["metadata"]["name"]
    assert "gunicorn" in kubectl(lab, "logs", name)
    kubectl(lab, "delete", "pod", name)
    kubectl(lab, "rollout", "status", "deployment/httpbin", "--timeout=300s")
    assert lab.ok("verify", LAB).code == 0


def test_pods_are_not_root(lab: Kubewire) -> None:
    servers = lab.privileges(LAB, "worker")
    assert len(servers) >= 4
    assert all(uid >= 100_000 and int(held, 16) == 0 and bound == "1" for uid, held, bound in servers), (
        servers
    )


def test_an_empty_or_cut_dump_never_verifies_green(lab: Kubewire, tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    lab.ok("snapshot", LAB, str(folder))
    assert lab.run("verify", "--snapshot", str(folder)).code == 0
    dump = folder / "nodes" / "iptables-worker" / "iptables-save.txt"
    whole = dump.read_text()
    for broken in ("", whole[: len(whole) // 2], whole.replace("COMMIT\n", "", 1), "\n"):
        dump.write_text(broken)
        outcome = lab.run("verify", "--snapshot", str(folder), "--format", "json")
        assert outcome.code == 1, (len(broken), outcome.text)
        assert json.loads(outcome.out)["status"] == "failed"
    dump.unlink()
    assert lab.run("verify", "--snapshot", str(folder)).code == 1
