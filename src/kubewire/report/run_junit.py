"""A nightly as JUnit XML: a suite a cell, a case a check, the evidence in the failure."""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from kubewire.core.printable import xml_safe
from kubewire.dataplane.core.findings import Check
from kubewire.matrix.results import CellResult, CheckResult, Run
from kubewire.report.junit import evidence


def run_to_junit(run: Run) -> str:
    """The XML's text. A cell that could not be verified has one error case, never an empty suite."""
    document = JUnitXml("kubewire nightly")
    suites = [_suite(cell) for cell in run.cells]
    for suite in suites:
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    for suite, cell in zip(suites, run.cells, strict=True):
        suite.time = round(sum(cell.seconds.values()), 2)
    text: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode()


def _suite(cell: CellResult) -> TestSuite:
    suite = TestSuite(xml_safe(cell.id))
    if cell.host:
        suite.hostname = xml_safe(cell.host)
    suite.add_property("kubernetes", xml_safe(cell.kubernetes))
    suite.add_property("controlPlane", xml_safe(cell.control_plane))
    cases = [_case(cell, check) for check in cell.checks]
    if cell.status in ("error", "skipped", "missing"):
        cases.append(_whole(cell))
    suite.add_testcases(cases)
    return suite


def _case(cell: CellResult, check: CheckResult) -> TestCase:
    parts = (check.node, check.service, check.object, check.family)
    name = " ".join(part for part in parts if part)
    case = TestCase(xml_safe(name), classname=xml_safe(f"{cell.id}.{check.id}"))
    if check.status == "skipped":
        case.result = [Skipped(xml_safe(check.reason))]
    elif check.status == "failed":
        failure = Failure(xml_safe(f"{check.id}: {check.object}"), "failed")
        failure.text = xml_safe(evidence(Check(**check.model_dump())))
        case.result = [failure]
    return case


def _whole(cell: CellResult) -> TestCase:
    case = TestCase("the lab was verified", classname=xml_safe(cell.id))
    first = cell.reason.splitlines()[0] if cell.reason else ""
    if cell.status == "skipped":
        case.result = [Skipped(xml_safe(first))]
        return case
    error = Error(xml_safe(first), cell.status)
    error.text = xml_safe(cell.reason)
    case.result = [error]
    return case
