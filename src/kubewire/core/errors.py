"""Errors a user can act on; each class carries the exit code of the CLI contract."""

from __future__ import annotations

from typing import ClassVar


class KubewireError(Exception):
    """What went wrong, where, and how to fix it.

    `what` is one sentence; `where` a file:line:column, a node or a path; `hint` says what to do next.
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
    """The lab file or the command line is invalid (exit 2)."""

    exit_code = 2


class HostError(KubewireError):
    """This machine can't run the lab (exit 3)."""

    exit_code = 3


class LabError(KubewireError):
    """There is no result: the lab or kubewire itself failed (exit 4)."""

    exit_code = 4


def shortened(text: str, longest: int = 300) -> str:
    """The text for a message: the middle of a longer one is left out."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {text[-half:]}"
