"""The report as JSON."""

from __future__ import annotations

import json

from kubewire.verify.report import Report


def to_json(report: Report) -> str:
    """The contract's JSON, indented, ASCII only (so that no control character reaches a terminal)."""
    return json.dumps(report.to_dict(), indent=1) + "\n"
