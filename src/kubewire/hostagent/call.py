"""`call`: hand one request to this SSH connection's session, started if there is none yet.

The request is a JSON object on standard input; the answer is printed on a line, after STEP_MARK.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from kubewire.core import console, paths, rpc
from kubewire.hosts.agent import MODULE, PROTOCOL, STEP_MARK

SERVERS = ("sshd", "sshd-session", "dropbear")
TIMEOUT = 90.0
"""Seconds: more than the session keeps any caller waiting, and its own start where every Python is slow."""
LIMIT = 64 << 20
"""Bytes of one answer: the report of a large lab takes a few MiB."""


def main(_arguments: list[str]) -> int:
    request = sys.stdin.buffer.read().strip() + b"\n"
    server = connection()  # once: a client whose connection is cut has another parent
    path = paths.state_dir() / "sessions" / f"{server}-{PROTOCOL}.sock"
    try:
        answer = rpc.exchange(path, request, timeout=TIMEOUT, limit=LIMIT)
    except (FileNotFoundError, ConnectionRefusedError):  # one that was cut is not asked again by another
        _start(path, server)
        answer = rpc.exchange(path, request, timeout=TIMEOUT, limit=LIMIT)
    console.document(f"{STEP_MARK}{json.dumps(json.loads(answer))}\n")  # ASCII: one line whatever it holds
    return 0


def connection() -> int:
    """The pid of the SSH server's process for this connection, else of the parent (there's no SSH)."""
    pid = os.getppid()
    while pid > 1:
        command, parent = _process(pid)
        if command in SERVERS:
            return pid
        pid = parent
    return os.getppid()


def _start(path: Path, server: int) -> None:
    """Listen, and leave the listening to a session that outlives this call, not its connection."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    log = os.open(path.with_suffix(".log"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
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
