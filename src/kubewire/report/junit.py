"""Reports as JUnit XML: a suite for each node of a lab or each cell of a nightly, a case for each check."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from kubewire.core.printable import one_line, xml_safe
from kubewire.dataplane.core.findings import Check
from kubewire.report.findings import sentence
from kubewire.verify.report import Report

if TYPE_CHECKING:
    from kubewire.matrix.results import CellResult, Run


def to_junit(report: Report) -> str:
    """JUnit XML; a failure's text holds expected, observed and why."""
    known = {node.name for node in report.nodes}
    lab = [check for check in report.checks if check.node not in known]
    suites = [_suite(report.lab or "lab", lab)] if lab else []
    suites += [
        _suite(node.name, [check for check in report.checks if check.node == node.name])
        for node in report.nodes
    ]
    if report.status == "error":
        suites.append(_error(report))
    return _document(report.lab or "snapshot", suites)


def run_to_junit(run: Run) -> str:
    """The XML's text. A cell that could not be verified has one error case, never an empty suite."""
    return _document("kubewire nightly", [_cell(cell) for cell in run.cells], run.cells)


def _document(name: str, suites: Sequence[TestSuite], cells: Iterable[CellResult] = ()) -> str:
    document = JUnitXml(xml_safe(name))
    for suite in suites:
        document.add_testsuite(suite)
    document.update_statistics()  # type: ignore[no-untyped-call]
    for suite, cell in zip(suites, cells, strict=False):
        suite.time = round(sum(cell.seconds.values()), 2)
    text: bytes = document.tostring()  # type: ignore[no-untyped-call]
    return text.decode()


def _suite(name: str, checks: Sequence[Check]) -> TestSuite:
    suite = TestSuite(xml_safe(name))
    suite.add_testcases(
        [_case(check, (check.service, check.object, check.family), check.id) for check in checks]
    )
    return suite


def _cell(cell: CellResult) -> TestSuite:
    suite = TestSuite(xml_safe(cell.id))
    if cell.host:
        suite.hostname = xml_safe(cell.host)
    suite.add_property("kubernetes", xml_safe(cell.kubernetes))
    suite.add_property("controlPlane", xml_safe(cell.control_plane))
    for each in cell.checks:
        check = Check(**each.model_dump())
        parts = (check.node, check.service, check.object, check.family)
        suite.add_testcase(_case(check, parts, f"{cell.id}.{check.id}"))
    if cell.status in ("error", "skipped", "missing"):
        suite.add_testcase(_whole(cell))
    return suite


def _case(check: Check, parts: Iterable[str], classname: str) -> TestCase:
    name = " ".join(part for part in parts if part) or check.id
    case = TestCase(xml_safe(name), classname=xml_safe(classname))
    if check.status == "skipped":
        case.result = [Skipped(xml_safe(check.reason))]
    elif check.status == "failed":
        about = check.object if check.cause else one_line(sentence(check))
        failure = Failure(xml_safe(f"{check.id}: {about}"), "failed")
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
        ("cause", " ".join(filter(None, check.cause))),
    )
    return "\n".join(f"{name}: {text}" for name, text in fields if text)


def _error(report: Report) -> TestSuite:
    suite = TestSuite("verify")
    case = TestCase("enough was checked", classname="verify")
    case.result = [Failure(xml_safe("; ".join(report.notes) or "nothing could be checked"), "error")]
    suite.add_testcase(case)
    return suite


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
