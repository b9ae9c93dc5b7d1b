"""Files: written completely or not at all, read without trust in other users.

There are two kinds of file. One that *others* wrote (a snapshot, a lab, a run's folder) may have any owner,
but must be a regular file of bounded size. One that is *ours* (a state record, a lock, a kubeconfig) must
also belong to this user, be writable by nobody else, and not be reached through a symbolic link. Both are
checked on the open descriptor, so that nothing can be replaced between the check and the use.
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from kubewire.core.errors import LabError

T = TypeVar("T")

RECORD_LIMIT = 4 << 20
"""Bytes of one of our own records."""

LOST_RACES = 1000
"""How often a folder may be removed between its making and its use."""


class UnsafeFileError(LabError):
    """A file or folder of the wrong kind or owner, that others can write, or that is too large."""


def make_in(folder: Path, make: Callable[[], T], *, mode: int = 0o777) -> T:
    """What `make` answers, which makes something in this folder of ours; the folder is made first.

    A process that finds such a folder empty removes it: if that happens in between, both are done again,
    LOST_RACES times, so that a folder that no one can make (FileNotFoundError below /proc) is told.
    """
    lost = 0
    while True:
        try:
            folder.mkdir(mode, parents=True, exist_ok=True)
            return make()
        except (FileNotFoundError, FileExistsError):
            lost += 1
            if lost > LOST_RACES:
                raise


def write_atomically(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a text file atomically: a reader, also after a crash, sees the old or the new content."""
    import tempfile  # slow to import, and readers don't need it

    descriptor, temporary = make_in(
        path.parent, lambda: tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    )
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_bounded(path: Path, limit: int, *, follow: bool = True, cut: bytes = b"") -> bytes:
    """The content of a file that others wrote, at most `limit` bytes; a link is followed or refused. With
    `cut`, a larger one is read so far only, and `cut` put behind it.

    FileNotFoundError where there is none; UnsafeFileError, a LabError, for anything but a regular file, for
    one that can't be read and for one that is larger. Never blocks (a FIFO, a device).
    """
    return _content(_open(path, os.O_RDONLY | (0 if follow else os.O_NOFOLLOW)), path, limit, cut)


def last_lines(path: Path, lines: int, limit: int = 1 << 16) -> list[str]:
    """The last lines of a log within its last `limit` bytes; [] where there is none that can be read."""
    try:
        descriptor = _open(path, os.O_RDONLY)
    except (FileNotFoundError, UnsafeFileError):
        return []
    try:
        status = os.fstat(descriptor)
        data = b""
        if stat.S_ISREG(status.st_mode):
            data = os.pread(descriptor, limit, max(0, status.st_size - limit))
    finally:
        os.close(descriptor)
    return data.decode(errors="replace").rstrip().splitlines()[-lines:]


def read_own(path: Path, limit: int = RECORD_LIMIT) -> bytes:
    """The content of a file of this user's own, at most `limit` bytes; no link is followed.

    Raises as `read_bounded`, and UnsafeFileError for a file of another user or one that others can write.
    """
    return _content(_open_own(path, os.O_RDONLY), path, limit)


def read_own_json(path: Path, limit: int = RECORD_LIMIT) -> dict[str, Any]:
    """The JSON object in a file of this user's own; raises as `read_own`, and LabError for anything else."""
    try:
        value = json.loads(read_own(path, limit))
    except (ValueError, RecursionError) as error:
        raise LabError(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise LabError("not a JSON object", where=str(path))
    return value


def read_record(path: Path, kind: type[T], schema: int) -> T | None:
    """The record in a file of this user's own, typed; None where there is none of that schema and shape.

    UnsafeFileError where it is not this user's own: what it describes must not be touched.
    """
    from kubewire.core.serialization import convert  # slow to import

    try:
        value = read_own_json(path)
        return convert(value, kind) if value.pop("schema", None) == schema else None
    except UnsafeFileError:
        raise
    except (FileNotFoundError, LabError, ValueError):
        return None


def write_record(path: Path, record: object, schema: int) -> None:
    """Write a record so that `read_record` reads it: its fields as a JSON object, and the schema's number."""
    from msgspec import to_builtins

    write_atomically(path, json.dumps({"schema": schema, **to_builtins(record)}, indent=2) + "\n")


def open_own_folder(path: Path) -> int:
    """A descriptor of a folder of this user's own (O_DIRECTORY, close-on-exec); raises as `read_own`."""
    return _open_own(path, os.O_RDONLY | os.O_DIRECTORY)


def own_folder(path: Path) -> Path:
    """The folder, created with mode 0700 if it is missing; raises as `open_own_folder`."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(open_own_folder(path))
    return path


def is_own_folder(path: Path) -> bool:
    """Whether a folder is this user's own, in one of this user's or root's; if so, it is closed to others."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or path.parent.stat().st_uid not in (0, os.geteuid()):
            return False
        if status.st_mode & 0o022:  # created under another umask
            os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~0o022)
        return True
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder and all that is in it, however deep others nested it; no link is followed.

    What the system refuses to remove stays. Each folder's entries are moved to the top before it is removed,
    so neither Python's stack, nor the open files, nor a path's length grows with the depth.
    """
    with suppress(OSError):
        top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            import secrets  # slow to import, and readers don't need it

            numbers, prefix = itertools.count(), f".{secrets.token_hex(8)}-"
            pending = os.listdir(top)  # noqa: PTH208 - of a descriptor
            while pending:
                with suppress(OSError):
                    pending += _remove_entry(top, pending.pop(), (f"{prefix}{n}" for n in numbers))
        finally:
            os.close(top)
        folder.rmdir()


def _remove_entry(top: int, name: str, unused: Iterator[str]) -> list[str]:
    """Remove an entry of `top`; the names under which its content is now in `top`."""
    try:
        os.unlink(name, dir_fd=top)
    except IsADirectoryError:
        moved = []
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
        try:
            for entry in os.listdir(inner):  # noqa: PTH208
                moved.append(next(unused))
                os.rename(entry, moved[-1], src_dir_fd=inner, dst_dir_fd=top)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)
        return moved
    return []


def check_owned(descriptor: int, path: Path) -> None:
    """UnsafeFileError unless the open file belongs to this user and nobody else can write to it."""
    status = os.fstat(descriptor)
    if status.st_uid != os.geteuid():
        raise UnsafeFileError(
            f"belongs to user {status.st_uid}, not to this one ({os.geteuid()})", where=str(path)
        )
    if status.st_mode & 0o022:
        mode = stat.S_IMODE(status.st_mode)
        raise UnsafeFileError(
            f"others can write to it (mode {mode:04o})", where=str(path), hint="chmod go-w it"
        )


def check_ancestors(path: Path) -> None:
    """UnsafeFileError if anybody but this user and root could replace a folder on the way to `path`.

    That is a folder of another owner, or one that others can write to and that isn't sticky. For a missing
    one, its parent decides who can create it. Links are resolved, and both paths are checked. In a user
    namespace, owners without an id in it count as root: it can't tell them from root.
    """
    trusted = {0, os.geteuid(), *_unmapped()}
    try:
        ways = dict.fromkeys((path.absolute(), path.resolve()))
    except (OSError, RuntimeError) as error:  # links in a circle
        raise UnsafeFileError(f"can't be resolved: {error}", where=str(path)) from error
    for way in ways:
        for folder in way.parents:
            try:
                status = folder.lstat()
            except OSError:  # there is none, or nobody comes through
                continue
            if status.st_uid not in trusted:
                raise UnsafeFileError(
                    f"belongs to user {status.st_uid}, who could replace its content", where=str(folder)
                )
            writable = status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX
            if writable and stat.S_ISDIR(status.st_mode):
                raise UnsafeFileError("others can write to it", where=str(folder))


def _unmapped() -> set[int]:
    """The user id shown for all users that this user namespace doesn't map; none in the initial one."""
    if Path("/proc/self/uid_map").read_text().split() == ["0", "0", "4294967295"]:
        return set()
    return {int(Path("/proc/sys/kernel/overflowuid").read_text())}


def _open_own(path: Path, flags: int) -> int:
    descriptor = _open(path, flags | os.O_NOFOLLOW)
    try:
        check_owned(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open(path: Path, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno == errno.ENOTDIR and not flags & os.O_DIRECTORY:
            raise FileNotFoundError(errno.ENOENT, "there is no such folder", str(path)) from error
        why = "is a symbolic link" if error.errno == errno.ELOOP else f"can't be read: {error.strerror}"
        raise UnsafeFileError(why, where=str(path)) from error
    except ValueError as error:  # a NUL in the name
        raise UnsafeFileError(f"can't be read: {error}", where=str(path)) from error


def _content(descriptor: int, path: Path, limit: int, cut: bytes = b"") -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise UnsafeFileError("is not a regular file", where=str(path))
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        data = file.read(min(status.st_size or limit, limit) + 1)  # /proc gives no size
    if len(data) > limit and cut:
        return data[:limit] + cut
    if len(data) > limit:
        raise UnsafeFileError(f"is larger than {size_text(limit)}", where=str(path))
    return data


def size_text(size: int) -> str:
    """A size in bytes for people: `512 MiB`, `64 KiB`, `100 bytes`."""
    for shift, unit in ((20, "MiB"), (10, "KiB")):
        if size >> shift:
            return f"{size >> shift} {unit}"
    return f"{size} bytes"
