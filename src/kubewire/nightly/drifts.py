"""The drift of a run: from version to version within it, and against a baseline, cell by cell. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from typing import Literal

from kubewire.binaries.versions import parse, sort_key
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.matrix.results import CellResult, ChangeResult, DriftResult, GroupResult, Run
from kubewire.versiondiff.acceptance import Acceptance, Judged, judge
from kubewire.versiondiff.compare import drift
from kubewire.versiondiff.model import Drift

Since = Literal["version", "baseline"]
JUDGED = ("passed", "failed")
Read = Callable[[str], Snapshot]
"""A cell's id → its snapshot; raises LabError."""


@dataclass(frozen=True)
class Pair:
    """Two cells, by their ids, whose snapshots are to be compared."""

    before: str
    after: str
    subject: str

    def compare(self, old: Read, new: Read) -> Drift:
        """LabError where a snapshot can't be read."""
        return drift(old(self.before), new(self.after), self.subject)


def across_versions(run: Run) -> Iterator[Pair]:
    """In each lab, mode and provider: each version and the one before it."""
    for group in families(run.cells):
        for older, newer in pairwise(group):
            yield Pair(older.id, newer.id, _subject(newer))


def against(baseline: Run, run: Run) -> Iterator[Pair]:
    """Each cell and the same one of an earlier run; the patch version may have moved on."""
    before = {_same(cell): cell for cell in baseline.cells if cell.status in JUDGED}
    for cell in run.cells:
        earlier = before.get(_same(cell))
        if earlier is not None and cell.status in JUDGED:
            yield Pair(earlier.id, cell.id, _subject(cell))


def unlike_checks(baseline: Run, run: Run) -> list[str]:
    """Notes on the ids of checks that only one of the runs has, in the cells that both have.

    Such ids come and go with kubewire, not with a dataplane, so they are no drift. Some checks appear only
    where they fail; only those that passed or were skipped are called new or gone.
    """
    pairs = list(against(baseline, run))
    had, steady_then = _ids(baseline, {pair.before for pair in pairs})
    has_now, steady_now = _ids(run, {pair.after for pair in pairs})
    failed_only = has_now - steady_now - had
    told = {
        "new checks, which the baseline does not have": steady_now - had,
        "failed and not in the baseline's reports (new, or shown only where they fail)": failed_only,
        "checks of the baseline that are gone": steady_then - has_now,
    }
    return [f"{text}: {', '.join(sorted(ids))}" for text, ids in told.items() if ids]


def _ids(run: Run, cells: set[str]) -> tuple[set[str], set[str]]:
    """The ids of checks in these cells, and of those the ones that passed or were skipped somewhere."""
    checks = [check for cell in run.cells if cell.id in cells for check in cell.checks]
    return {check.id for check in checks}, {check.id for check in checks if check.status != "failed"}


def results(
    drifts: Iterable[Drift], since: Since, acceptances: Sequence[Acceptance], today: date
) -> tuple[DriftResult, ...]:
    """Drifts as results have them; `since` names the reference: `version` or `baseline`."""
    return tuple(
        DriftResult(
            since=since,
            subject=each.subject,
            before=each.before,
            after=each.after,
            groups=tuple(_group(judged) for judged in judge(each, acceptances, today)),
        )
        for each in drifts
    )


def is_open(found: Iterable[DriftResult]) -> bool:
    """Whether anything drifted that is neither known nor accepted."""
    return any(group.standing == "open" for each in found for group in each.groups)


def families(cells: Iterable[CellResult]) -> Iterator[list[CellResult]]:
    """The verified cells of each lab, mode and provider, oldest version first."""
    found: dict[tuple[str, str, str], list[CellResult]] = {}
    for cell in cells:
        if cell.status in JUDGED:
            found.setdefault((cell.lab, cell.mode, cell.provider), []).append(cell)
    for group in found.values():
        yield sorted(group, key=lambda cell: sort_key(cell.kubernetes))


def _same(cell: CellResult) -> tuple[str, str, str, int]:
    return cell.lab, cell.mode, cell.provider, parse(cell.kubernetes).minor


def _subject(cell: CellResult) -> str:
    return f"{cell.lab} {cell.mode} {cell.provider}"


def _group(judged: Judged) -> GroupResult:
    cause = judged.group.cause
    return GroupResult(
        cause=cause.name,
        title=cause.title,
        source=cause.source,
        standing=judged.standing,
        reason=judged.reason,
        changes=tuple(
            ChangeResult(
                kind=change.kind,
                place=change.place,
                before=change.before,
                after=change.after,
                nodes=change.nodes,
            )
            for change in judged.group.changes
        ),
    )
