"""The other labs that run, their own kinds of damage, address families and versions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness import Kubewire

pytestmark = pytest.mark.e2e


def test_nftables_a_removed_map_element_is_named_and_mended(kubewire: Kubewire) -> None:
    assert kubewire.ok("up", "nftables", "--verify").code == 0
    listing = kubewire.node("nftables", "worker", "nft", "list", "map", "ip", "kube-proxy", "service-ips")
    found = re.search(r"(\S+ \. tcp \. 8000) : goto (service-\S+)", listing)
    assert found
    table = ("ip", "kube-proxy")
    kubewire.node(
        "nftables", "worker", "nft", "delete", "element", *table, "service-ips", "{", *found[1].split(), "}"
    )
    outcome = kubewire.run("verify", "nftables")
    assert outcome.code == 1
    for text in ("nftables-worker", "default/httpbin", "service-ips", found[1]):
        assert text in outcome.text
    mended = kubewire.ok("up", "nftables", "--verify")
    assert "nftables-worker" in mended.text
    kubewire.node("nftables", "worker2", "nft", "add", "rule", *table, "services", "accept")
    code, report = kubewire.report("nftables")
    assert code == 1
    assert {c["node"] for c in report["checks"] if c["status"] == "failed"} == {"nftables-worker2"}
    kubewire.ok("up", "nftables", "--verify")


def test_nodeport_answers_on_every_node(kubewire: Kubewire) -> None:
    kubewire.ok("up", "nodeport", "--verify")
    code, report = kubewire.report("nodeport")
    assert code == 0
    nodeports = [c for c in report["checks"] if c["id"].startswith("traffic.") and "30080" in c["object"]]
    assert {c["node"] for c in nodeports} >= {"nodeport-control-plane", "nodeport-worker", "nodeport-worker2"}
    assert {c["status"] for c in nodeports} == {"passed"}


def test_no_endpoints_refuses_at_once(kubewire: Kubewire) -> None:
    kubewire.ok("up", "no-endpoints", "--verify")
    code, report = kubewire.report("no-endpoints")
    assert code == 0
    refused = [c for c in report["checks"] if c["id"] == "iptables.no-endpoints"]
    assert all("icmp-port-unreachable" in c["observed"] for c in refused)
    assert len({c["node"] for c in refused}) == 3


@pytest.mark.slow
@pytest.mark.parametrize(("family", "mode"), [("dual", "iptables"), ("ipv6", "nftables")])
def test_every_ip_family(kubewire: Kubewire, tmp_path: Path, family: str, mode: str) -> None:
    lab = tmp_path / "families.yml"
    lab.write_text(f"mode: {mode}\nipFamily: {family}\nhttpbin: {{type: NodePort, replicas: 2}}\n")
    kubewire.ok("up", str(lab), "--verify")
    code, report = kubewire.report(str(lab))
    assert code == 0
    families = {"ipv4", "ipv6"} if family == "dual" else {"ipv6"}
    passed = [c for c in report["checks"] if c["id"].startswith("traffic.") and c["status"] == "passed"]
    assert {c["family"] for c in passed} - {""} == families


@pytest.mark.slow
def test_session_affinity_and_masquerade_all(kubewire: Kubewire, tmp_path: Path) -> None:
    lab = tmp_path / "sticky.yml"
    lab.write_text(
        "mode: iptables\nkubeProxy: {masqueradeAll: true, masqueradeBit: 20}\n"
        "nodes: {controlPlanes: 2, workers: 1}\nhttpbin: {sessionAffinity: ClientIP, replicas: 3}\n"
    )
    kubewire.ok("up", str(lab), "--verify")
    rules = kubewire.node("sticky", "worker", "iptables-save", "-t", "nat")
    assert "--set-xmark 0x100000/0x100000" in rules
    assert rules.count("--rcheck --seconds 10800") == 3


@pytest.mark.slow
def test_changed_replicas_mode_and_another_file_of_the_name(kubewire: Kubewire, tmp_path: Path) -> None:
    lab = tmp_path / "mine.yml"
    lab.write_text("mode: iptables\nhttpbin: {replicas: 1}\nnodes: {workers: 1}\n")
    kubewire.ok("up", str(lab))
    assert "1 → 3" in kubewire.ok("up", str(lab), "--replicas", "3").text
    remade = kubewire.ok("up", str(lab), "--mode", "nftables", "--verify").text
    assert "iptables → nftables" in remade
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.yml").write_text("mode: iptables\n")
    refused = kubewire.run("up", str(other / "mine.yml"))
    assert refused.code == 2
    assert str(lab) in refused.text


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["iptables", "nftables"])
def test_an_older_minor_and_seven_replicas(kubewire: Kubewire, mode: str) -> None:
    kubewire.ok("up", mode, "--kubernetes", "1.34", "--replicas", "7", "--verify", timeout=3000)
    code, report = kubewire.report(mode)
    assert code == 0
    assert report["kubernetes"].startswith("v1.34.")
    if mode == "iptables":
        chain = kubewire.node(mode, "worker", "iptables", "-t", "nat", "-L", "KUBE-SVC-FREKB6WNWYJLKTHC")
        assert len(re.findall(r"^KUBE-SEP-", chain, re.M)) == 7
        assert "0.14285714272" in chain
