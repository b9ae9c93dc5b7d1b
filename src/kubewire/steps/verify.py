"""The verdict on a running lab, as a task result and a report file."""

from __future__ import annotations

import json
from pathlib import Path

from kubewire.files import write_atomically
from kubewire.providers import get_provider
from kubewire.report.json import to_json
from kubewire.report.text import to_text
from kubewire.steps.outcome import Outcome
from kubewire.steps.target import required_record
from kubewire.verify import exit_code
from kubewire.verify.live import verify


def verify_lab(lab: str, report: str | None = None) -> Outcome:
    """Judge a lab; the outcome fails with exit code 1 or 4 where the report does."""
    record = required_record(lab)
    found = verify(get_provider(record.provider), record)
    text = to_json(found)
    if report:
        write_atomically(Path(report), text)
    return Outcome(facts={"report": json.loads(text)}, message=to_text(found), exit_code=exit_code(found))
