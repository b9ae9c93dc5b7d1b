"""What `kubewire matrix` does: planned or resumed, told as it goes, and what its end means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from kubewire.cli.cell_hosts import meet
from kubewire.cli.display import Display
from kubewire.hosts.inventory import find_target
from kubewire.matrix import drifts, nightly
from kubewire.matrix.conclusion import Baseline
from kubewire.matrix.folder import Order, RunFolder
from kubewire.matrix.loading import find_matrix, load_matrix
from kubewire.matrix.results import EXIT_CODES, Run, counts
from kubewire.matrix.run import Limits
from kubewire.matrix.workers import Pool, Worker, this_machine
from kubewire.report.drift_text import render

STYLES = {
    "passed": "green",
    "failed": "red",
    "error": "red",
    "skipped": "yellow",
    "missing": "yellow",
    "lost": "red",
}


@dataclass(frozen=True)
class Wishes:
    """The options of the call."""

    only: tuple[str, ...] = ()
    shard: str = ""
    fresh: bool = False
    hosts: str = ""
    inventory: tuple[str, ...] = ()
    jobs: int | None = None
    fail_fast: bool = False
    baseline: Path | None = None
    accept: Path | None = None


def show_plan(file: Path | None, wishes: Wishes) -> int:
    """Print a line a cell; nothing is run. What the run would refuse is refused."""
    Baseline.read(wishes.baseline, wishes.accept)
    order = _planned(file, wishes, Display(), _unseen(wishes))
    for note in order.notes:
        typer.echo(f"note: {note}")
    for each in order.cells:
        beside = f", control plane {each.control_plane}" if each.control_plane else ""
        skip = f"  skipped: {each.skip}" if each.skip else ""
        typer.echo(f"{each.cell.id}{beside}{skip}")
    return 0


def begin(file: Path | None, output: Path | None, wishes: Wishes) -> int:
    """Plan and run; the exit code."""
    display, baseline = Display(), Baseline.read(wishes.baseline, wishes.accept)
    wishes = replace(wishes, jobs=wishes.jobs or load_matrix(find_matrix(file)).jobs)
    workers: Sequence[Worker] = ()
    if wishes.hosts:
        plan = _planned(file, wishes, display, _unseen(wishes))
        workers = _workers(plan, wishes, display)
    order = _planned(file, wishes, display, workers)
    folder = RunFolder((output or nightly.new_folder()).absolute())
    folder.write_order(order)
    return _run(order, folder, wishes, display, workers=workers, baseline=baseline)


def resume(output: Path | None, wishes: Wishes) -> int:
    """Run what a run that was ended early has not run; the exit code."""
    folder = RunFolder((output or nightly.newest_folder()).absolute())
    baseline = Baseline.read(wishes.baseline, wishes.accept)
    display, order = Display(), folder.read_order()
    workers = _workers(order, wishes, display) if order.hosts else ()
    return _run(order, folder, wishes, display, workers=workers, baseline=baseline)


def _planned(file: Path | None, wishes: Wishes, display: Display, workers: Sequence[Worker]) -> Order:
    target = find_target(wishes.hosts, wishes.inventory) if wishes.hosts else None
    order = nightly.plan_order(
        find_matrix(file),
        workers=workers,
        only=wishes.only,
        shard=wishes.shard,
        fresh=wishes.fresh,
        progress=display.tell,
    )
    return order.model_copy(update={"hosts": target.pattern, "inventory": target.inventory} if target else {})


def _unseen(wishes: Wishes) -> list[Worker]:
    """The hosts as the inventory has them: of each it is taken for granted that it can run all."""
    hosts = find_target(wishes.hosts, wishes.inventory).hosts if wishes.hosts else ()
    return [Worker(host, 1) for host in hosts]


def _workers(order: Order, wishes: Wishes, display: Display) -> Sequence[Worker]:
    """The hosts of a planned nightly, made ready for its cells."""
    target = find_target(order.hosts, order.inventory)
    cells = [cell for cell in order.cells if not cell.skip]
    modes, labs = {cell.mode for cell in cells}, {cell.reference for cell in cells}
    return meet(target, sorted(modes), sorted(labs), wishes.jobs, display)


def _run(
    order: Order,
    folder: RunFolder,
    wishes: Wishes,
    display: Display,
    *,
    workers: Sequence[Worker],
    baseline: Baseline,
) -> int:
    for note in order.notes:
        display.line(note, "bold yellow")
    display.line(f"{len(order.cells)} cells, results in {folder.path}")
    limits = Limits(order.deadline, wishes.fail_fast)
    pool = Pool(workers or [this_machine(wishes.jobs)])

    def tell(text: str) -> None:
        display.line(text, STYLES.get(text.partition(" ")[0], "dim"))

    found = nightly.run_order(order, folder, limits, pool, tell, baseline=baseline)
    _tell(found, folder, display)
    return EXIT_CODES[found.status]


def _tell(found: Run, folder: RunFolder, display: Display) -> None:
    told = ", ".join(f"{n} {status}" for status, n in counts(found.cells).items())
    part = " (partial)" if found.partial else ""
    display.line(f"{len(found.cells)} cells: {told}{part}", STYLES[found.status])
    for each in found.drift:
        if each.since == "baseline" or drifts.is_open([each]):
            for line in render(each):
                display.line(line.plain, "red" if drifts.is_open([each]) else "dim")
    display.line(f"{folder.path / 'report.html'}, run.json, junit.xml, summary.md", "dim")
