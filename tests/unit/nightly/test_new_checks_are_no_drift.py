"""Checks that only one of two nightlies has are told in a note, never as drift."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_page import recorded
from typer.testing import CliRunner

from kubewire.cli.main import app
from kubewire.dataplane.core.snapshot import NODE_FILES, NodeSnapshot, Snapshot
from kubewire.matrix.results import CellResult, CheckResult, Run, unchecked
from kubewire.nightly.conclusion import NO_BASELINE, Baseline, conclude
from kubewire.nightly.folder import CellOrder, Order, RunFolder
from kubewire.snapshot.archive import pack_snapshot

NFT = CellOrder(lab="x", mode="nftables", provider="netns", kubernetes="v1.37.2", reference="x")
IPVS = CellOrder(lab="x", mode="ipvs", provider="netns", kubernetes="v1.37.2", reference="x")
SNAPSHOT = recorded("v1.37.2-nftables")
Ids = dict[str, str]


def ran(path: Path, ids: Ids, *, only: Ids | None = None, before: Path | None = None) -> Run:
    """A nightly whose nftables cell has these checks; `only`: those of a cell that the other run lacks.

    Without one `before` it, it is of an older kubewire, whose snapshots have fewer files.
    """
    folder, snapshot = RunFolder(path), SNAPSHOT
    if not before:
        needed = {name for name in NODE_FILES if name.startswith("nft-ip") or "kube-proxy" in name}
        needed |= {"ip-addr.json", "facts.json"}
        (node,) = SNAPSHOT.nodes
        older = NodeSnapshot(node.name, {name: text for name, text in node.files.items() if name in needed})
        snapshot = Snapshot(SNAPSHOT.cluster, (older,))
    archive = folder.cell(NFT) / "snapshot.tar.gz"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(pack_snapshot(snapshot))
    cells = {NFT.id: cell(NFT, ids), **({IPVS.id: cell(IPVS, only)} if only else {})}
    orders = tuple(each for each in (NFT, IPVS) if each.id in cells)
    order = Order(matrix="m.yml", started="2026-11-25T02:17:00Z", deadline=1.0, cells=orders)
    return conclude(order, folder, cells, baseline=Baseline.read(before, None) if before else NO_BASELINE)


def cell(order: CellOrder, ids: Ids) -> CellResult:
    checks = tuple(CheckResult(id=name, status=status) for name, status in ids.items())  # type: ignore[arg-type]
    green = unchecked(order, "failed" if "failed" in ids.values() else "passed", "")
    return green.model_copy(update={"checks": checks})


OLD = {"dump.present": "passed", "retired.check": "passed"}


@pytest.mark.parametrize(
    ("ids", "notes"),
    [
        (OLD, []),
        (
            {**OLD, "kernel.sysctl": "skipped", "node.link": "passed"},
            ["new checks, which the baseline does not have: kernel.sysctl, node.link"],
        ),
        ({"dump.present": "passed"}, ["checks of the baseline that are gone: retired.check"]),
    ],
)
def test_ids_that_come_and_go_are_noted(ids: Ids, notes: list[str], tmp_path: Path) -> None:
    ran(tmp_path / "first", OLD)
    run = ran(tmp_path / "second", ids, before=tmp_path / "first")
    assert list(run.notes) == notes
    (drift,) = run.drift
    assert (run.status, drift.since, drift.groups) == ("passed", "baseline", ())
    assert all(note in (tmp_path / "second" / "report.html").read_text() for note in notes)


def test_what_appears_only_with_a_failure_is_not_called_new(tmp_path: Path) -> None:
    ran(tmp_path / "first", {**OLD, "service.present": "failed"})
    run = ran(tmp_path / "second", {**OLD, "service.endpoints": "failed"}, before=tmp_path / "first")
    assert list(run.notes) == [
        "failed and not in the baseline's reports (new, or shown only where they fail): service.endpoints"
    ]
    assert run.drift[0].groups == ()


def test_cells_that_only_one_run_has_tell_nothing_of_checks(tmp_path: Path) -> None:
    ran(tmp_path / "first", OLD)
    run = ran(tmp_path / "second", OLD, only={"ipvs.sets": "passed"}, before=tmp_path / "first")
    assert run.notes == ()


def test_diff_tells_them_too(tmp_path: Path) -> None:
    ran(tmp_path / "first", OLD)
    ran(tmp_path / "second", {"dump.present": "passed", "node.link": "passed"}, before=tmp_path / "first")
    done = CliRunner().invoke(app, ["diff", str(tmp_path / "first"), str(tmp_path / "second")])
    assert done.exit_code == 0
    assert "new checks, which the baseline does not have: node.link" in done.output
    assert "checks of the baseline that are gone: retired.check" in done.output
