"""The results of a nightly as one JSON document; its models define the schema (schemas/run.schema.json)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from msgspec.structs import asdict
from pydantic import Field

from kubewire.dataplane.core.findings import Check, IpFamily, adds_up
from kubewire.lab.schema import Model
from kubewire.matrix.plan import Cell
from kubewire.verify.causes import leading
from kubewire.verify.report import Report

SCHEMA = 1
CellStatus = Literal["passed", "failed", "error", "skipped", "missing"]
RunStatus = Literal["passed", "failed", "error", "skipped"]


class CheckResult(Model):
    """One check, as in a lab's report; a passed check has no expected and observed text."""

    id: str
    """The kind of check, from one registry."""
    status: Literal["passed", "failed", "skipped"]
    node: str = ""
    family: IpFamily = ""
    service: str = ""
    object: str = ""
    reason: str = ""
    """Why it is expected, or why it was skipped."""
    expected: str = ""
    observed: str = ""
    cause: tuple[str, ...] = ()
    """The id, node, service and object of the failed check that leads to this one; empty where none does."""


class Summary(Model):
    """How many checks there are of each status."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


class CellResult(Model):
    """One cell: a lab in one mode on one version."""

    id: str
    """LAB-MODE-PROVIDER-VERSION; the folder below cells/ that holds its log and its snapshot."""
    lab: str
    mode: str
    provider: str
    kubernetes: str
    """kube-proxy's exact version."""
    control_plane: str = ""
    """The version of the control plane beside it; empty if the lab was not created."""
    host: str = ""
    """The host of the inventory that it ran on; empty for the machine that the nightly was started on."""
    status: CellStatus
    """passed; failed: a check failed; error: it could not be verified; skipped: it can't run on this
    machine; missing: the run ended before it started."""
    reason: str = ""
    """Why it was an error, skipped or missing."""
    seconds: dict[str, float] = Field(default_factory=dict)
    """How long each phase took: cluster, workload, verify, snapshot."""
    summary: Summary = Summary()
    notes: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()

    @property
    def findings(self) -> list[Check]:
        """The failed checks, those that lead first and summaries of others last."""
        failed = [Check(**check.model_dump()) for check in self.checks if check.status == "failed"]
        return [*leading(failed), *sorted((check for check in failed if check.cause), key=adds_up)]


class MachineResult(Model):
    """The environment of the run."""

    cpus: int
    memory_bytes: int
    kernel: str


class Fetch(Model):
    """Binaries that were fetched or built during the run."""

    what: str
    status: Literal["passed", "error"]
    reason: str = ""
    seconds: float = 0.0


class ChangeResult(Model):
    """One container (chain, set, map, virtual server) that changed; its lines by roles, not by addresses."""

    kind: Literal["appeared", "vanished", "changed"]
    place: str
    """Where: `nftables ip chain services`."""
    before: tuple[str, ...] = ()
    """The lines that were removed."""
    after: tuple[str, ...] = ()
    """The lines that were added."""
    nodes: tuple[str, ...] = ()
    """The nodes on which it changed, by their roles."""


class GroupResult(Model):
    """All changes of one cause."""

    cause: str
    """unknown, cluster, configuration, node, or a feature of the version table."""
    title: str
    source: str = ""
    standing: Literal["open", "accepted", "known"]
    """known: explained by the versions; accepted: listed as accepted; open: neither, which is a failure."""
    reason: str = ""
    """Why it is accepted."""
    changes: tuple[ChangeResult, ...] = ()


class DriftResult(Model):
    """The changes of a cell's dataplane since another version, or since the baseline."""

    since: Literal["version", "baseline"]
    subject: str
    """The lab, mode and provider."""
    before: str
    """kube-proxy's version before."""
    after: str
    groups: tuple[GroupResult, ...] = ()


class Run(Model):
    """A whole nightly."""

    schema_number: Literal[1] = Field(alias="schema")
    """The version of this schema; a reader rejects any other."""
    kubewire: str
    """The version of kubewire."""
    matrix: str
    """The matrix's file."""
    started: str
    """UTC, ISO 8601."""
    finished: str
    shard: str = ""
    """K/N if this is one of N parts."""
    partial: bool = False
    """Whether the run ended early: not all cells ran, or the machine lacked something."""
    status: RunStatus
    """failed if a check failed or drift is open, else error if a cell could not be verified, else passed if
    any passed."""
    machine: MachineResult
    notes: tuple[str, ...] = ()
    fetched: tuple[Fetch, ...] = ()
    cells: tuple[CellResult, ...]
    drift: tuple[DriftResult, ...] = ()


def status_of(cells: Iterable[CellResult]) -> RunStatus:
    """A run in which no cell passed is not passed."""
    found = {cell.status for cell in cells}
    if "failed" in found:
        return "failed"
    if found & {"error", "missing"}:
        return "error"
    return "passed" if "passed" in found else "skipped"


EXIT_CODES: dict[RunStatus, int] = {"passed": 0, "failed": 1, "error": 4, "skipped": 3}


def checked(cell: Cell, report: Report, seconds: dict[str, float], control_plane: str) -> CellResult:
    """The result of a cell with a verified lab."""
    return CellResult(
        **_about(cell, control_plane),
        status=report.status,
        reason="; ".join(report.notes) if report.status == "error" else "",
        seconds=seconds,
        summary=Summary(**{s: report.count(s) for s in ("passed", "failed", "skipped")}),
        notes=report.notes,
        checks=tuple(_check(check) for check in report.checks),
    )


def unchecked(
    cell: Cell,
    status: CellStatus,
    reason: str,
    seconds: dict[str, float] | None = None,
    control_plane: str = "",
) -> CellResult:
    """The result of a cell without a report."""
    return CellResult(**_about(cell, control_plane), status=status, reason=reason, seconds=seconds or {})


def _about(cell: Cell, control_plane: str) -> dict[str, str]:
    return {"id": cell.id, **cell.keys, "control_plane": control_plane}


def _check(check: Check) -> CheckResult:
    known = {"expected": "", "observed": ""} if check.status == "passed" else {}
    return CheckResult(**{**asdict(check), **known})


def to_json(run: Run) -> str:
    return run.model_dump_json(by_alias=True, indent=1) + "\n"


def counts(cells: Sequence[CellResult]) -> dict[CellStatus, int]:
    """How many cells there are of each status, worst first."""
    order: tuple[CellStatus, ...] = ("failed", "error", "missing", "skipped", "passed")
    return {status: n for status in order if (n := sum(cell.status == status for cell in cells))}


WORDS: dict[CellStatus, str] = {
    "passed": "passed",
    "failed": "failed",
    "error": "error",
    "skipped": "can't run here",
    "missing": "not run",
}


def tally(cells: Sequence[CellResult]) -> str:
    """`12 passed, 1 not run`."""
    return ", ".join(f"{number} {WORDS[status]}" for status, number in counts(cells).items())
