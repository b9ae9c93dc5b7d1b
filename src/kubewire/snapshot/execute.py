"""Run one argv to its end, in its own process group, with a deadline: the only way commands are started."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended. `code` is TIMED_OUT after the deadline, 127 when it could not be started."""

    code: int
    out: str
    err: str


def run(argv: Sequence[str], *, timeout: float) -> Outcome:
    """Run `argv` for at most `timeout` seconds. Output that is not UTF-8 keeps its bytes as `\\xNN`."""
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=_environment(),
        )
    except OSError as error:
        return Outcome(127, "", f"{argv[0]}: {error.strerror}")
    try:
        out, err = process.communicate(timeout=timeout)
        code = process.returncode
    except subprocess.TimeoutExpired:
        _kill(process)
        out, err = process.communicate()
        code, err = TIMED_OUT, err + f"\nno answer within {timeout:g} s".encode()
    except BaseException:
        _kill(process)
        process.wait()
        raise
    return Outcome(code, _text(out), _text(err).strip())


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment() -> dict[str, str]:
    """The caller's environment, in the C locale, with the folders where ordinary users lack the OS tools."""
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {**os.environ, "LC_ALL": "C", "PATH": f"{path}:/usr/local/sbin:/usr/sbin:/sbin"}


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")
