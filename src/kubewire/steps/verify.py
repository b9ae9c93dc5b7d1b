"""The verdict on a running lab, as a task result and a report file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubewire.core.files import write_atomically
from kubewire.steps.outcome import Outcome

if TYPE_CHECKING:
    from kubewire.report.model import Report


def verify_lab(lab: str, report: str | None = None, *, check: bool = False) -> Outcome:
    """Judge a lab; the outcome fails with exit code 1 or 4 where the report does.

    With `check` it is skipped: what the run would change isn't there to be judged.
    """
    if check:
        return Outcome(facts={"skipped": True}, message="in check mode there is nothing to verify yet")
    from kubewire.providers import get_provider
    from kubewire.report.text import to_text
    from kubewire.steps.target import required_record
    from kubewire.verify import exit_code
    from kubewire.verify.live import verify

    record = required_record(lab)
    found = verify(get_provider(record.provider), record)
    data = {**found.to_dict(), "story": [list(line) for line in found.story]}
    if report:
        write_atomically(Path(report), json.dumps(data, indent=1) + "\n")
    return Outcome(facts={"report": data["summary"]}, message=to_text(found), exit_code=exit_code(found))


def read_report(data: Mapping[str, Any]) -> Report:
    """The report of a file that `verify_lab` wrote."""
    from kubewire.dataplane.findings import Check
    from kubewire.report.model import Report, ReportNode

    return Report(
        lab=data["lab"],
        provider=data["provider"],
        kubernetes=data["kubernetes"],
        mode=data["mode"],
        status=data["status"],
        nodes=tuple(ReportNode(**node) for node in data["nodes"]),
        checks=tuple(Check(**check) for check in data["checks"]),
        notes=tuple(data["notes"]),
        story=tuple((label, text) for label, text in data.get("story", ())),
    )
