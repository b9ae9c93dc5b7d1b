"""A whole nightly: planned or resumed, run, its results written, whole or marked partial."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path

from kubewire import paths
from kubewire.cli.signals import Terminated
from kubewire.dataplane.explain_service import Explanation
from kubewire.drift.acceptance import Acceptance, load_acceptances
from kubewire.drift.roles import explained_by_roles
from kubewire.errors import DefinitionError, KubewireError
from kubewire.files import write_atomically
from kubewire.kubernetes import store
from kubewire.kubernetes.catalog import KUBE_PROXY
from kubewire.kubernetes.locks import locked
from kubewire.kubernetes.offers import kubernetes_offer
from kubewire.kubernetes.overview import newer_minors
from kubewire.kubernetes.resolving import resolve
from kubewire.lab.loading import display_path
from kubewire.lab.values import seconds
from kubewire.matrix import drifts, results
from kubewire.matrix.folder import CellOrder, Order, RunFolder
from kubewire.matrix.loading import lab_reference, load_matrix
from kubewire.matrix.machine import described, examine
from kubewire.matrix.plan import plan, shares_control_planes
from kubewire.matrix.results import Run, read_run, unjudged
from kubewire.matrix.run import Limits, Nightly, now
from kubewire.matrix.versions import choose
from kubewire.progress import Progress
from kubewire.report.html import run_to_html
from kubewire.report.run_junit import run_to_junit
from kubewire.report.run_markdown import run_to_markdown
from kubewire.snapshot.archive import read_archive
from kubewire.snapshot.model import Snapshot

Tell = Callable[[str], None]


def plan_order(
    file: Path, *, only: Sequence[str] = (), shard: str = "", fresh: bool = False, progress: Progress
) -> Order:
    """What a nightly is to do on this machine; `fresh` looks for newer patches than those in the cache.

    Raises DefinitionError and HostError.
    """
    matrix = load_matrix(file)
    references = {lab: lab_reference(lab, file) for lab in matrix.labs}
    machine = examine(matrix, references.values())
    whole = not shares_control_planes(matrix.control_plane, releases=machine.releases)
    chosen = choose(
        matrix,
        only,
        resolve=partial(resolve, progress=progress, fresh=fresh, whole=whole or "kind" in matrix.providers),
        newer=partial(_newer_minors, progress),
    )
    cells = plan(matrix, chosen.versions, machine, only=only, shard=shard)
    return Order(
        matrix=display_path(file),
        shard=shard,
        started=now(),
        deadline=seconds(matrix.deadline),
        notes=chosen.notes,
        cells=tuple(
            CellOrder(
                lab=cell.lab,
                mode=cell.mode,
                provider=cell.provider,
                kubernetes=cell.kubernetes,
                control_plane=cell.control_plane,
                skip=cell.skip,
                reference=references[cell.lab],
            )
            for cell in cells
        ),
    )


def _newer_minors(progress: Progress) -> list[int]:
    progress("version", "asking for newer minors")
    return newer_minors(store.complete_versions((KUBE_PROXY,)), kubernetes_offer(progress=progress))


@dataclass(frozen=True)
class Baseline:
    """An earlier run to compare with, read before anything is run, and the drift that is accepted."""

    run: Run | None = None
    folder: RunFolder | None = None
    acceptances: tuple[Acceptance, ...] = ()

    @classmethod
    def read(cls, path: Path | None, accept: Path | None) -> Baseline:
        """DefinitionError for a file of another schema, a cut one, or none."""
        acceptances = load_acceptances(accept.absolute()) if accept else ()
        if path is None:
            return cls(acceptances=acceptances)
        folder = path if path.is_dir() else path.parent
        return cls(read_run(path), RunFolder(folder.absolute()), acceptances)


def run_order(
    order: Order,
    folder: RunFolder,
    limits: Limits,
    tell: Tell,
    baseline: Baseline | None = None,
) -> Run:
    """Run what has no result yet. Interrupted or not, the folder then holds the reports on what there is.

    One nightly at a time runs for a user of this machine; a second waits for it.
    """
    machine_lock = paths.cache_dir() / "locks" / "matrix.lock"
    nightly = Nightly(folder, limits, tell)

    def waiting(
        step: str,  # noqa: ARG001
        detail: str = "",
        done: int | None = None,  # noqa: ARG001
        total: int | None = None,  # noqa: ARG001
    ) -> None:
        tell(detail)

    with folder.held(), locked(machine_lock, "another nightly", waiting):
        try:
            fetching = nightly.run(order.cells)
        except (KeyboardInterrupt, Terminated):
            _write(order, folder, nightly, (), "interrupted")
            tell(f"interrupted; kubewire matrix --resume --output {folder.path} goes on")
            raise
        except OSError as error:
            _write(order, folder, nightly, (), str(error))
            raise
        return _write(order, folder, nightly, tuple(fetching.done), baseline=baseline)


def _write(
    order: Order,
    folder: RunFolder,
    nightly: Nightly,
    fetched: tuple[results.Fetch, ...],
    why: str = "",
    *,
    baseline: Baseline | None = None,
) -> Run:
    found = tuple(
        nightly.results.get(each.cell.id) or unjudged(each.cell, "missing", f"not run: {why}")
        for each in order.cells
    )
    run = Run(
        schema_number=1,
        kubewire=version("kubewire"),
        matrix=order.matrix,
        started=order.started,
        finished=now(),
        shard=order.shard,
        partial=any(cell.status == "missing" for cell in found),
        status=results.status_of(found),
        machine=described(),
        notes=order.notes,
        fetched=fetched,
        cells=found,
    )
    drift = _drift(run, folder, baseline or Baseline())
    status = "failed" if drifts.is_open(drift) else run.status
    run = run.model_copy(update={"drift": drift, "status": status})
    write_reports(run, folder)
    return run


def _drift(run: Run, folder: RunFolder, baseline: Baseline) -> tuple[results.DriftResult, ...]:
    """From version to version, and against the baseline; what can't be compared is told as such."""

    def read(cell_id: str) -> Snapshot:
        return read_archive(folder.snapshot(cell_id))

    found = drifts.across_versions(run, read)
    told = drifts.results(found, "version", baseline.acceptances, datetime.now(UTC).date())
    earlier = baseline.folder
    if baseline.run is None or earlier is None:
        return told
    against = drifts.against(baseline.run, run, lambda cell: read_archive(earlier.snapshot(cell)), read)
    return told + drifts.results(against, "baseline", baseline.acceptances, datetime.now(UTC).date())


def write_reports(run: Run, folder: RunFolder) -> None:
    """Every form of the results, each whole or not at all."""
    for name, text in (
        ("run.json", results.to_json(run)),
        ("junit.xml", run_to_junit(run)),
        ("summary.md", run_to_markdown(run)),
        ("report.html", run_to_html(run, _pairs(run, folder))),
    ):
        write_atomically(folder.path / name, text, mode=0o644)


def _pairs(run: Run, folder: RunFolder) -> Iterator[tuple[Explanation, Explanation]]:
    """In each lab and mode: the main Service in the oldest and in the newest version that was judged."""
    for cells in drifts.families(run.cells):
        if len(cells) > 1:
            with suppress(KubewireError):
                oldest, newest = (read_archive(folder.snapshot(cell.id)) for cell in (cells[0], cells[-1]))
                service = str(newest.meta.get("service", ""))
                yield explained_by_roles(oldest, service), explained_by_roles(newest, service)


def new_folder() -> Path:
    """Where a run is kept that nobody named a folder for."""
    return paths.state_dir() / "nightly" / time.strftime("%Y%m%d-%H%M%S")


def newest_folder() -> Path:
    """The newest of those; DefinitionError if there is none."""
    base = paths.state_dir() / "nightly"
    found = sorted(base.iterdir()) if base.is_dir() else []
    if not found:
        raise DefinitionError("no nightly to resume", where=str(base), mend="start one without --resume")
    return found[-1]
