"""A real session, its connection played by a shell: requests in, answers out, and gone with the shell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kubewire.app.steps.remote import perform_there
from kubewire.core.errors import LabError
from kubewire.core.owners import VARIABLE
from kubewire.hosts.agent import STEP_MARK
from kubewire.hosts.ssh_target import SshTarget
from waiting import eventually

# The shell greets as a login shell may, then starts a client for each line that it is given.
SHELL = """
echo "welcome; you have mail"
while read -r request; do
  printf '%s' "$request" | "$PYTHON" -m kubewire.hostagent --protocol 1 call; echo "exit $?"
done
"""


class Connection:
    """What an SSH server's process is to a session."""

    def __init__(self, state: Path) -> None:
        self.process = subprocess.Popen(
            ["sh", "-c", SHELL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHON": sys.executable, "XDG_STATE_HOME": str(state)},
            start_new_session=True,
        )

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = {}
        for line in self.process.stdout:
            if line.startswith(STEP_MARK):
                answer = json.loads(line.removeprefix(STEP_MARK))
            if line.startswith("exit "):
                return answer
        raise AssertionError("the connection ended")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def sockets(state: Path) -> list[str]:
    """By os.walk, which bears with folders that vanish meanwhile."""
    return [file for _, _, files in os.walk(state) for file in files if file.endswith(".sock")]


@pytest.fixture
def connection(state: Path) -> Iterator[Connection]:
    made = Connection(state)
    yield made
    made.end()
    eventually(lambda: not sockets(state))


def test_steps_are_done_by_one_process_that_ends_with_the_connection(
    connection: Connection, state: Path
) -> None:
    request = {"step": "missing_binaries", "arguments": {"wanted": [["etcd", "v0.0.1", ["etcd"]]]}}
    first, second = connection.ask(request), connection.ask(request)
    assert first["result"]["missing"] == [["etcd", "v0.0.1", ["etcd"]]]
    assert (first["job"], second["job"]) == (0, 1)
    connection.end()
    eventually(lambda: not any(folders or files for _, folders, files in os.walk(state)))


def test_a_wrong_step_is_told_as_it_is_here(connection: Connection) -> None:
    answer = connection.ask({"step": "workload", "arguments": {"lab": "iptables"}})
    assert answer["result"]["failed"]
    assert answer["result"]["kubewire_exit_code"] == 4
    assert "isn't up" in answer["result"]["msg"]


def test_an_answer_can_be_asked_for_again(connection: Connection) -> None:
    job = connection.ask({"step": "missing_binaries", "arguments": {"wanted": []}})["job"]
    assert connection.ask({"job": job})["result"]["missing"] == []
    assert "was cut" in connection.ask({"job": job + 1})["result"]["msg"]


def test_no_step_is_asked_for_a_command_that_was_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setenv(VARIABLE, str(ended.pid))
    place = SshTarget("alice", ("ssh", "alice"), "python3")
    with pytest.raises(LabError, match="was killed"):
        perform_there(lambda _command, _data: pytest.fail("asked"), place, "commit", {"lab": "iptables"})


def test_an_answer_is_one_line_whatever_it_holds(connection: Connection) -> None:
    """U+2028 and U+0085 end lines for Python, not for the protocol."""
    wanted = "no\u2028such\u0085lab"
    answer = connection.ask({"step": "tools", "arguments": {"lab": wanted}})
    while "result" not in answer:
        answer = connection.ask({"job": answer["job"]})
    assert wanted in json.dumps(answer["result"], ensure_ascii=False)
