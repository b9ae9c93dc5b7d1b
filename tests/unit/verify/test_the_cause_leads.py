"""Each single damage has one leading finding: it names cause, node and object on one screen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from damages import Edit, damaged, nft, without_file, without_lines, without_table_lines
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.report.junit import to_junit
from kubewire.report.text import to_text
from kubewire.snapshot.folder import read_snapshot
from kubewire.verify.causes import leading, linked
from kubewire.verify.evaluate import evaluate_snapshot, report_of
from kubewire.verify.offline import verify_folder
from kubewire.verify.report import Report
from kubewire.verify.stored import read_stored, to_stored
from recorded import folder_of, load
from repository import GOLDEN

IPTABLES = GOLDEN / "verify" / "iptables-v1.37.2"
NFTABLES = GOLDEN / "verify" / "nftables-v1.37.2"
IPVS = folder_of("v1.37.2-ipvs")
V4, V6, NFT = "iptables-save.txt", "ip6tables-save.txt", "nft-ip.json"
SEP = "KUBE-SEP-PFKDKMHHACIMKSSX"


def chain_of(item: dict[str, Any]) -> str:
    return str(item.get("rule", {}).get("chain") or item.get("chain", {}).get("name", ""))


def fewer(item: dict[str, Any]) -> bool:
    """httpbin's service chain becomes the one that kube-proxy writes for one endpoint less."""
    text = json.dumps(item)
    if "numgen" in text and "httpbin" in chain_of(item):
        (rule,) = [each for each in item["rule"]["expr"] if "dnat" in each]
        choice = rule["dnat"]["addr"]["map"]
        choice["key"]["numgen"]["mod"] -= 1
        choice["data"]["set"].pop()
    return False


def of_httpbin(item: dict[str, Any]) -> bool:
    for kind in ("map", "set"):
        elements = item.get(kind, {}).get("elem", [])
        kept = [each for each in elements if not re.search("httpbin|10.244.", json.dumps(each))]
        if elements:
            item[kind]["elem"] = kept
    return "httpbin" in chain_of(item)


def left_over(files: dict[str, str]) -> None:
    files["ipvsadm-save.txt"] += "-A -t 10.96.99.99:80 -s rr\n-a -t 10.96.99.99:80 -r 10.244.9.9:80 -m -w 1\n"
    files["ipset-save.txt"] += "add KUBE-CLUSTER-IP 10.96.99.99,tcp:80\n"


DAMAGES: dict[str, tuple[Path, Edit, tuple[str, ...], tuple[str, ...]]] = {
    "endpoint-missing-iptables": (
        IPTABLES,
        without_lines(SEP, V4),
        (),
        ("10.244.1.2:80 is ready but missing from KUBE-SVC-FREKB6WNWYJLKTHC (3 of 4)", "3 of 3 nodes"),
    ),
    "endpoint-missing-nftables": (
        NFTABLES,
        nft(fewer, NFT),
        ("nftables-worker",),
        ("10.244.3.3:80 is ready but missing from service-5WI3VASQ-default/httpbin/tcp/http (3 of 4)",),
    ),
    "endpoint-missing-ipvs": (
        IPVS,
        without_lines("-u 10.96.9.19:80 -r 10.244.3.1:80 ", "ipvsadm-save.txt"),
        ("default",),
        ("10.244.3.1:80 is ready but missing from virtual server -u 10.96.9.19:80 (12 of 13)",),
    ),
    "service-missing-iptables": (
        IPTABLES,
        without_lines("default/httpbin|KUBE-SVC-FREKB6WNWYJLKTHC", V4),
        ("iptables-worker",),
        ("default/httpbin is missing (1 of 2 Services are there)",),
    ),
    "service-missing-nftables": (
        NFTABLES,
        nft(of_httpbin, NFT),
        ("nftables-worker",),
        ("default/httpbin is missing (1 of 2 Services are there)",),
    ),
    "chain-flushed": (
        IPTABLES,
        without_table_lines("nat", "^-A KUBE-SERVICES ", V4),
        ("iptables-worker",),
        ("iptables nat KUBE-SERVICES is empty",),
    ),
    "jump-missing": (
        IPTABLES,
        without_table_lines("nat", "^-A OUTPUT .*-j KUBE-SERVICES", V4),
        ("iptables-worker",),
        ("iptables nat OUTPUT -> KUBE-SERVICES is missing",),
    ),
    "services-not-hooked": (
        NFTABLES,
        nft(lambda item: "rule" in item and chain_of(item) in ("nat-prerouting", "nat-output"), NFT),
        ("nftables-worker",),
        ("no jump to chain ip kube-proxy services in nat-prerouting, nat-output",),
    ),
    "table-flushed-iptables": (
        IPTABLES,
        without_table_lines("nat", "^-A ", V4),
        ("iptables-worker",),
        ("nothing of what kube-proxy writes is there: iptables nat",),
    ),
    "table-flushed-nftables": (
        NFTABLES,
        nft(lambda item: "rule" in item, NFT),
        ("nftables-worker",),
        ("nothing of what kube-proxy writes is there: chains of table ip kube-proxy",),
    ),
    "sets-flushed": (
        IPVS,
        without_lines("^add KUBE-", "ipset-save.txt"),
        ("default",),
        ("nothing of what kube-proxy writes is there: ipset",),
    ),
    "dumps-missing": (
        NFTABLES,
        without_file(NFT, "nft-ip6.json"),
        ("nftables-worker",),
        ("nft-ip.json: the dump is missing or empty",),
    ),
    "family-missing": (
        IPTABLES,
        without_lines("KUBE-", V6),
        ("iptables-worker",),
        ("nothing of what kube-proxy writes is there: all IPv6 tables",),
    ),
    "node-missing": (
        IPTABLES,
        without_lines("KUBE-", V4, V6),
        ("iptables-worker",),
        ("nothing of what kube-proxy writes is there: all tables",),
    ),
    "service-left-over": (
        IPVS,
        left_over,
        ("default",),
        ("ipvsadm -t 10.96.99.99:80 has what must not be there",),
    ),
    "node-port-missing": (
        IPVS,
        without_lines(":30080 ", "ipvsadm-save.txt"),
        ("default",),
        ("172.18.1.3:30080", "8 virtual servers of default/nodeport"),
    ),
}
"""Each with its snapshot, what is damaged, on which nodes (all if none is named), and what must be said."""


def report(snapshot: Snapshot) -> Report:
    verdict = evaluate_snapshot(snapshot)
    return report_of(snapshot, verdict.checks, verdict.notes, story=verdict.story)


def snapshot_of(folder: Path) -> Snapshot:
    if folder != IPVS:
        return read_snapshot(folder)
    whole = load(folder)
    [node] = (node for node in whole.nodes if node.name == "default")
    facts = json.loads(node.files["facts.json"])
    facts["sysctls"]["net.ipv6.conf.all.forwarding"] = "1"  # 0 where it was recorded
    node = structs.replace(node, files={**node.files, "facts.json": json.dumps(facts)})
    return Snapshot(whole.cluster, (node,), whole.meta)


@pytest.mark.parametrize("name", DAMAGES)
def test_one_damage_is_one_screen_that_names_it(name: str, golden: Callable[[Path, str], None]) -> None:
    folder, edit, nodes, said = DAMAGES[name]
    found = report(damaged(snapshot_of(folder), edit, *nodes))
    leads = {replace(check, node="") for check in leading(found.checks)}
    assert len(leads) == 1, leads
    text = to_text(found)
    assert len(text.splitlines()) <= 24
    assert said[0] in text.splitlines()[0]
    for words in (*said, *nodes):
        assert words in text
    golden(GOLDEN / "causes" / f"{name}.txt", text)


def test_the_missing_one_of_sixty_endpoints_is_the_first_line() -> None:
    found = verify_folder(GOLDEN / "cases" / "sixty-endpoints-one-missing")
    text = to_text(found)
    first = text.splitlines()[0]
    assert first.startswith("10.244.1.27:8080 is ready but missing from KUBE-SVC-CDGGSHYLG3RE2FKL (59 of 60)")
    assert len(text.splitlines()) <= 24


def test_two_damages_are_two_leading_findings() -> None:
    both = damaged(
        damaged(read_snapshot(IPTABLES), without_lines(SEP, V4), "iptables-worker"),
        without_table_lines("nat", "^-A OUTPUT .*-j KUBE-SERVICES", V4),
        "iptables-worker2",
    )
    assert [(check.id, check.node) for check in leading(report(both).checks)] == [
        ("service.endpoints", "iptables-worker"),
        ("iptables.jump", "iptables-worker2"),
    ]


def test_every_consequence_names_a_leading_check_in_each_form() -> None:
    found = report(damaged(read_snapshot(IPTABLES), without_lines(SEP, V4), "iptables-worker"))
    leads = {check.key for check in leading(found.checks)}
    causes = [check["cause"] for check in json.loads(found.to_json())["checks"] if "cause" in check]
    assert len(causes) == found.count("failed") - 1
    assert {tuple(cause) for cause in causes} == leads
    stored = read_stored(json.dumps(to_stored(found)).encode())
    assert [check.cause for check in stored.checks] == [check.cause for check in found.checks]
    assert to_junit(found).count("cause: service.endpoints iptables-worker") == len(causes)


def test_an_endpoint_that_is_not_ready_is_named() -> None:
    def stale(files: dict[str, str]) -> None:
        files[V4] = (
            files[V4].replace("10.244.1.2:80", "10.244.1.9:80").replace("10.244.1.2/32", "10.244.1.9/32")
        )

    (lead,) = leading(report(damaged(read_snapshot(IPTABLES), stale, "iptables-worker")).checks)
    assert lead.observed.splitlines() == [
        "10.244.1.2:80 is ready but missing from KUBE-SVC-FREKB6WNWYJLKTHC (3 of 4)",
        "10.244.1.9:80 is in KUBE-SVC-FREKB6WNWYJLKTHC but is no ready endpoint",
    ]


def test_failed_requests_follow_the_damage_of_their_node() -> None:
    jump = Check("iptables.jump", "failed", "b", "ipv4", object="iptables nat OUTPUT -> KUBE-SERVICES")
    other = replace(jump, node="a")
    request = Check("traffic.clusterip", "failed", "b", object="a pod → 10.96.0.9:80", observed="no answer")
    found = {check.id: check.cause for check in linked([other, jump, request])}
    assert found["traffic.clusterip"] == jump.key
    assert linked([request]) == [request]


def test_without_a_failure_nothing_is_linked() -> None:
    checks = [Check("iptables.table", "passed", "a", "ipv4", object="iptables nat")]
    assert linked(checks) == checks
