"""The report as JUnit XML: a suite per node (and one for the lab), a case per check."""

from __future__ import annotations

from collections.abc import Sequence

from junitparser import Failure, JUnitXml, Skipped, TestCase, TestSuite

from kubewire.core.printable import xml_safe
from kubewire.dataplane.core.findings import Check
from kubewire.verify.report import Report


def to_junit(report: Report) -> str:
    """JUnit XML; a failure's text holds expected, observed and why."""
    document = JUnitXml(xml_safe(report.lab or "snapshot"))
    suites = [(node.name, node.name) for node in report.nodes]
    known = {name for name, _ in suites}
    lab = [check for check in report.checks if check.node not in known]
    if lab:
        document.add_testsuite(_suite(report.lab or "lab", lab))
    for name, title in suites:
        document.add_testsuite(_suite(title, [check for check in report.checks if check.node == name]))
    if report.status == "error":
        document.add_testsuite(_error(report))
    document.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode()


def _suite(name: str, checks: Sequence[Check]) -> TestSuite:
    suite = TestSuite(xml_safe(name))
    suite.add_testcases([_case(check) for check in checks])
    return suite


def _case(check: Check) -> TestCase:
    name = " ".join(part for part in (check.service, check.object, check.family) if part) or check.id
    case = TestCase(xml_safe(name), classname=xml_safe(check.id))
    if check.status == "skipped":
        case.result = [Skipped(xml_safe(check.reason))]
    elif check.status == "failed":
        failure = Failure(xml_safe(f"{check.id}: {check.object}"), "failed")
        failure.text = xml_safe(evidence(check))
        case.result = [failure]
    return case


def evidence(check: Check) -> str:
    """The finding as lines of `name: text`."""
    fields = (
        ("node", check.node),
        ("service", check.service),
        ("object", check.object),
        ("expected", check.expected or "nothing"),
        ("observed", check.observed or "nothing"),
        ("why", check.reason),
    )
    return "\n".join(f"{name}: {text}" for name, text in fields if text)


def _error(report: Report) -> TestSuite:
    suite = TestSuite("verify")
    case = TestCase("enough was checked", classname="verify")
    case.result = [Failure(xml_safe("; ".join(report.notes) or "nothing could be checked"), "error")]
    suite.add_testcase(case)
    return suite
