"""What a step did, in the shape of an Ansible task result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubewire.provider import Change


@dataclass(frozen=True)
class Outcome:
    """`changes` are named one by one; `facts` are further keys of the task's result.

    A step that judged, and found a failure, sets `failed` with its `exit_code` and `message`.
    """

    changes: Sequence[Change] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    message: str = ""
    exit_code: int = 0

    def result(self) -> dict[str, Any]:
        """The task result: `changed`, `changes` as lines, `msg`, and `failed` if the step failed."""
        lines = [change_line(change) for change in self.changes]
        result: dict[str, Any] = {**self.facts, "changed": bool(lines), "changes": lines}
        message = self.message or "\n".join(lines)
        if message:
            result["msg"] = message
        if self.exit_code:
            result |= {"failed": True, "kubewire_exit_code": self.exit_code}
        return result


def change_line(change: Change) -> str:
    """`iptables-worker: restarted kube-proxy (it was stopped)`."""
    return f"{change.where}: {change.what}" + (f" ({change.why})" if change.why else "")
