"""kube-proxy-status.json becomes one check a node, which leads the failures of that node."""

from __future__ import annotations

import json
from typing import Any

import pytest

from damages import damaged, without_lines
from kubewire.dataplane.core.findings import Check
from kubewire.dataplane.core.snapshot import PROXY_STATUS, Snapshot
from kubewire.dataplane.proxy_status import check_kube_proxies
from kubewire.report.text import to_text
from kubewire.snapshot.folder import read_snapshot
from kubewire.verify.causes import leading
from kubewire.verify.evaluate import evaluate_snapshot, report_of
from repository import GOLDEN

WORKER = "iptables-worker"
HEALTHY: dict[str, Any] = {
    "time": 4e9,
    "state": "S",
    "healthz": "200",
    "synced": {"IPv4": 3.9e9, "IPv6": 3.9e9},
    "queued": {"IPv4": 3.9e9 - 1, "IPv6": 3.9e9 - 1},
}
NFACCT = "\"Failed to execute iptables-restore\" err=< exit status 2: Couldn't load match `nfacct' >"


def snapshot(text: str) -> Snapshot:
    def edit(files: dict[str, str]) -> None:
        files[PROXY_STATUS] = text

    return damaged(read_snapshot(GOLDEN / "verify" / "iptables-v1.37.2"), edit, WORKER)


def check(*, differs: bool = False, **change: Any) -> Check:
    whole = snapshot(json.dumps(HEALTHY | change))
    (found,) = [
        each for each in check_kube_proxies(whole, {WORKER} if differs else ()) if each.node == WORKER
    ]
    return found


def test_a_healthy_one_passes_and_an_unknown_one_is_skipped() -> None:
    assert check().status == "passed"
    assert check(differs=True).status == "passed"
    others = [c for c in check_kube_proxies(snapshot("{}"), ()) if c.node != WORKER]
    assert {(c.status, c.reason) for c in others} == {("skipped", f"the snapshot has no {PROXY_STATUS}")}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"state": "absent"}, "kube-proxy does not run"),
        ({"state": "T"}, "kube-proxy is stopped by SIGSTOP or a debugger (state T in /proc)"),
        ({"healthz": "503", "last_error": NFACCT}, "k/k#142068"),
        (
            {"healthz": "503", "last_error": '"Failed to list chains" err="signal: segmentation fault"'},
            "k/k#136786",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(change: dict[str, Any], said: str) -> None:
    found = check(**change)
    assert found.status == "failed"
    assert said in found.observed
    assert "\n" not in found.observed


@pytest.mark.parametrize(
    "change",
    [
        {"healthz": "503", "node_eligible": False},
        {"queued": {"IPv4": 4e9 - 5}},
        {"queued": {}, "synced": {}},
        {"last_error": '"Failed to reach the apiserver"'},
    ],
)
def test_what_is_no_sign_of_trouble_passes(change: dict[str, Any]) -> None:
    assert check(**change).status == "passed"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"healthz": "timeout"}, "kube-proxy hangs"),
        ({"healthz": "refused"}, "nothing listens at its healthz address"),
        ({"queued": {"IPv6": 4e9 - 90}}, "kube-proxy does not sync IPv6: one sync has been due for 90 s"),
        ({"synced": {"IPv4": 1e9}, "queued": {}}, "older than the objects: last sync 2001-09-09"),
        ({"last_error": NFACCT, "failures": {"IPv4": 2}}, "k/k#142068"),
    ],
)
def test_what_a_busy_node_may_show_too_counts_where_rules_differ(change: dict[str, Any], said: str) -> None:
    assert check(**change).status == "passed"
    assert said in check(differs=True, **change).observed


@pytest.mark.parametrize(
    "text", ["", "[]", '{"time": "x"}', '{"synced": {"a": "b"}}', '{"state": 3}', "\x00"]
)
def test_a_file_that_is_not_as_it_must_be_is_skipped(text: str) -> None:
    (found,) = [each for each in check_kube_proxies(snapshot(text), ()) if each.node == WORKER]
    assert found.status == "skipped"
    assert "can't be read" in found.reason


def test_no_number_of_the_node_is_too_large_to_print() -> None:
    long = "IPv4" * 99
    change = {"time": 1e300, "synced": {long: 0}, "queued": {long: 1}, "last_error": "x" * 9999}
    assert len(check(differs=True, **change).observed) < 700


def test_it_leads_the_failures_of_its_node_only() -> None:
    both = damaged(
        snapshot(json.dumps(HEALTHY | {"state": "T"})),
        without_lines("KUBE-SEP-PFKDKMHHACIMKSSX", "iptables-save.txt"),
        WORKER,
        "iptables-worker2",
    )
    verdict = evaluate_snapshot(both)
    report = report_of(both, verdict.checks, verdict.notes)
    assert [(lead.id, lead.node) for lead in leading(report.checks)] == [
        ("kube-proxy.syncs", WORKER),
        ("service.endpoints", "iptables-worker2"),
    ]
    first = to_text(report).splitlines()[0]
    assert first.startswith(
        "kube-proxy is stopped by SIGSTOP or a debugger (state T in /proc), on iptables-worker"
    )
