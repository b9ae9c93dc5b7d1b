"""A kubewire of another version on a host: one clear message, but its labs are listed and removed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from kubewire.app.steps.remote import perform_there
from kubewire.core.errors import LabError
from kubewire.core.processes import Outcome
from kubewire.hosts import remote
from kubewire.hosts.agent import OTHER_VERSION, PROTOCOL
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_target import SshTarget
from kubewire.hosts.status import remote_status

ALICE = SshTarget("alice", ("ssh", "alice"), "/python")
LAB = RemoteLab("iptables", "labs/iptables.yml", ALICE)
NEWER = Outcome(OTHER_VERSION, stderr=b"kubewire here is another version: it speaks protocol 9, not 1")
OLDER = Outcome(1, stderr=b"/python: No module named kubewire.hostagent")
Answer = Callable[[Sequence[str]], Outcome]


@pytest.fixture(params=[NEWER, OLDER], ids=["newer", "older"])
def there(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The commands that the host is asked, whose agent is no use; its `status` knows no JSON."""
    asked: list[Sequence[str]] = []

    def run(_away: RemoteLab, argv: Sequence[str], **_: Any) -> Outcome:
        asked.append(argv)
        if "kubewire.hostagent" in argv:
            return request.param  # type: ignore[no-any-return]
        if "--format" in argv:
            return Outcome(2, stderr=b"No such option: --format")
        return Outcome(0, b"lab       iptables\nphase     ready\n")

    monkeypatch.setattr(remote, "run", run)
    return asked


@pytest.mark.parametrize("answer", [NEWER, OLDER])
def test_a_step_is_refused_with_the_way_out(answer: Outcome) -> None:
    with pytest.raises(LabError, match="another version") as caught:
        perform_there(lambda *_: (answer.code, "", answer.err), ALICE, "settle", {})
    assert caught.value.where == "alice"
    assert "kubewire up LAB --host alice" in caught.value.hint


def test_a_command_is_refused(there: list[Sequence[str]]) -> None:
    with pytest.raises(LabError, match="another version"):
        remote.call(LAB, ["snapshot"])
    assert len(there) == 1


def test_its_labs_are_listed(there: list[Sequence[str]]) -> None:
    assert remote_status(LAB).phase == "ready"
    assert there[-1] == ("/python", "-P", "-m", "kubewire", "status", "iptables")


def test_its_labs_are_removed(there: list[Sequence[str]]) -> None:
    assert remote.call(LAB, ["down", "iptables"]).code == 0
    assert there[-1] == ("/python", "-P", "-m", "kubewire", "down", "iptables")


@pytest.mark.parametrize(("protocol", "code"), [(PROTOCOL, 0), (PROTOCOL + 1, OTHER_VERSION)])
def test_the_agent_checks_its_callers_protocol(protocol: int, code: int) -> None:
    argv = [sys.executable, "-m", "kubewire.hostagent", "--protocol", str(protocol), "run", "--help"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == code
    assert ("another version" in done.stderr) == bool(code)
