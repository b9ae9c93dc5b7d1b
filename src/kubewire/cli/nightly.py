"""What `kubewire matrix` does: planned or resumed, told as it goes, and what its end means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import typer

from kubewire.cli.display import Display
from kubewire.errors import DefinitionError
from kubewire.matrix import nightly
from kubewire.matrix.folder import Order, RunFolder
from kubewire.matrix.loading import find_matrix, load_matrix
from kubewire.matrix.results import EXIT_CODES, Run, counts
from kubewire.matrix.run import Limits

STYLES = {"passed": "green", "failed": "red", "error": "red", "skipped": "yellow", "missing": "yellow"}


def show_plan(file: Path | None, only: Sequence[str], shard: str) -> int:
    """Print a line a cell; nothing is run."""
    order = nightly.plan_order(find_matrix(file), only=only, shard=shard, progress=Display().tell)
    for note in order.notes:
        typer.echo(f"note: {note}")
    for each in order.cells:
        beside = f", control plane {each.control_plane}" if each.control_plane else ""
        skip = f"  skipped: {each.skip}" if each.skip else ""
        typer.echo(f"{each.cell.id}{beside}{skip}")
    return 0


def run(
    file: Path | None,
    *,
    only: Sequence[str],
    shard: str,
    jobs: int | None,
    fail_fast: bool,
    resume: bool,
    output: Path | None,
) -> int:
    """Run the matrix, or go on with a run; the exit code."""
    display = Display()
    if resume and (file or only or shard):
        raise DefinitionError(
            "--resume goes on with the cells of the run it resumes", mend="leave FILE, --only and --shard out"
        )
    if resume:
        folder = RunFolder((output or nightly.newest_folder()).absolute())
        order = folder.read_order()
    else:
        folder = RunFolder((output or nightly.new_folder()).absolute())
        order = nightly.plan_order(find_matrix(file), only=only, shard=shard, progress=display.tell)
        folder.write_order(order)
    for note in order.notes:
        display.line(note, "bold yellow")
    display.line(f"{len(order.cells)} cells, results in {folder.path}")
    limits = Limits(jobs or _jobs(file, resume) or os.cpu_count() or 1, order.deadline, fail_fast)
    found = nightly.run_order(
        order, folder, limits, lambda text: display.line(text, STYLES.get(text.split(" ")[0], "dim"))
    )
    _tell(found, folder, display, order)
    return EXIT_CODES[found.status]


def _jobs(file: Path | None, resume: bool) -> int | None:
    return None if resume else load_matrix(find_matrix(file)).jobs


def _tell(found: Run, folder: RunFolder, display: Display, order: Order) -> None:
    told = ", ".join(f"{n} {status}" for status, n in counts(found.cells).items())
    part = " (partial)" if found.partial else ""
    display.line(f"{len(order.cells)} cells: {told}{part}", STYLES[found.status])
    display.line(f"{folder.path / 'run.json'}, junit.xml, summary.md, report.html", "dim")
