"""Run a command to its end; all short-lived commands are run by this module.

Each has a deadline, a limit on its output, and its own process group, which is killed with it.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kubewire.core.printable import text_of

TIMED_OUT = 124
TOO_LONG = 125
NOT_STARTED = 127

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH with the sbin folders of iptables and others, which ordinary users often lack."""

OUTPUT_LIMIT = 1 << 30
"""Bytes that a command may print on each stream before it is ended."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended: its exit code (-N for signal N) and what it printed.

    `code` is TIMED_OUT after the deadline, TOO_LONG after too much output, NOT_STARTED if it couldn't be
    started; `stderr` then says so.
    """

    code: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def out(self) -> str:
        """Standard output as text; bytes that are not UTF-8 as `\\xNN`."""
        return text_of(self.stdout)

    @property
    def err(self) -> str:
        """Standard error as text, without white space around it."""
        return text_of(self.stderr).strip()


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    data: bytes = b"",
    stdin: int | None = None,
    stdout: int | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    limit: int = OUTPUT_LIMIT,
) -> Outcome:
    """Run `argv` for at most `timeout` seconds, then end its whole process group in any case.

    Its standard input is `data`, or the descriptor `stdin`. With the descriptor `stdout`, both outputs go
    there and are not kept. `env` replaces the environment; the default is the caller's in the C locale.
    """
    source = stdin if stdin is not None else subprocess.PIPE if data else subprocess.DEVNULL
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=source,
            stdout=subprocess.PIPE if stdout is None else stdout,
            stderr=subprocess.PIPE if stdout is None else stdout,
            start_new_session=True,
            env=dict(env) if env is not None else c_locale(),
            cwd=cwd,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        return Outcome(NOT_STARTED, stderr=f"{argv[0]}: {why}".encode())
    try:
        return _Exchange(process, data, limit).until(time.monotonic() + timeout, timeout)
    finally:
        kill_group(process.pid)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class _Exchange:
    """Writes a process's input and keeps its output, within bounds."""

    def __init__(self, process: subprocess.Popen[bytes], data: bytes, limit: int) -> None:
        self._process = process
        self._left = memoryview(data)
        self._limit = limit
        self._kept: dict[int, bytearray] = {}

    def until(self, deadline: float, timeout: float) -> Outcome:
        with selectors.DefaultSelector() as selector:
            for stream in (self._process.stdout, self._process.stderr):
                if stream is not None:
                    self._kept[stream.fileno()] = bytearray()
                    selector.register(stream.fileno(), selectors.EVENT_READ)
            if self._process.stdin is not None:
                os.set_blocking(self._process.stdin.fileno(), False)
                selector.register(self._process.stdin.fileno(), selectors.EVENT_WRITE)
            while selector.get_map():
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready and time.monotonic() >= deadline:
                    return self._outcome(TIMED_OUT, f"no answer within {timeout:g} s")
                for key, events in ready:
                    if events & selectors.EVENT_WRITE:
                        self._write(selector, key.fd)
                    elif not self._read(selector, key.fd):
                        return self._outcome(TOO_LONG, f"printed more than {self._limit} bytes")
        try:
            return self._outcome(self._process.wait(max(0.0, deadline - time.monotonic())))
        except subprocess.TimeoutExpired:
            return self._outcome(TIMED_OUT, f"no answer within {timeout:g} s")

    def _write(self, selector: selectors.BaseSelector, descriptor: int) -> None:
        try:
            self._left = self._left[os.write(descriptor, self._left[: 1 << 16]) :]
        except BrokenPipeError:
            self._left = self._left[:0]
        if not self._left and self._process.stdin is not None:
            selector.unregister(descriptor)
            self._process.stdin.close()

    def _read(self, selector: selectors.BaseSelector, descriptor: int) -> bool:
        chunk = os.read(descriptor, 1 << 18)
        if not chunk:
            selector.unregister(descriptor)
        kept = self._kept[descriptor]
        kept += chunk
        return len(kept) <= self._limit

    def _outcome(self, code: int, trouble: str = "") -> Outcome:
        out, err = (
            bytes(self._kept.get(stream.fileno(), b"")) if stream is not None else b""
            for stream in (self._process.stdout, self._process.stderr)
        )
        return Outcome(code, out, err + f"\n{trouble}".encode() if trouble else err)


def kill_group(pid: int) -> None:
    """SIGKILL to the process group that `pid` leads, if there is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def c_locale() -> dict[str, str]:
    """The caller's environment in the C locale, with the system's folders in PATH."""
    return {**os.environ, "LC_ALL": "C", "PATH": search_path()}


def search_path() -> str:
    """The caller's PATH, then the system's folders that it lacks."""
    found = os.environ.get("PATH", os.defpath)
    missing = [folder for folder in SYSTEM_PATH.split(":") if folder not in found.split(":")]
    return ":".join([found, *missing])


def dying_with_us() -> list[str]:
    """The argv prefix that makes the kernel kill a program when this process ends; none without setpriv."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
