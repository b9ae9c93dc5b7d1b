"""The results of a run: its cells, its drift, and every output format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from kubewire.app.machine import described
from kubewire.core.errors import KubewireError
from kubewire.core.files import write_atomically
from kubewire.dataplane.explain_service import Explanation
from kubewire.matrix import results
from kubewire.matrix.results import CellResult, DriftResult, Fetch, Run, unchecked
from kubewire.nightly import drifts
from kubewire.nightly.folder import Order, RunFolder, read_run
from kubewire.nightly.run import now
from kubewire.report.html import run_to_html
from kubewire.report.junit import run_to_junit
from kubewire.report.run_markdown import run_to_markdown
from kubewire.versiondiff.acceptance import Acceptance, load_acceptances
from kubewire.versiondiff.model import Drift
from kubewire.versiondiff.roles import explained_by_roles


@dataclass(frozen=True)
class Baseline:
    """An earlier run to compare with, read before any cell runs, and the accepted drift."""

    run: Run | None = None
    folder: RunFolder | None = None
    acceptances: tuple[Acceptance, ...] = ()

    @classmethod
    def read(cls, path: Path | None, accept: Path | None) -> Baseline:
        """DefinitionError for a file that is missing, cut, or of another schema."""
        acceptances = load_acceptances(accept.absolute()) if accept else ()
        if path is None:
            return cls(acceptances=acceptances)
        return cls(read_run(path), RunFolder.of(path.absolute()), acceptances)


NO_BASELINE = Baseline()


def conclude(
    order: Order,
    folder: RunFolder,
    found: Mapping[str, CellResult],
    fetched: tuple[Fetch, ...] = (),
    *,
    why: str = "",
    baseline: Baseline = NO_BASELINE,
) -> Run:
    """The run and its reports from the results by cell; `why` it ended early, if it did.

    A comparison that is impossible is reported and is not a pass.
    """
    cells = tuple(found.get(each.id) or unchecked(each, "missing", f"not run: {why}") for each in order.cells)
    run = Run(
        schema_number=1,
        kubewire=version("kubewire"),
        matrix=order.matrix,
        started=order.started,
        finished=now(),
        shard=order.shard,
        partial=bool(why) or any(cell.status == "missing" for cell in cells),
        status=results.status_of(cells),
        machine=described(),
        notes=order.notes,
        fetched=fetched,
        cells=cells,
    )
    drift, lost = _drift(run, folder, baseline)
    unlike = drifts.unlike_checks(baseline.run, run) if baseline.run else []
    status = "failed" if drifts.is_open(drift) else "error" if lost and run.status == "passed" else run.status
    run = run.model_copy(update={"drift": drift, "status": status, "notes": (*order.notes, *lost, *unlike)})
    write_reports(run, folder)
    return run


def _drift(run: Run, folder: RunFolder, baseline: Baseline) -> tuple[tuple[DriftResult, ...], list[str]]:
    """From version to version, and against the baseline; and what can't be compared."""
    lost: list[str] = []
    today = datetime.now(UTC).date()

    def compared(pairs: Iterable[drifts.Pair], old: RunFolder) -> Iterator[Drift]:
        for pair in pairs:
            try:
                yield pair.compare(old.read_snapshot, folder.read_snapshot)
            except KubewireError as error:
                lost.append(f"{pair.after} can't be compared with {pair.before}: {error}")

    found = drifts.results(
        compared(drifts.across_versions(run), folder), "version", baseline.acceptances, today
    )
    if baseline.run is not None and baseline.folder is not None:
        against = compared(drifts.against(baseline.run, run), baseline.folder)
        found += drifts.results(against, "baseline", baseline.acceptances, today)
    return found, lost


def write_reports(run: Run, folder: RunFolder) -> None:
    """Write every output format, each atomically."""
    for name, text in (
        ("run.json", results.to_json(run)),
        ("junit.xml", run_to_junit(run)),
        ("summary.md", run_to_markdown(run)),
        ("report.html", run_to_html(run, _pairs(run, folder))),
    ):
        write_atomically(folder.path / name, text, mode=0o644)


def _pairs(run: Run, folder: RunFolder) -> Iterator[tuple[Explanation, Explanation]]:
    """In each lab and mode: the main Service in the oldest and in the newest verified version."""
    for cells in drifts.families(run.cells):
        if len(cells) > 1:
            with suppress(KubewireError):
                oldest, newest = (folder.read_snapshot(cell.id) for cell in (cells[0], cells[-1]))
                service = str(newest.meta.get("service", ""))
                yield explained_by_roles(oldest, service), explained_by_roles(newest, service)
