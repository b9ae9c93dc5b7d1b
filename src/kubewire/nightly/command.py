"""What `kubewire matrix` does: planned or resumed, told as it goes, and what its end means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kubewire.app.display import Display
from kubewire.core import console
from kubewire.core.errors import DefinitionError
from kubewire.matrix.loading import find_matrix, lab_reference, load_matrix
from kubewire.matrix.plan import read_shard
from kubewire.matrix.results import EXIT_CODES, Run, counts
from kubewire.matrix.selectors import parse_selector
from kubewire.nightly import drifts, session
from kubewire.nightly.conclusion import Baseline
from kubewire.nightly.folder import Order, RunFolder
from kubewire.nightly.hosts import Crew, Task, at_hand, meet, unseen
from kubewire.nightly.run import Limits
from kubewire.nightly.workers import Pool, Worker
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


def matrix(file: Path | None, output: Path | None, wishes: Wishes, *, goes_on: bool, plan: bool) -> int:
    """Only tell the cells, go on with a run, or begin one; the exit code. A wrong call is refused first."""
    if wishes.shard:
        read_shard(wishes.shard)
    for selector in wishes.only:
        parse_selector(selector)
    chosen = (file, wishes.only, wishes.shard, wishes.fresh, wishes.hosts, wishes.inventory)
    if goes_on and any(chosen):
        raise DefinitionError(
            "--resume goes on with the cells of the run it resumes",
            mend="leave FILE, --only, --shard, --fresh, --host and --inventory out",
        )
    if plan:
        return show_plan(file, wishes)
    return resume(output, wishes) if goes_on else begin(file, output, wishes)


def show_plan(file: Path | None, wishes: Wishes) -> int:
    """Print a line a cell; nothing is run, no host asked. What the run would refuse is refused."""
    Baseline.read(wishes.baseline, wishes.accept)
    crew, task = Crew.of(wishes.hosts, wishes.inventory), _task(file)
    order = _planned(file, wishes, Display(), crew, at_hand(crew, task, wishes.jobs))
    for note in order.notes:
        console.out(f"note: {note}")
    for each in order.cells:
        beside = f", control plane {each.control_plane}" if each.control_plane else ""
        skip = f"  skipped: {each.skip}" if each.skip else ""
        console.out(f"{each.cell.id}{beside}{skip}")
    return 0


def begin(file: Path | None, output: Path | None, wishes: Wishes) -> int:
    """Plan and run; the exit code."""
    display, baseline = Display(), Baseline.read(wishes.baseline, wishes.accept)
    wishes = replace(wishes, jobs=wishes.jobs or load_matrix(find_matrix(file)).jobs)
    crew = Crew.of(wishes.hosts, wishes.inventory)
    workers = at_hand(crew, _task(file), wishes.jobs, display.tell)
    order = _planned(file, wishes, display, crew, workers)
    if crew.target:
        workers += meet(crew, Task.of(order), wishes.jobs, display)
        order = session.with_skips(order, workers)
    folder = RunFolder((output or session.new_folder()).absolute())
    folder.write_order(order)
    return _run(order, folder, wishes, display, workers=workers, baseline=baseline)


def resume(output: Path | None, wishes: Wishes) -> int:
    """Run what a run that was ended early has not run; the exit code."""
    folder = RunFolder((output or session.newest_folder()).absolute())
    baseline = Baseline.read(wishes.baseline, wishes.accept)
    display, order = Display(), folder.read_order()
    crew, task = Crew.of(order.hosts, order.inventory), Task.of(order)
    workers = [*at_hand(crew, task, wishes.jobs, display.tell), *meet(crew, task, wishes.jobs, display)]
    return _run(order, folder, wishes, display, workers=workers, baseline=baseline)


def _task(file: Path | None) -> Task:
    """All that the matrix could mean."""
    path = find_matrix(file)
    matrix = load_matrix(path)
    labs = [lab_reference(lab, path) for lab in matrix.labs]
    return Task(list(matrix.providers), [mode.value for mode in matrix.modes], labs)


def _planned(
    file: Path | None, wishes: Wishes, display: Display, crew: Crew, workers: Sequence[Worker]
) -> Order:
    """By these workers, and the crew's other hosts, of which nobody knows yet what they lack."""
    order = session.plan_order(
        find_matrix(file),
        workers=[*workers, *unseen(crew)],
        only=wishes.only,
        shard=wishes.shard,
        fresh=wishes.fresh,
        progress=display.tell,
    )
    inventory = crew.target.inventory if crew.target else ()
    return order.model_copy(update={"hosts": wishes.hosts, "inventory": inventory})


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
    display.line(f"{_cells(order.cells)}, results in {folder.path}")
    limits = Limits(order.deadline, wishes.fail_fast)
    pool = Pool(workers)

    def tell(text: str) -> None:
        display.line(text, STYLES.get(text.partition(" ")[0], "dim"))

    found = session.run_order(order, folder, limits, pool, tell, baseline=baseline)
    _tell(found, folder, display)
    return EXIT_CODES[found.status]


def _tell(found: Run, folder: RunFolder, display: Display) -> None:
    told = ", ".join(f"{n} {status}" for status, n in counts(found.cells).items())
    part = " (partial)" if found.partial else ""
    display.line(f"{_cells(found.cells)}: {told}{part}", STYLES[found.status])
    for each in found.drift:
        if each.since == "baseline" or drifts.is_open([each]):
            for line in render(each):
                display.line(line.plain, "red" if drifts.is_open([each]) else "dim")
    display.line(f"{folder.path / 'report.html'}, run.json, junit.xml, summary.md", "dim")


def _cells(cells: Sequence[object]) -> str:
    return f"{len(cells)} cell{'' if len(cells) == 1 else 's'}"
