"""The answers of a lab host to each step, validated on the controller.

The owner of a lab host is root on it and may answer anything. Only known keys of known types and bounded size
are accepted; anything else is rejected, and the error names it. Ansible's result is built from these values,
so no key that it acts on (`add_host`, `ansible_facts`, `invocation`, …) can come from a lab host.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from kubewire.core.bounded import MANY, Count, Line, Name, Text, Words
from kubewire.core.rpc import decode
from kubewire.providers.base import NAME_PATTERN
from kubewire.verify.stored import StoredReport, Summary

Lines = Annotated[list[Line], MANY]
Package = Annotated[str, Meta(pattern=r"\A[a-z0-9][a-z0-9+.-]{0,100}\Z")]
Packages = Annotated[list[Package], MANY]
ProviderName = Annotated[str, Meta(pattern=rf"\A{NAME_PATTERN}\Z")]
Path = Annotated[str, Meta(pattern=r"\A/[^\0\n]*\Z", max_length=4096)]
Versions = dict[Name, dict[Name, Line]]


class Answer(Struct, forbid_unknown_fields=True):
    """The session's answer to one call: the step's progress, and its result once it is done."""

    job: Count
    progress: Annotated[list[ProgressLine], MANY] = []
    result: Raw = Raw(b"")


class ProgressLine(Struct, forbid_unknown_fields=True):
    step: Words
    detail: Words = ""
    done: Count | None = None
    total: Count | None = None
    t: float = 0.0


class Difference(Struct, forbid_unknown_fields=True):
    """An entry of Ansible's `diff`: texts before and after."""

    before: Text
    after: Text
    before_header: Line
    after_header: Line


class Done(Struct, forbid_unknown_fields=True):
    """The result of a step that succeeded; most have only these keys."""

    changed: bool
    changes: Lines
    msg: Text | UnsetType = UNSET
    diff: Annotated[list[Difference], MANY] | UnsetType = UNSET


class Fault(Struct, forbid_unknown_fields=True):
    """A KubewireError's parts."""

    what: Text
    where: Text
    hint: Text


class Failed(Struct, forbid_unknown_fields=True):
    """The result of a step that failed."""

    failed: bool
    kubewire_exit_code: Annotated[int, Meta(ge=1, le=4)]
    msg: Text = ""
    kubewire_error: Fault | UnsetType = UNSET
    changed: bool | UnsetType = UNSET
    changes: Lines | UnsetType = UNSET
    report: Summary | UnsetType = UNSET
    full_report: StoredReport | UnsetType = UNSET


class PackagesDone(Done, kw_only=True):
    missing: Packages
    provider: ProviderName
    binaries: bool


class ClusterDone(Done, kw_only=True):
    lab: Name
    provider: ProviderName
    why: Line
    kubernetes: Name | UnsetType = UNSET
    tools: Versions | UnsetType = UNSET
    anew: bool | UnsetType = UNSET


class WorkloadDone(Done, kw_only=True):
    waited: bool | UnsetType = UNSET


class VerifyDone(Done, kw_only=True):
    report: Summary
    full_report: StoredReport | UnsetType = UNSET


class VmDone(Done, kw_only=True):
    inventory: Line | UnsetType = UNSET
    host: Name | UnsetType = UNSET
    kubernetes: Name | UnsetType = UNSET


class CellHostDone(Done, kw_only=True):
    cpus: Annotated[int, Meta(ge=1, le=4096)]
    memory_bytes: Count
    lacking: dict[Name, Line]
    missing: Packages


class MissingBinariesDone(Done, kw_only=True):
    missing: Annotated[list[tuple[Name, Name, Annotated[list[Name], MANY]]], MANY]
    architecture: Name
    incoming: Path


DONE: dict[str, type[Done]] = {
    "packages": PackagesDone,
    "cluster": ClusterDone,
    "commit": Done,
    "workload": WorkloadDone,
    "settle": Done,
    "verify": VerifyDone,
    "remove": Done,
    "vm": VmDone,
    "cell_host": CellHostDone,
    "missing_binaries": MissingBinariesDone,
    "adopt_binaries": Done,
}
"""The type of the result of each step that runs on a lab host."""


class _Kind(Struct):
    failed: bool = False


def read_answer(text: str, host: str, step: str) -> Answer:
    """The session's answer; LabError with the host and the invalid part."""
    return decode(text, Answer, host, f"step {step}")


def read_result(answer: Answer, host: str, step: str) -> Done | Failed:
    """The step's result; LabError as `read_answer`."""
    data, what = bytes(answer.result), f"step {step}"
    if decode(data, _Kind, host, what).failed:
        return decode(data, Failed, host, what)
    return decode(data, DONE[step], host, what)


def task_result(result: Done | Failed) -> dict[str, Any]:
    """Plain values for Ansible, without the full report."""
    values: dict[str, Any] = msgspec.to_builtins(result)
    values.pop("full_report", None)
    return values
