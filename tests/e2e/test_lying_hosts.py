"""The owner of a lab host is root there and hostile: nothing that the host answers reaches the controller but
data of a known shape, and no other host's result is lost by it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Kubewire, Outcome
from lying_hosts import CLUSTER, HONEST, REPORT, lie
from ssh_hosts import SSHD, Room, ssh_hosts

from kubewire.providers.netns.certificates import Authority

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(os.geteuid() != 0, reason="making hosts of namespaces and bridges takes root"),
    pytest.mark.skipif(not Path(SSHD).exists(), reason="openssh-server is missing"),
]
NAMES = ("bob", "hosts", "types", "endless", "clip", "report", "tools")
CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"
ALERT = f"{CLIPBOARD}\u202e\x9b31m"


def proxied(marker: Path) -> dict[str, Any]:
    """What Ansible's add_host module returns: a host that is reached by running a command here."""
    variables = {
        "kubewire_python": "/usr/bin/python3",
        "ansible_connection": "ssh",
        "ansible_host": "203.0.113.1",
        "ansible_ssh_common_args": f"-o ProxyCommand='touch {marker}'",
    }
    return {
        "host_name": "planted",
        "groups": ["students"],
        "host_vars": variables,
    }


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    folder = tmp_path_factory.mktemp("room")
    with ssh_hosts(folder, NAMES) as hosts:
        yield Room(hosts, Kubewire(folder / "state"), folder)


@pytest.fixture(scope="module")
def marker(room: Room) -> Path:
    return room.folder / "was-here"


@pytest.fixture(scope="module")
def made(room: Room, marker: Path) -> Outcome:
    """One command for a room in which every host but bob lies in a way of its own."""
    host = {each.name: each for each in room.hosts}
    lie(host["bob"])
    lie(host["hosts"], cluster={**CLUSTER, "add_host": proxied(marker)})
    lie(
        host["types"],
        packages={"changed": True, "changes": "all", "missing": [], "provider": "netns", "binaries": True},
    )
    lie(host["endless"], cluster="endless ")
    failed = {"failed": True, "msg": f"{ALERT}\nkubewire: all is well", "kubewire_exit_code": 4}
    lie(host["clip"], settle=failed, progress=[{"step": ALERT, "detail": ALERT}])
    summary = {**REPORT["summary"], "passed": "many"}
    verdict = {"changed": False, "changes": [], "report": REPORT["summary"]}
    lie(host["report"], verify={**verdict, "full_report": {**REPORT, "summary": summary}})
    lie(host["tools"], cluster={**CLUSTER, "ansible_facts": {"ansible_connection": "local"}})
    return room.command.run("up", "iptables", "--host", "students", *room.inventory, "--verify")


def row(outcome: Outcome, host: str) -> list[str]:
    return next(line.split() for line in outcome.out.splitlines() if line.split()[:1] == [host])


def test_each_lie_is_one_row_and_the_honest_hosts_row_stays(made: Outcome) -> None:
    assert made.code == 4, made.text
    assert row(made, "bob")[:5] == ["bob", "passed", "1", "0", "0"]
    assert [row(made, name)[1] for name in NAMES[1:]] == ["error"] * 6


def test_no_host_gets_keys_that_ansible_acts_on(made: Outcome, marker: Path) -> None:
    assert not marker.exists()
    assert "hosts: step cluster answered an unknown key add_host" in made.err
    assert "tools: step cluster answered an unknown key ansible_facts" in made.err
    assert "planted" not in made.text


def test_wrong_types_and_endless_answers_are_refused(made: Outcome) -> None:
    assert "types: step packages answered what it may not" in made.err
    assert "report: step verify answered what it may not" in made.err
    assert "printed more than" in made.err


def test_no_control_character_reaches_the_terminal(made: Outcome) -> None:
    assert r"\x1b]52;c;" in made.err
    assert not [c for c in made.text if c != "\n" and not c.isprintable()]
    assert not [line for line in made.err.splitlines() if line.startswith("kubewire: all is well")]


def test_a_kubeconfig_is_built_here(room: Room, made: Outcome, marker: Path) -> None:
    bob = room.hosts[0]
    authority = Authority("kubernetes")
    admin = authority.issue("admin", organization="system:masters")
    sent = {
        **{"port": 6443, "authority": authority.certificate},
        **{"certificate": admin.certificate, "key": admin.key},
    }
    for planted in (
        {**sent, "exec": {"command": "touch", "args": [str(marker)]}},
        {**sent, "port": "6443/\nusers: []"},
        {**sent, "key": "exec: touch"},
    ):
        lie(bob, kubewire_kubeconfig={"out": json.dumps(planted)})
        refused = kubeconfig(room)
        assert refused.code == 4, refused.text
        assert refused.err.startswith("kubewire: bob: kubeconfig answered")
    junk = f"{admin.certificate}\nusers: [exec]\n"
    lie(bob, kubewire_kubeconfig={"out": json.dumps({**sent, "certificate": junk})})
    # The program ends at once, so no connection of the lab's own stays: the file is looked at, not used.
    path = Path(kubeconfig(room).out.strip())
    written = json.loads(path.read_text())
    assert set(written["users"][0]["user"]) == {"client-certificate-data", "client-key-data"}
    assert written["clusters"][0]["cluster"]["server"].startswith("https://127.0.0.1:")
    assert path.stat().st_mode & 0o777 == 0o600
    assert not marker.exists()


def kubeconfig(room: Room) -> Outcome:
    return room.command.run("kubeconfig", "iptables", "--host", "bob")


def here(room: Room) -> bool:
    """Whether the lab is still known to be on bob."""
    return (room.command.state / "kubewire" / "hosts" / "iptables" / "bob" / "record.json").exists()


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ({"code": 3, "err": f"kubewire: {ALERT}"}, "unknown"),
        ({"code": 0, "out": "phase absent\n"}, "unknown"),
        ({"code": 4, "out": ""}, "unknown"),
        ({"code": 0, "out": json.dumps({"schema": 1, "phase": ALERT})}, "unknown"),
        ({"code": 0, "out": json.dumps({"schema": 1, "phase": "ready"})}, "ready"),
    ],
)
def test_a_failure_never_makes_a_lab_forgotten(
    room: Room, made: Outcome, status: dict[str, Any], phase: str
) -> None:
    for host in room.hosts:
        lie(host, kubewire_status=status)
    listed = json.loads(room.command.ok("list", "--format", "json").out)
    assert {lab["phase"] for lab in listed["labs"] if lab["provider"] == "on bob"} == {phase}
    cleaned = room.command.ok("gc")
    assert "\x1b" not in cleaned.text
    assert here(room)


def test_what_a_host_prints_is_printable(room: Room, made: Outcome) -> None:
    said = {"out": f"{ALERT}\n", "err": f"{ALERT}\n", "code": 4}
    lie(
        room.hosts[0],
        **{f"kubewire_{name}": said for name in ("status", "explain", "trace", "snapshot", "gc")},
    )
    for command in (
        ("status", "iptables", "--host", "bob"),
        ("explain", "iptables", "--host", "bob", "--service", "httpbin"),
        ("trace", "iptables", "--host", "bob", "--from", "node/worker", "--to", "10.96.0.1:443"),
        ("snapshot", "iptables", str(room.folder / "shot"), "--host", "bob"),
        ("gc", "--host", "bob"),
    ):
        outcome = room.command.run(*command)
        assert outcome.code == 4, outcome.text
        assert not [c for c in outcome.text if c != "\n" and not c.isprintable()]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("apt-get"), reason="there is no apt-get")
def test_packages_are_installed_without_a_module_of_ansible(room: Room, made: Outcome) -> None:
    """A module's result is taken from a host as it comes; coreutils is there, so nothing is changed."""
    lie(room.hosts[0], packages={**HONEST["packages"], "missing": ["coreutils"]})
    installed = room.command.ok("up", "iptables", "--host", "bob", *room.inventory)
    assert "bob: coreutils installed" in installed.err
    lie(room.hosts[0], packages={**HONEST["packages"], "missing": ["kubewire-no-such-package"]})
    refused = room.command.run("up", "iptables", "--host", "bob", *room.inventory)
    assert refused.code == 3
    assert "kubewire-no-such-package" in refused.err


def test_one_broken_record_is_one_line(room: Room, made: Outcome) -> None:
    for host in room.hosts:
        lie(host, kubewire_status={"out": json.dumps({"schema": 1, "phase": "absent"}), "code": 4})
    broken = room.command.state / "kubewire" / "hosts" / "iptables" / "broken"
    broken.mkdir()
    (broken / "record.json").write_text('{"schema": 1, "lab": 7}')
    listed = room.command.ok("list").out
    assert [line for line in listed.splitlines() if "on broken" in line and "can't be read" in line]
    assert "on bob" in listed
    cleaned = room.command.ok("gc").out
    assert "lab iptables on broken" in cleaned
    assert not here(room)
    assert (broken / "record.json").exists()
