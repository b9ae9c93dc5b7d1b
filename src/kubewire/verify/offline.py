"""Verifying a snapshot folder: no lab, no Ansible, no cluster."""

from __future__ import annotations

from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.snapshot.folder import read_snapshot
from kubewire.verify.evaluate import evaluate_snapshot, report_of
from kubewire.verify.report import Report


def verify_folder(folder: Path) -> Report:
    """Verify the folder's snapshot. DefinitionError if it doesn't exist, LabError if it can't be read."""
    snapshot = read_snapshot(folder)
    try:
        verdict = evaluate_snapshot(snapshot)
        return report_of(snapshot, verdict.checks, verdict.notes, story=verdict.story)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise LabError(
            f"a file of the snapshot is not as its tool writes it: {error!r}",
            where=str(folder),
            hint="take it again with kubewire snapshot",
        ) from error
