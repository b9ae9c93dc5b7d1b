"""A whole nightly: plan or resume, run, write the results, complete or marked partial."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from msgspec.structs import astuple, replace

from kubewire.binaries import store
from kubewire.binaries.catalog import KUBE_PROXY, MINORS, PUBLIC
from kubewire.binaries.offers import kubernetes_offer
from kubewire.binaries.resolving import resolve
from kubewire.binaries.versions import minor_of
from kubewire.binaries.web import why_unreachable
from kubewire.core import paths
from kubewire.core.errors import DefinitionError, KubewireError
from kubewire.core.locks import locked
from kubewire.core.progress import Progress
from kubewire.core.signals import Terminated
from kubewire.lab.loading import display_path
from kubewire.lab.values import seconds
from kubewire.matrix.loading import lab_reference, load_matrix, place_of_version
from kubewire.matrix.plan import follows_new_minors, may_be_meant, plan, shares_control_planes, version_words
from kubewire.matrix.results import Run
from kubewire.matrix.schema import Matrix
from kubewire.nightly.conclusion import NO_BASELINE, Baseline, conclude
from kubewire.nightly.folder import CellOrder, Order, RunFolder
from kubewire.nightly.run import Limits, Nightly, now
from kubewire.nightly.workers import Pool, Worker, machine_of, why_nowhere
from kubewire.providers.registry import get_provider
from kubewire.report.versions_text import newer_minors

Tell = Callable[[str], None]


def plan_order(
    file: Path,
    *,
    workers: Sequence[Worker],
    only: Sequence[str] = (),
    shard: str = "",
    fresh: bool = False,
    progress: Progress,
) -> Order:
    """The order of a nightly with these workers; `fresh` looks for newer patches than those in the cache.

    Raises DefinitionError and HostError.
    """
    matrix = load_matrix(file)
    references = {lab: lab_reference(lab, file) for lab in matrix.labs}
    modes = [mode.value for mode in matrix.modes]
    machine = machine_of(workers, modes, matrix.providers, releases=not why_unreachable(PUBLIC.kubernetes))
    whole = not shares_control_planes(matrix.control_plane, releases=machine.releases)
    needs_all = not all(get_provider(provider).uses_binaries for provider in matrix.providers)

    def resolved(word: str) -> str:
        try:
            return resolve(word, progress=progress, fresh=fresh, whole=whole or needs_all)
        except DefinitionError as error:
            raise DefinitionError(error.what, where=place_of_version(file, word), hint=error.hint) from error

    chosen = choose(matrix, only, resolve=resolved, newer=partial(_newer_minors, progress))
    cells = plan(matrix, chosen.versions, machine, only=only, shard=shard)
    return Order(
        matrix=display_path(file),
        shard=shard,
        started=now(),
        deadline=seconds(matrix.deadline),
        notes=chosen.notes,
        cells=tuple(CellOrder(*astuple(cell), reference=references[cell.lab]) for cell in cells),
    )


def with_skips(order: Order, workers: Sequence[Worker]) -> Order:
    """The order, updated with what its workers lack."""
    skips = [(cell, why_nowhere(workers, cell.provider, cell.mode)) for cell in order.cells]
    return replace(order, cells=tuple(replace(cell, skip=why) for cell, why in skips))


def _newer_minors(progress: Progress) -> list[int]:
    progress("version", "asking for newer minors")
    return newer_minors(store.complete_versions((KUBE_PROXY,)), kubernetes_offer(progress=progress))


def run_order(
    order: Order,
    folder: RunFolder,
    limits: Limits,
    pool: Pool,
    tell: Tell,
    *,
    baseline: Baseline = NO_BASELINE,
) -> Run:
    """Run what has no result yet. Interrupted or not, it writes the reports on all results.

    One nightly at a time runs for a user of this machine; a second waits for it.
    """
    machine_lock = paths.cache_dir() / "locks" / "matrix.lock"
    nightly = Nightly(folder, limits, pool, tell)

    def waiting(
        step: str,  # noqa: ARG001
        detail: str = "",
        done: int | None = None,  # noqa: ARG001
        total: int | None = None,  # noqa: ARG001
    ) -> None:
        tell(detail)

    with folder.held(), locked(machine_lock, "another nightly", waiting):
        try:
            with folder.reserve():
                fetching = nightly.run(order.cells)
        except (KeyboardInterrupt, Terminated):
            conclude(order, folder, nightly.results, why="interrupted")
            tell(f"interrupted; kubewire matrix --resume --output {folder.path} continues")
            raise
        except OSError as error:
            why = error.strerror or str(error)
            conclude(order, folder, nightly.results, why=why)
            tell(f"{why}: what ran is kept; kubewire matrix --resume --output {folder.path} continues")
            raise
        told = replace(order, notes=(*order.notes, *pool.losses))
        return conclude(told, folder, nightly.results, tuple(fetching.done), baseline=baseline)


def new_folder() -> Path:
    """The default folder of a run."""
    return paths.state_dir() / "nightly" / time.strftime("%Y%m%d-%H%M%S")


def newest_folder() -> Path:
    """The newest of those; DefinitionError if there is none."""
    base = paths.state_dir() / "nightly"
    found = sorted(base.iterdir()) if base.is_dir() else []
    if not found:
        raise DefinitionError("no nightly to resume", where=str(base), hint="start one without --resume")
    return found[-1]


@dataclass(frozen=True)
class Chosen:
    """Exact versions, and notes on them."""

    versions: tuple[str, ...]
    notes: tuple[str, ...] = ()


def choose(
    matrix: Matrix,
    only: Sequence[str],
    *,
    resolve: Callable[[str], str],
    newer: Callable[[], Iterable[int]],
) -> Chosen:
    """`resolve` makes a version exact; `newer` lists minors beyond the known ones, if the matrix needs them.

    A new minor that isn't named and can't be fetched is left out with a note; other errors are raised.
    """
    exact: dict[str, str] = {}
    counted, notes = [], []
    for minor in newer() if follows_new_minors(matrix) else ():
        word = f"1.{minor}"
        try:
            if may_be_meant(word, only):
                exact[word] = resolve(word)
            counted.append(minor)
        except KubewireError as error:
            notes.append(f"Kubernetes {word} is listed, and left out: {error.what}")
    words = version_words(matrix, only, counted)
    found = tuple(dict.fromkeys(exact.get(word) or resolve(word) for word in words))
    return Chosen(found, (*notes, *(_beyond(version) for version in found if minor_of(version) > MINORS[-1])))


def _beyond(version: str) -> str:
    return (
        f"Kubernetes {version} is newer than 1.{MINORS[-1]}, the newest whose rules kubewire knows: it is "
        "checked by the rules of that one, and a failure may be a change of kube-proxy's"
    )
