"""Locks between processes (flock): the kernel releases them when the holder ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from kubewire.core.files import UnsafeFileError, make_in
from kubewire.core.progress import Progress

POLL_SECONDS = 0.2


@contextlib.contextmanager
def locked(file: Path, what: str, progress: Progress) -> Iterator[int]:
    """Lock `file` exclusively; while another process holds it, report which one and wait.

    Yields the descriptor: a child that inherits it keeps the lock until it ends too.
    """
    descriptor = make_in(file.parent, lambda: open_lock(file))
    try:
        told = ""
        while not try_lock(descriptor):
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            if holder != told:
                progress("wait", f"{what}: waiting for {holder or 'another process'}")
                told = holder
            time.sleep(POLL_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} (since {time.strftime('%H:%M:%S')})\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def open_lock(file: Path, flags: int = os.O_RDWR | os.O_CREAT) -> int:
    """A descriptor of this user's own lock file; a link or another user's file is refused.

    FileNotFoundError where it, or its folder, is missing; UnsafeFileError for what can't be one.
    """
    try:
        descriptor = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise UnsafeFileError("is a symbolic link", where=str(file)) from error
        raise
    owner = os.fstat(descriptor).st_uid
    if owner != os.geteuid():
        os.close(descriptor)
        raise UnsafeFileError(f"belongs to user {owner}, not to this one ({os.geteuid()})", where=str(file))
    return descriptor


def is_held(file: Path) -> bool:
    """Whether some process holds the lock now."""
    try:
        descriptor = open_lock(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not try_lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def try_lock(descriptor: int, seconds: float = 0.0, *, shared: bool = False) -> bool:
    """Take the lock if it is free, or becomes free within some seconds.

    `shared` is for those who only ask whether the lock is taken: they don't block each other.
    """
    operation = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    end = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        else:
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(min(POLL_SECONDS, seconds))
