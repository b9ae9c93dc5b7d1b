"""When a report is a success, a failure or neither."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kubewire.dataplane.core.findings import Check, Note
from kubewire.verify.report import Report, unique

Make = Callable[..., Report]


def test_a_passed_table_on_every_node_is_a_success(make_report: Make) -> None:
    assert (make_report().status, make_report().exit_code) == ("passed", 0)


def test_one_failed_check_fails_it(make_report: Make) -> None:
    report = make_report([Check("route.pod", "failed", "iptables-worker")])
    assert (report.status, report.exit_code) == ("failed", 1)


@pytest.mark.parametrize(
    "fields",
    [{"families": ("ipv4", "ipv6")}, {"nodes": []}, {"mode": "nftables"}, {"mode": ""}],
    ids=["a family without a table", "no nodes", "another mode's tables", "no mode"],
)
def test_too_little_judged_is_an_error(make_report: Make, fields: dict[str, object]) -> None:
    report = make_report(**fields)
    assert (report.status, report.exit_code) == ("error", 4)
    assert any("checked" in note for note in report.notes)


def test_skipped_checks_alone_are_an_error() -> None:
    from kubewire.verify.report import ReportNode, build_report

    report = build_report(
        lab="l",
        provider="",
        kubernetes="",
        mode="iptables",
        nodes=[ReportNode("n")],
        families=("ipv4",),
        checks=[Check("iptables.table", "skipped", "n", "ipv4")],
        notes=[],
    )
    assert report.exit_code == 4


def test_a_failure_outweighs_what_was_not_judged(make_report: Make) -> None:
    report = make_report([Check("dump.present", "failed", "iptables-worker")], families=("ipv6",))
    assert report.exit_code == 1


def test_notes_carry_their_node(make_report: Make) -> None:
    assert make_report(notes=[Note("a chain of Docker's", "iptables-worker"), Note("said")]).notes == (
        "iptables-worker: a chain of Docker's",
        "said",
    )


def test_a_note_of_several_nodes_is_said_once(make_report: Make) -> None:
    notes = [Note("chains of kindnet", f"iptables-{node}") for node in ("control-plane", "worker", "worker")]
    assert make_report(notes=notes).notes == ("2 of 3 nodes: chains of kindnet",)


def test_identities_are_unique_and_stable() -> None:
    def check(status: str, family: str, observed: str = "") -> Check:
        return Check("iptables.extra", status, "n", family, object="KUBE-SVC-X", observed=observed)  # type: ignore[arg-type]

    found = unique(
        [
            check("passed", "ipv4"),
            check("failed", "ipv4", "-A KUBE-SVC-X -j DROP"),
            check("failed", "ipv4", "-A KUBE-SVC-X -j ACCEPT"),
            check("failed", "ipv4", "-A KUBE-SVC-X -j ACCEPT"),
            check("passed", "ipv6"),
        ]
    )
    assert [(c.object, c.status) for c in found] == [
        ("KUBE-SVC-X (ipv4)", "failed"),
        ("KUBE-SVC-X (ipv4, 2)", "failed"),
        ("KUBE-SVC-X (ipv6)", "passed"),
    ]
