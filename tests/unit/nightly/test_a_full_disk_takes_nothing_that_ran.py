"""A disk that fills up in the middle: what ran is kept, the run says it is partial, and can be resumed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubewire.nightly.folder import RunFolder, read_run

HERE = Path(__file__).parent
ON_TMPFS = """
mount -t tmpfs -o size=20m tmpfs "$1" || exit
"$2" -c "$3" "$1"
code=$?
cp "$1"/*.* "$4"
rm "$1"/run/cells/*/dump
touch "$1"/run/freed
"$2" -c "$3" "$1" resumed >&2
cp "$1"/run/run.json "$1"/run/started "$5"
exit $code
"""
SCRIPT = """
import functools, pathlib, sys
import test_cells_fail_alone as t
from kubewire.core.exits import end_with
from kubewire.nightly import run, session
from kubewire.nightly.fetching import Fetching

Fetching.want = t._all_there
run.need_of = lambda order: order.kubernetes
session.Nightly = functools.partial(run.Nightly, module=t.STAND_IN)
folder = t.RunFolder(pathlib.Path(sys.argv[1]) / "run")
order = t.Order(matrix="m.yml", started="2026-11-25T02:17:00Z", deadline=t.DEADLINE,
                cells=t.orders("good", "fill", "later"))
if sys.argv[2:]:
    order = folder.read_order()
else:
    folder.write_order(order)
def say(text):
    print(text, flush=True)
def go():
    try:
        pool = t.Pool([t.this_machine(1)])
        session.run_order(order, folder, t.Limits(t.DEADLINE), pool, say)
    finally:
        for file in folder.path.iterdir():
            if file.is_file() and not sys.argv[2:]:
                (folder.path.parent / file.name).hardlink_to(file)
end_with(go)
"""


def test_results_so_far_are_kept_and_marked_partial(tmp_path: Path) -> None:
    disk, kept, resumed = tmp_path / "disk", tmp_path / "kept", tmp_path / "resumed"
    for folder in (disk, kept, resumed):
        folder.mkdir()
    namespaces = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    done = subprocess.run(
        ["unshare", *namespaces, "sh", "-c", ON_TMPFS, "sh", disk, sys.executable, SCRIPT, kept, resumed],
        env=os.environ
        | {"PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no tmpfs of its own can be mounted here: {done.stderr}")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "No space left on device" in done.stderr
    assert "free some space" in done.stderr
    assert "what ran is kept; kubewire matrix --resume --output" in done.stdout
    run = read_run(kept)
    assert {cell.lab: cell.status for cell in run.cells} == {
        "good": "passed",
        "fill": "error",
        "later": "missing",
    }
    assert "No space left on device" in run.cells[1].reason + run.cells[2].reason
    assert run.partial
    assert run.status == "error"
    assert {file.name for file in kept.iterdir()} == {
        "order.json",
        "run.json",
        "junit.xml",
        "summary.md",
        "report.html",
    }
    assert "Partial" in (kept / "report.html").read_text()
    assert len(RunFolder(kept).read_order().cells) == 3
    whole = read_run(resumed)
    assert {cell.status for cell in whole.cells} == {"passed"}
    assert not whole.partial
    assert [line.partition("-")[0] for line in (resumed / "started").read_text().split()] == [
        "good",
        "fill",
        "fill",
        "later",
    ], "what could not be judged is run again, what was judged is not"
