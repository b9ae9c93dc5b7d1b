"""A cell that hangs, is killed, crashes or says nothing is an error; others aren't harmed, none is left."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.proc import stat_fields
from kubewire.nightly import children, fetching, run, workers
from kubewire.nightly.fetching import Fetching
from kubewire.nightly.folder import CellOrder, Order, RunFolder
from kubewire.nightly.run import Limits, Nightly
from kubewire.nightly.workers import Pool, this_machine
from waiting import DEADLINE, eventually

HERE = Path(__file__).parent
STAND_IN = "stand_in_cell"


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells are stand-ins that need no binaries; a stubborn one is killed soon."""
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.setattr(Fetching, "want", _all_there)
    monkeypatch.setattr(run, "need_of", lambda order: order.kubernetes)
    monkeypatch.setattr(workers, "memory_available", lambda: 1 << 50)
    monkeypatch.setattr(children, "TIDY_SECONDS", 0.3)


def _all_there(fetching: Fetching, orders: Sequence[CellOrder], _progress: object) -> None:
    fetching.ready.update(order.kubernetes for order in orders)


def orders(*labs: str, mode: str = "nftables", skip: str = "") -> tuple[CellOrder, ...]:
    return tuple(
        CellOrder(lab=lab, mode=mode, provider="netns", kubernetes="v1.37.2", skip=skip, reference=lab)
        for lab in labs
    )


def living(group: int) -> list[int]:
    """The processes of a group, without those that only wait to be reaped."""
    found = ((int(entry.name), stat_fields(int(entry.name))) for entry in Path("/proc").glob("[0-9]*"))
    return [pid for pid, fields in found if fields and int(fields[2]) == group and fields[0] not in "ZX"]


def nightly(
    tmp_path: Path, cells: Sequence[CellOrder], jobs: int = 2, **limits: object
) -> dict[str, tuple[str, str]]:
    """Status and reason by lab."""
    given = {"deadline": DEADLINE, **limits}
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "go-on").touch()
    pool = Pool([this_machine(jobs)])
    work = Nightly(RunFolder(tmp_path), Limits(**given), pool, lambda _: None, module=STAND_IN)
    work.run(cells)
    return {result.lab: (result.status, result.reason) for result in work.results.values()}


@dataclass
class HangingCell:
    """A clock of its own: the cell `hang` is overdue as soon as it hangs, the others never are."""

    folder: Path

    def overdue(self, child: children.Child) -> bool:
        logs = [log.read_text() for log in self.folder.glob("cells/hang-*/log.txt")]
        return "/hang-" in " ".join(map(str, child.process.args)) and "waiting" in "".join(logs)


def test_others_are_not_harmed(tmp_path: Path) -> None:
    found = nightly(tmp_path, orders("good", "oom", "crash", "silent", "red", "broken", "fine"), jobs=3)
    assert found["good"][0] == found["fine"][0] == "passed"
    assert found["red"][0] == "failed"
    assert found["broken"] == ("error", "kube-apiserver ended")
    assert found["oom"][0] == "error"
    assert "SIGKILL; was the machine out of memory?" in found["oom"][1]
    assert found["crash"][0] == "error"
    assert "no space left on device" in found["crash"][1]
    assert found["silent"][0] == "error"
    assert not list(tmp_path.glob("cells/*/state")), "no state folder is left"


@pytest.mark.parametrize("mode", ["nftables", "ipvs"])
def test_one_that_hangs_is_ended_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """Its deadline passes once it hangs; how long it takes to get there says nothing."""
    hanging = HangingCell(tmp_path)
    monkeypatch.setattr(children.Child, "overdue", property(hanging.overdue))
    found = nightly(tmp_path, [*orders("hang", mode=mode), *orders("good")], deadline=10.0)
    assert found["good"][0] == "passed"
    assert found["hang"][0] == "error"
    assert "10 s, its deadline; it was at: waiting for what never comes" in found["hang"][1]
    group = int(next(tmp_path.glob("cells/hang-*/pid")).read_text())
    eventually(lambda: living(group) == [], "a process outlives its killed group")


def test_a_cell_that_cant_run_here_is_skipped_with_its_reason(tmp_path: Path) -> None:
    found = nightly(tmp_path, [*orders("good"), *orders("x", mode="ipvs", skip="no ip_vs")])
    assert found["x"] == ("skipped", "no ip_vs")
    assert "x-" not in (tmp_path / "started").read_text()


def test_fail_fast_starts_none_after_a_bad_one(tmp_path: Path) -> None:
    found = nightly(tmp_path, orders("good", "red", "later", "latest"), jobs=1, fail_fast=True)
    assert [status for status, _ in found.values()] == ["passed", "failed", "missing", "missing"]
    assert "--fail-fast, and red-nftables-netns-v1.37.2 is failed" in found["later"][1]


def test_what_was_fetched_in_vain_is_an_error_of_its_cells_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def want(fetching: Fetching, cells: Sequence[CellOrder], _progress: object) -> None:
        _all_there(fetching, [cell for cell in cells if cell.lab == "good"], None)
        fetching.failed["v1.36.9"] = "Kubernetes v1.36.9 can't be had"

    monkeypatch.setattr(Fetching, "want", want)
    lost = [replace(cell, kubernetes="v1.36.9") for cell in orders("lost")]
    found = nightly(tmp_path, [*lost, *orders("good")])
    assert found == {"lost": ("error", "Kubernetes v1.36.9 can't be had"), "good": ("passed", "")}


def test_what_has_a_result_is_not_run_again_and_a_cut_result_is(tmp_path: Path) -> None:
    cells = orders("good", "red", "other")
    first = nightly(tmp_path, cells)
    (tmp_path / "cells" / cells[2].id / "result.json").write_text('{"id": "oth')
    (tmp_path / "started").unlink()
    assert nightly(tmp_path, cells) == first
    assert (tmp_path / "started").read_text() == f"{cells[2].id}\n"


def test_the_lock_of_a_killed_run_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between fork and exec a child has what its killed parent had open."""
    folder = RunFolder(tmp_path)
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    monkeypatch.setattr("kubewire.nightly.folder.GRACE", DEADLINE)
    child = subprocess.Popen(["sleep", "0.3"], pass_fds=[descriptor])
    os.close(descriptor)
    with folder.held():
        assert child.wait() == 0


def test_killed_in_the_middle_it_is_resumed_to_the_same_results(tmp_path: Path) -> None:
    cells = orders(*(f"slow{i}" if i else "slow" for i in range(2)), "good", "slow", "red")
    order = Order(
        matrix="m.yml", started="now", deadline=DEADLINE, cells=(*cells[1:3], *orders("slow", "red"))
    )
    folder = RunFolder(tmp_path / "run")
    folder.write_order(order)
    script = (
        "import sys, test_cells_fail_alone as t, pathlib\n"
        "from kubewire.nightly.fetching import Fetching\n"
        "from kubewire.nightly import run\n"
        "from kubewire.nightly.run import *\n"
        "Fetching.want = t._all_there\n"
        "run.need_of = lambda order: order.kubernetes\n"
        "folder = t.RunFolder(pathlib.Path(sys.argv[1]))\n"
        "tell = lambda text: print(text, flush=True)\n"
        "with folder.held():\n"
        "    limits, pool = Limits(t.DEADLINE), t.Pool([t.this_machine(1)])\n"
        "    work = Nightly(folder, limits, pool, tell, module=t.STAND_IN)\n"
        "    work.run(folder.read_order().cells)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(folder.path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=HERE,
        env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parents[1]}"},
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("passed")
    with pytest.raises(LabError, match="another nightly uses this folder"), folder.held():
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with folder.held():
        resumed = nightly(folder.path, folder.read_order().cells)
    assert resumed == nightly(tmp_path / "undisturbed", order.cells)
    started = (folder.path / "started").read_text().split()
    assert started.count(order.cells[0].id) == 1


def test_a_folder_in_use_or_without_a_run_is_refused(tmp_path: Path) -> None:
    order = Order(matrix="m.yml", started="now", deadline=1.0, cells=orders("good"))
    with pytest.raises(DefinitionError, match="no nightly to resume"):
        RunFolder(tmp_path).read_order()
    (tmp_path / "order.json").write_text("{")
    with pytest.raises(DefinitionError, match="can't be read"):
        RunFolder(tmp_path).read_order()
    with pytest.raises(DefinitionError, match="something already"):
        RunFolder(tmp_path).write_order(order)
    with pytest.raises(DefinitionError, match="something already"):
        RunFolder(tmp_path / "order.json").write_order(order)


def test_what_a_fetch_warned_of_is_told(tmp_path: Path) -> None:
    log = tmp_path / "fetch.log"
    assert fetching._warnings(log) == []
    log.write_text("  ! GOSUMDB=off: no Go module is checked\n    build: 3 %\n  \u2714 Kubernetes v1.37.2\n")
    assert fetching._warnings(log) == ["  ! GOSUMDB=off: no Go module is checked"]
