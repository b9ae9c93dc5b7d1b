"""Errors of the operating system as errors that a user can act on."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kubewire.core.errors import DefinitionError, HostError, KubewireError
from kubewire.core.paths import cache_dir, state_dir

OTHER_FOLDERS = "XDG_STATE_HOME and XDG_CACHE_HOME name other folders for what kubewire keeps"
REFUSALS = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or have the quota raised",
    errno.EMFILE: "allow more open files: ulimit -n",
    errno.ENFILE: "close some programs: the machine has too many files open",
    errno.ENOMEM: "close some programs: the machine has no memory left",
} | dict.fromkeys([errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR], OTHER_FOLDERS)
"""Errors that any program may get from a machine, and the fix."""

WRONG_NAMES = {
    errno.ENAMETOOLONG: "this name is too long for a file",
    errno.ELOOP: "its symbolic links form a loop",
    errno.EISDIR: "this is a folder, not a file",
}
"""Errors of a path on any machine."""


def refusal(error: BaseException) -> KubewireError | None:
    """The error for a refusal of the machine (a full disk, a folder that can't be written), or for an invalid
    path; None for anything else.
    """
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return DefinitionError("a file's name can't hold a NUL character", hint="name another file")
    if not isinstance(error, OSError):
        return None
    where = str(error.filename or "")
    if error.errno in WRONG_NAMES:
        return DefinitionError(WRONG_NAMES[error.errno], where=where, hint="name another one")
    if error.errno == errno.ENOENT and _could_not_be_made(where):
        return HostError("this machine can't create this folder", where=where, hint=OTHER_FOLDERS)
    if error.errno not in REFUSALS:
        return None
    return HostError(f"this machine refuses: {error.strerror}", where=where, hint=REFUSALS[error.errno])


@contextmanager
def given(path: Path) -> Iterator[None]:
    """Within the block, errors for a path from the command line become DefinitionErrors."""
    try:
        yield
    except OSError as error:
        what = WRONG_NAMES.get(error.errno or 0) or f"can't be read: {error.strerror}"
        raise DefinitionError(what, where=str(path)) from error
    except ValueError as error:
        raise refusal(error) or error from error


def _could_not_be_made(path: str) -> bool:
    """Whether it is on the way to, or in, a missing folder of kubewire's own: below /proc, none can be
    created.
    """
    kept = (folder for folder in (state_dir(), cache_dir()) if not os.access(folder, os.F_OK))
    return any(folder.is_relative_to(path) or Path(path).is_relative_to(folder) for folder in kept if path)
