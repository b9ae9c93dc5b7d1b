"""`kubewire matrix`: plan or resume a run, print its progress, return the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

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
from kubewire.nightly.hosts import Runners, Task, at_hand, meet, unseen
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
class Options:
    """The options of the command."""

    only: tuple[str, ...] = ()
    shard: str = ""
    fresh: bool = False
    hosts: str = ""
    inventory: tuple[str, ...] = ()
    jobs: int | None = None
    fail_fast: bool = False
    baseline: Path | None = None
    accept: Path | None = None


def matrix(file: Path | None, output: Path | None, wanted: Options, *, goes_on: bool, plan: bool) -> int:
    """Print the cells, resume a run, or start one; the exit code. An invalid call is rejected first."""
    if wanted.shard:
        read_shard(wanted.shard)
    for selector in wanted.only:
        parse_selector(selector)
    chosen = (file, wanted.only, wanted.shard, wanted.fresh, wanted.hosts, wanted.inventory)
    if goes_on and any(chosen):
        raise DefinitionError(
            "--resume continues with the cells of the run it resumes",
            hint="leave FILE, --only, --shard, --fresh, --host and --inventory out",
        )
    if plan:
        return show_plan(file, wanted)
    return resume(output, wanted) if goes_on else begin(file, output, wanted)


def show_plan(file: Path | None, wanted: Options) -> int:
    """Print a line for each cell; nothing runs, no host is asked. Rejects what the run would reject."""
    Baseline.read(wanted.baseline, wanted.accept)
    runners, task = Runners.of(wanted.hosts, wanted.inventory), _task(file)
    order = _planned(file, wanted, Display(), runners, at_hand(runners, task, wanted.jobs))
    for note in order.notes:
        console.out(f"note: {note}")
    for each in order.cells:
        beside = f", control plane {each.control_plane}" if each.control_plane else ""
        skip = f"  skipped: {each.skip}" if each.skip else ""
        console.out(f"{each.id}{beside}{skip}")
    return 0


def begin(file: Path | None, output: Path | None, wanted: Options) -> int:
    """Plan and run; the exit code."""
    display, baseline = Display(), Baseline.read(wanted.baseline, wanted.accept)
    wanted = replace(wanted, jobs=wanted.jobs or load_matrix(find_matrix(file)).jobs)
    runners = Runners.of(wanted.hosts, wanted.inventory)
    workers = at_hand(runners, _task(file), wanted.jobs, display.tell)
    order = _planned(file, wanted, display, runners, workers)
    if runners.target:
        workers += meet(runners, Task.of(order), wanted.jobs, display)
        order = session.with_skips(order, workers)
    folder = RunFolder((output or session.new_folder()).absolute())
    folder.write_order(order)
    return _run(order, folder, wanted, display, workers=workers, baseline=baseline)


def resume(output: Path | None, wanted: Options) -> int:
    """Run the remaining cells of an interrupted run; the exit code."""
    folder = RunFolder((output or session.newest_folder()).absolute())
    baseline = Baseline.read(wanted.baseline, wanted.accept)
    display, order = Display(), folder.read_order()
    runners, task = Runners.of(order.hosts, order.inventory), Task.of(order)
    workers = [*at_hand(runners, task, wanted.jobs, display.tell), *meet(runners, task, wanted.jobs, display)]
    return _run(order, folder, wanted, display, workers=workers, baseline=baseline)


def _task(file: Path | None) -> Task:
    """All versions that the matrix could use."""
    path = find_matrix(file)
    matrix = load_matrix(path)
    labs = [lab_reference(lab, path) for lab in matrix.labs]
    return Task(list(matrix.providers), [mode.value for mode in matrix.modes], labs)


def _planned(
    file: Path | None, wanted: Options, display: Display, runners: Runners, workers: Sequence[Worker]
) -> Order:
    """For these workers and the other hosts, not yet checked."""
    order = session.plan_order(
        find_matrix(file),
        workers=[*workers, *unseen(runners)],
        only=wanted.only,
        shard=wanted.shard,
        fresh=wanted.fresh,
        progress=display.tell,
    )
    inventory = runners.target.inventory if runners.target else ()
    return structs.replace(order, hosts=wanted.hosts, inventory=inventory)


def _run(
    order: Order,
    folder: RunFolder,
    wanted: Options,
    display: Display,
    *,
    workers: Sequence[Worker],
    baseline: Baseline,
) -> int:
    for note in order.notes:
        display.line(note, "bold yellow")
    display.line(f"{_cells(order.cells)}, results in {folder.path}")
    limits = Limits(order.deadline, wanted.fail_fast)
    pool = Pool(workers)

    def tell(text: str) -> None:
        display.line(text, STYLES.get(text.partition(" ")[0], "dim"))

    found = session.run_order(order, folder, limits, pool, tell, baseline=baseline)
    for note in found.notes[len(order.notes) :]:
        display.line(note, "bold yellow")
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
