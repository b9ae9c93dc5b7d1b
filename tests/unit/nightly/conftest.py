"""A matrix, a plan and a run to look at, without any lab."""

from __future__ import annotations

import pytest

from kubewire.matrix.plan import Cell
from kubewire.matrix.results import CellResult, CheckResult, MachineResult, Run, Summary, status_of, unchecked

NASTY = "<script>alert(1)</script> ``` | [x](javascript:y) \x1b[31m ]]> & {{ 7*7 }}"


@pytest.fixture
def run() -> Run:
    """A run with a cell of each status; the failed one says hostile things."""
    red = CheckResult(
        id="iptables.mark-masq",
        status="failed",
        node="nodeport-worker",
        family="ipv4",
        service="default/httpbin:http",
        object="iptables nat KUBE-MARK-MASQ",
        reason=NASTY,
        expected="-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
        observed=f"-A KUBE-MARK-MASQ {NASTY}",
    )
    green = CheckResult(id="iptables.table", status="passed", node="nodeport-worker", object="iptables nat")
    skipped = CheckResult(id="traffic.service", status="skipped", reason="no client here")
    cells = (
        _cell("v1.37.2", "iptables", "passed", (green, skipped)),
        _cell("v1.36.3", "iptables", "failed", (green, red)),
        unchecked(Cell("nodeport", "nftables", "netns", "v1.37.2"), "error", f"apiserver ended\n{NASTY}"),
        unchecked(Cell("nodeport", "ipvs", "netns", "v1.37.2"), "skipped", "kernel 6.18 has no ip_vs"),
        unchecked(Cell("nodeport", "nftables", "netns", "v1.36.3"), "missing", "not run: interrupted"),
    )
    return Run(
        schema_number=1,
        kubewire="0.1.0",
        matrix="labs/matrix.yml",
        started="2026-11-25T22:00:00Z",
        finished="2026-11-25T22:10:00Z",
        partial=True,
        status=status_of(cells),
        machine=MachineResult(cpus=2, memory_bytes=2**34, kernel="Linux 6.18"),
        notes=("Kubernetes 1.38 is newer than all rules",),
        cells=cells,
    )


def _cell(version: str, mode: str, status: str, checks: tuple[CheckResult, ...]) -> CellResult:
    cell = Cell("nodeport", mode, "netns", version)
    return CellResult(
        id=cell.id,
        **cell.keys,
        control_plane="v1.37.2",
        status=status,
        seconds={"cluster": 4.0, "verify": 1.5},
        summary=Summary(**{s: sum(c.status == s for c in checks) for s in ("passed", "failed", "skipped")}),
        checks=checks,
    )
