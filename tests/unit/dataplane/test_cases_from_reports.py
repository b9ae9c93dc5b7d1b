"""Snapshots made after public reports: what verify says of each, and that trace agrees."""

from __future__ import annotations

import pytest

from kubewire.dataplane.check import Checked, check_snapshot
from kubewire.dataplane.trace import trace
from kubewire.snapshot.folder import read_snapshot
from repository import GOLDEN

HTTPBIN = "10.96.39.216:8000"


def checked(case: str) -> Checked:
    return check_snapshot(read_snapshot(GOLDEN / "cases" / case))


@pytest.mark.parametrize(
    ("case", "line", "who"),
    [
        ("docker-forward-drop", ":FORWARD DROP [0:0]", "the policy drops"),
        ("docker-user-drop-before-return", "-A DOCKER-USER -i eth0 -j DROP", "a rule of Docker drops"),
    ],
)
def test_what_drops_pod_traffic_fails_and_is_named(case: str, line: str, who: str) -> None:
    failed = [check for check in checked(case).checks if check.status == "failed"]
    assert [check.id for check in failed] == ["iptables.stray", "iptables.table"]
    assert (failed[0].node, failed[0].object, failed[0].observed) == (
        "ipt-worker",
        "iptables filter FORWARD",
        line,
    )
    assert who in failed[0].reason


def test_a_trace_of_the_same_files_says_so_too() -> None:
    snapshot = read_snapshot(GOLDEN / "cases" / "docker-forward-drop")
    fates = {
        p.outcome.fate for p in trace(snapshot, "pod/httpbin-97ff8764c-lcpzr", HTTPBIN).paths if p.outcome
    }
    assert "dropped" in fates


@pytest.mark.parametrize("case", ["input-8000", "fwd-8000"])
def test_what_no_packet_meets_behind_dnat_is_a_note(case: str) -> None:
    found = checked(case)
    assert {check.status for check in found.checks} == {"passed"}
    assert any("--dport 8000 -j DROP" in note.text for note in found.notes)
