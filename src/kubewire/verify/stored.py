"""A verify run's report as it is stored and sent: the report contract's JSON and the story for people."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from kubewire.core.bounded import Count
from kubewire.core.serialization import decode
from kubewire.dataplane.core.findings import Check
from kubewire.verify.report import Report, ReportNode, Status

LIMIT = 64 << 20
"""Bytes of a stored report."""


class Summary(Struct, forbid_unknown_fields=True):
    """How many checks there are of each status."""

    passed: Count
    failed: Count
    skipped: Count


class _Check(Check, frozen=True, forbid_unknown_fields=True):
    pass


class _Node(ReportNode, frozen=True, forbid_unknown_fields=True):
    pass


class StoredReport(Struct, forbid_unknown_fields=True):
    """What `to_stored` wrote."""

    schema: Annotated[int, Meta(ge=1, le=1)]
    lab: str
    provider: str
    kubernetes: str
    mode: str
    status: Status
    summary: Summary
    notes: tuple[str, ...]
    nodes: tuple[_Node, ...]
    checks: tuple[_Check, ...]
    story: tuple[tuple[str, str], ...] = ()

    def report(self) -> Report:
        """The report; its counts are those of its checks, not those of the summary."""
        return Report(**{name: getattr(self, name) for name in Report.__struct_fields__})


def to_stored(report: Report) -> dict[str, Any]:
    """The report as the contract's JSON, with its story."""
    return {**report.to_dict(), "story": [list(line) for line in report.story]}


def read_stored(data: bytes) -> Report:
    """The report; ValueError or RecursionError for anything else."""
    return decode(data, StoredReport).report()
