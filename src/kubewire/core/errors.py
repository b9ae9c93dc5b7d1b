"""Errors a user can act on; each class carries the exit code of the CLI contract."""

from __future__ import annotations

from typing import ClassVar


class KubewireError(Exception):
    """What went wrong, where, and how to mend it.

    `what` is one sentence; `where` a file:line:column, a node or a path; `mend` says what to do next.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        head = f"{shortened(self.where)}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.hint}" if self.hint else head


class DefinitionError(KubewireError):
    """The lab file, an option or the call is wrong (exit 2)."""

    exit_code = 2


class HostError(KubewireError):
    """This machine can't run it, and why (exit 3)."""

    exit_code = 3


class LabError(KubewireError):
    """Nothing could be judged: the lab or the tool failed (exit 4)."""

    exit_code = 4


def shortened(text: str, longest: int = 300) -> str:
    """A text that a message can show: of a longer one the middle is left out."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"
