"""`call`: pass one request to this SSH connection's session, which is started if it doesn't run yet.

The request is a JSON object on standard input; the answer is printed on one line, after STEP_MARK.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kubewire.core import console, paths, rpc
from kubewire.core.files import make_in
from kubewire.hosts.agent import MODULE, PROTOCOL, STEP_MARK

SERVERS = ("sshd", "sshd-session", "dropbear")
TIMEOUT = 90.0
"""Seconds: longer than a call to the session takes, plus the session's start on a slow machine."""
LIMIT = 64 << 20
"""Bytes of one answer: the report of a large lab takes a few MiB."""


def main(_arguments: list[str]) -> int:
    request = sys.stdin.buffer.read().strip() + b"\n"
    server = connection()  # only once: the parent changes when the connection is cut
    path = paths.state_dir() / "sessions" / f"{server}-{PROTOCOL}.sock"
    try:
        answer = rpc.exchange(path, request, timeout=TIMEOUT, limit=LIMIT)
    except (FileNotFoundError, ConnectionRefusedError):  # a request that was interrupted is not sent again
        _start(path, server)
        answer = rpc.exchange(path, request, timeout=TIMEOUT, limit=LIMIT)
    console.document(f"{STEP_MARK}{json.dumps(json.loads(answer))}\n")  # ASCII: one line whatever it holds
    return 0


def connection() -> int:
    """The pid of the SSH server's process for this connection; without SSH, of the parent."""
    pid = os.getppid()
    while pid > 1:
        command, parent = _process(pid)
        if command in SERVERS:
            return pid
        pid = parent
    return os.getppid()


def _start(path: Path, server: int) -> None:
    """Start a session, which listens from now on: it outlives this call, but not the SSH connection."""
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    log = make_in(path.parent, lambda: os.open(path.with_suffix(".log"), flags, 0o600), mode=0o700)
    with rpc.listen(path) as listener:
        subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", MODULE, "--protocol", str(PROTOCOL), "session"),
                *(str(server), str(listener.fileno()), path),
            ],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(listener.fileno(),),
            start_new_session=True,
        )
    os.close(log)


def _process(pid: int) -> tuple[str, int]:
    """A process's command name and its parent."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "", 0
    name, _, rest = text.partition("(")[2].rpartition(")")
    return name, int(rest.split()[1])
