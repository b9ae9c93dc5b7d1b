"""Verify a running lab, and before that wait for its dataplanes to match; task results and a report file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from kubewire.app.steps.outcome import Outcome
from kubewire.core.errors import LabError
from kubewire.core.files import read_bounded, write_atomically

if TYPE_CHECKING:
    from kubewire.verify.report import Report


def settle_dataplane(lab: str, *, check: bool = False) -> Outcome:
    """Wait for the nodes to match the API objects; each repair of one that stays different is a change.

    With `check` the nodes are only compared; a lab that isn't up has none.
    """
    from kubewire.app.steps.cluster import living_record
    from kubewire.lab.lookup import lab_name, required_record
    from kubewire.providers.registry import get_provider
    from kubewire.verify.settle import look, settle

    if not check:
        record = required_record(lab)
        return Outcome(settle(get_provider(record.provider), record))
    living = living_record(lab_name(lab))
    if living is None:
        return Outcome(message="the lab isn't up: there are no nodes to compare")
    provider = get_provider(living.provider)
    planned = [change for change in provider.up(living.lab, check=True) if not change.reported]
    try:
        return Outcome(look(provider, living, planned))
    except LabError as error:
        if not planned:
            raise
        return Outcome(message=f"the nodes can't be compared before the cluster is repaired: {error.what}")


def verify_lab(lab: str, report: str | None = None, *, check: bool = False) -> Outcome:
    """Verify a lab; the outcome fails with the report's exit code 1 or 4.

    With `check` it is skipped: what the run would change doesn't exist yet.
    """
    if check:
        return Outcome(facts={"skipped": True}, message="in check mode there is nothing to verify yet")
    from kubewire.lab.lookup import required_record
    from kubewire.providers.registry import get_provider
    from kubewire.report.text import to_text
    from kubewire.verify.live import verify
    from kubewire.verify.stored import to_stored

    record = required_record(lab)
    found = verify(get_provider(record.provider), record)
    data = to_stored(found)
    if report:
        write_atomically(Path(report), json.dumps(data, indent=1) + "\n")
    return Outcome(facts={"report": data["summary"]}, message=to_text(found), exit_code=found.exit_code)


def read_report(path: Path) -> Report:
    """The report of a file that `verify_lab` wrote here or on a lab host; LabError for anything else."""
    from kubewire.verify.stored import LIMIT, read_stored

    try:
        return read_stored(read_bounded(path, LIMIT))
    except (OSError, ValueError, RecursionError) as error:
        raise LabError(f"the report can't be read: {error}", where=str(path)) from error
