"""The outcome of a step, in the form of an Ansible task result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubewire.providers.base import Change

WOULD = "would be done: "
"""The prefix of a change in check mode."""


@dataclass(frozen=True)
class Outcome:
    """`changes` are listed one by one; `facts` are further keys of the task's result.

    A step that ran and found a failure sets `failed` with its `exit_code` and `message`.
    """

    changes: Sequence[Change] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    exit_code: int = 0

    def result(self, *, check: bool = False) -> dict[str, Any]:
        """The task result: `changed`, `changes` as lines, `diff`, `msg`, and `failed` if the step failed."""
        lines = [change_line(change, check=check) for change in self.changes]
        changed = any(not change.reported for change in self.changes)
        result: dict[str, Any] = {**self.facts, "changed": changed, "changes": lines}
        if diff := [diff_of(change) for change in self.changes if change.before != change.after]:
            result["diff"] = diff
        message = self.message or "\n".join(lines)
        if message:
            result["msg"] = message
        if self.exit_code:
            result |= {"failed": True, "kubewire_exit_code": self.exit_code}
        return result


def change_line(change: Change, *, check: bool = False) -> str:
    """`iptables-worker: restarted kube-proxy (it was stopped)`; in check mode with WOULD before what."""
    tense = WOULD if check and not change.reported else ""
    return f"{change.where}: {tense}{change.what}" + (f" ({change.why})" if change.why else "")


def diff_of(change: Change) -> dict[str, str]:
    """One entry of Ansible's `diff`."""
    title = f"{change.where}: {change.what.partition(': ')[0]}"
    return {
        "before_header": title,
        "after_header": title,
        "before": _lines(change.before),
        "after": _lines(change.after),
    }


def _lines(text: str) -> str:
    return text and text.rstrip("\n") + "\n"
