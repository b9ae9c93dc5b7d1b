"""`kubewire diff`: read two nightlies or snapshots, compare and print."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kubewire.core.console import Screen
from kubewire.core.errors import DefinitionError
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.nightly import drifts
from kubewire.nightly.folder import RunFolder, read_run
from kubewire.report.drift_text import render
from kubewire.snapshot.archive import read_archive
from kubewire.snapshot.folder import read_snapshot
from kubewire.versiondiff.acceptance import expired, load_acceptances
from kubewire.versiondiff.compare import drift
from kubewire.versiondiff.model import Drift


def compare(before: Path, after: Path | None, accept: Path | None, *, everything: bool) -> int:
    """Compare and print; the exit code."""
    today = datetime.now(UTC).date()
    acceptances = load_acceptances(accept.absolute()) if accept else ()
    since: drifts.Since = "version" if after is None else "baseline"
    found = drifts.results(_drifts(before, after), since, acceptances, today)
    if not found:
        raise DefinitionError("they have no verified cell in common", where=f"{before} {after or ''}".strip())
    screen = Screen()
    for each in found:
        for line in render(each, everything=everything):
            screen.rendered(line)
    if after is not None and _is_run(before):
        for note in drifts.unlike_checks(read_run(before), read_run(after)):
            screen.line(note, style="yellow")
    for over in expired(acceptances, today):
        told = f"no longer accepted since {over.expires}: {over.cause} {over.object} ({over.reason})"
        screen.line(told, style="yellow")
    return 1 if drifts.is_open(found) else 0


def _drifts(before: Path, after: Path | None) -> Iterator[Drift]:
    if _is_run(before) and (after is None or _is_run(after)):
        old = read_run(before)
        pairs = drifts.across_versions(old) if after is None else drifts.against(old, read_run(after))
        earlier, later = RunFolder.of(before), RunFolder.of(after or before)
        for pair in pairs:
            yield pair.compare(earlier.read_snapshot, later.read_snapshot)
        return
    if after is None or _is_run(before) or _is_run(after):
        raise DefinitionError(
            "two nightlies or two snapshots are compared",
            where=str(before),
            hint="kubewire diff --help",
        )
    first, second = _snapshot(before), _snapshot(after)
    yield drift(first, second, str(second.meta.get("lab") or after.name))


def _is_run(path: Path) -> bool:
    return path.suffix == ".json" or (path / "run.json").exists()


def _snapshot(path: Path) -> Snapshot:
    return read_archive(path) if path.is_file() else read_snapshot(path)
