"""Errors a user can act on; each class carries the exit code of the CLI contract."""

from __future__ import annotations

import errno
from typing import ClassVar


class KubewireError(Exception):
    """What went wrong, where, and how to mend it.

    `what` is one sentence; `where` a file:line:column, a node or a path; `mend` says what to do next.
    """

    exit_code: ClassVar[int] = 4

    def __init__(self, what: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        head = f"{self.where}: {self.what}" if self.where else self.what
        return f"{head}\n  {self.mend}" if self.mend else head


class DefinitionError(KubewireError):
    """The lab file, an option or the call is wrong (exit 2)."""

    exit_code = 2


class HostError(KubewireError):
    """This machine can't run it, and why (exit 3)."""

    exit_code = 3


class LabError(KubewireError):
    """Nothing could be judged: the lab or the tool failed (exit 4)."""

    exit_code = 4


REFUSALS = {
    errno.ENOSPC: "free some space there",
    errno.EDQUOT: "free some space there, or have the quota raised",
    errno.EMFILE: "allow more open files: ulimit -n",
    errno.ENFILE: "close some programs: the machine has too many files open",
    errno.ENOMEM: "close some programs: the machine has no memory left",
} | dict.fromkeys(
    [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR],
    "XDG_STATE_HOME and XDG_CACHE_HOME name other folders for what kubewire keeps",
)
"""What a machine may refuse any program, and the way to mend it."""


def refusal(error: BaseException) -> HostError | None:
    """What the machine refused (a full disk, a folder that can't be written) as an error; None for others."""
    if not isinstance(error, OSError) or error.errno not in REFUSALS:
        return None
    what = f"this machine refuses: {error.strerror}"
    return HostError(what, where=str(error.filename or ""), mend=REFUSALS[error.errno])
