"""The machine-readable reports."""

from __future__ import annotations

import json
from collections.abc import Callable

from junitparser import JUnitXml
from msgspec.structs import replace

from kubewire.dataplane.core.findings import Check, Note
from kubewire.report.junit import to_junit
from kubewire.verify.report import Report

Make = Callable[..., Report]
FAILED = Check(
    id="iptables.service.probability",
    status="failed",
    node="iptables-worker",
    family="ipv4",
    service="default/httpbin:http",
    object="KUBE-SVC-FREKB6WNWYJLKTHC",
    reason="1 of 4 endpoints (pkg/proxy/iptables/proxier.go)",
    expected="--probability 0.25000000000",
    observed="--probability 0.75000000000 \x1b[2J <b>&",
)
SKIPPED = Check("traffic.hairpin", "skipped", "iptables-worker2", "ipv4", reason="affinity")


def test_the_json_report_has_exactly_the_contracts_keys(make_report: Make) -> None:
    report = json.loads(make_report([FAILED, SKIPPED], [Note("said")]).to_json())
    assert list(report) == [
        *("schema", "lab", "provider", "kubernetes", "mode", "status", "summary", "notes", "nodes", "checks")
    ]
    assert report["schema"] == 1
    assert report["summary"] == {"passed": 6, "failed": 1, "skipped": 1}
    assert report["nodes"][0] == {"name": "iptables-control-plane", "kube_proxy": "v1.37.2"}
    assert list(report["checks"][0]) == [
        *("id", "node", "family", "service", "object", "status", "reason", "expected", "observed")
    ]
    assert next(c for c in report["checks"] if c["status"] == "failed")["observed"] == FAILED.observed


def test_json_holds_no_raw_control_character(make_report: Make) -> None:
    assert "\x1b" not in make_report([FAILED]).to_json()


def test_junit_has_a_suite_per_node_and_the_evidence_in_the_failure(make_report: Make) -> None:
    document = JUnitXml.fromstring(to_junit(make_report([FAILED, SKIPPED])).encode())
    suites = {suite.name: suite for suite in document}
    assert set(suites) == {"iptables-control-plane", "iptables-worker", "iptables-worker2"}
    assert (document.tests, document.failures, document.skipped) == (8, 1, 1)
    failure = next(case.result[0] for case in suites["iptables-worker"] if case.result)
    assert "expected: --probability 0.25000000000" in failure.text
    assert "observed: --probability 0.75000000000 \\x1b[2J <b>&" in failure.text
    assert "why: 1 of 4 endpoints" in failure.text


def test_a_lab_wide_check_has_the_labs_suite(make_report: Make) -> None:
    document = JUnitXml.fromstring(to_junit(make_report([Check("traffic.service", "failed")])).encode())
    assert next(iter(document)).name == "iptables"


def test_junit_shows_an_error_as_a_failed_case(make_report: Make) -> None:
    document = JUnitXml.fromstring(to_junit(make_report(families=("ipv6",))).encode())
    assert document.failures == 1


def test_each_of_ten_thousand_failures_is_written(make_report: Make) -> None:
    many = [replace(FAILED, object=f"KUBE-SVC-{number}") for number in range(10_000)]
    assert to_junit(make_report(many)).count("<failure") == 10_000
