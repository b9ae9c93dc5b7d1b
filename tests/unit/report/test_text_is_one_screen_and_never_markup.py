"""What people read."""

from __future__ import annotations

import io
from collections.abc import Callable

from msgspec.structs import replace
from rich.console import Console

from kubewire.core.console import Screen
from kubewire.dataplane.core.findings import Check, Note
from kubewire.report.text import print_report, to_text
from kubewire.verify.report import Report

Make = Callable[..., Report]
FAILED = Check(
    id="iptables.service.probability",
    status="failed",
    node="iptables-worker",
    family="ipv4",
    service="default/httpbin:http",
    object="KUBE-SVC-FREKB6WNWYJLKTHC",
    reason="each new connection picks a ready endpoint with equal probability",
    expected='-m comment --comment "[bold]x[/bold]" -j KUBE-SEP-A',
    observed="-j DROP",
)
SPREAD = Check(
    id="traffic.spread",
    status="passed",
    node="iptables-worker",
    family="ipv4",
    object="a pod → 10.96.0.9:8000",
    observed="13 + 18 + 12 + 15 requests",
)


def test_a_healthy_lab_is_one_screen(make_report: Make) -> None:
    text = to_text(make_report([SPREAD]))
    lines = text.splitlines()
    assert lines[0] == "iptables  passed  7 checks passed on 3 nodes"
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for said in (
        "no Docker engine answers",
        "v1.37.2, kube-proxy in iptables mode",
        "KUBE-SVC-X",
        "13 + 18 + 12 + 15",
    ):
        assert said in text


def test_the_same_finding_on_all_nodes_is_told_once(make_report: Make) -> None:
    nodes = ("iptables-control-plane", "iptables-worker", "iptables-worker2")
    text = to_text(make_report([replace(FAILED, node=node) for node in nodes]))
    assert text.splitlines()[1] == "iptables  failed  3 checks failed, 6 checks passed on 3 nodes"
    assert text.count("object    KUBE-SVC-FREKB6WNWYJLKTHC") == 1
    assert "3 of 3 nodes" in text


def test_some_nodes_are_named(make_report: Make) -> None:
    text = to_text(make_report([FAILED, replace(FAILED, node="iptables-worker2")]), width=120)
    assert "2 of 3 nodes: iptables-worker, iptables-worker2" in text


def test_a_finding_shows_what_is_expected_observed_and_why(make_report: Make) -> None:
    text = to_text(make_report([FAILED]))
    for said in (
        FAILED.node,
        FAILED.service,
        FAILED.object,
        FAILED.observed,
        "equal probability",
        "spreads over",
    ):
        assert said in text


def test_markup_and_escapes_of_a_node_are_shown_as_they_are(make_report: Make) -> None:
    text = to_text(make_report([replace(FAILED, observed="[red]no[/red] \x1b[31m\u202e")]), width=120)
    assert "[bold]x[/bold]" in text
    assert "[red]no[/red] \\x1b[31m\\u202e" in text
    assert "\x1b" not in text


def test_a_consequence_is_counted_below_its_cause(make_report: Make) -> None:
    text = to_text(make_report([FAILED, replace(FAILED, id="iptables.table", service="", object="nat")]))
    assert "1 consequence: iptables.table" in text
    assert text.count("✗") == 1


def test_an_absent_rule_is_nothing(make_report: Make) -> None:
    assert "observed  nothing" in to_text(make_report([replace(FAILED, observed="")]))


def test_very_many_findings_are_cut_with_a_word(make_report: Make) -> None:
    many = [replace(FAILED, object=f"KUBE-SEP-{number}") for number in range(50)]
    assert "and 30 more findings; --format json lists them all" in to_text(make_report(many))


def test_very_many_notes_are_cut_with_a_word(make_report: Make) -> None:
    text = to_text(make_report(notes=[Note(f"note {number}") for number in range(20)]))
    assert "and 12 more notes" in text


def test_a_terminal_gets_colours_and_a_file_none(make_report: Make) -> None:
    terminal, file = io.StringIO(), io.StringIO()
    print_report(
        make_report([FAILED]),
        Screen(
            Console(
                file=terminal,
                force_terminal=True,
                width=80,
                color_system="truecolor",
                _environ={"TERM": "xterm"},
            )
        ),
    )
    print_report(make_report([FAILED]), Screen(Console(file=file, width=80)))
    assert "\x1b[" in terminal.getvalue()
    assert "\x1b[" not in file.getvalue()


def test_a_long_rule_keeps_every_character(make_report: Make) -> None:
    rule = "-A KUBE-SEP-X " + "x" * 200
    text = to_text(make_report([replace(FAILED, observed=rule)]))
    assert "x" * 200 in "".join(line.strip() for line in text.splitlines())
