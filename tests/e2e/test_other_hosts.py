"""Labs on other hosts: one command for a room of them, the same commands afterwards, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from harness import ROOT, Kubewire
from ssh_hosts import SSHD, Room, eventually, left, ssh_hosts

from kubewire.core.paths import cache_dir

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="making hosts of namespaces and bridges takes root"),
]
CHAIN = "KUBE-SVC-FREKB6WNWYJLKTHC"


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    assert Path(SSHD).exists(), "openssh-server is missing: apt-get install openssh-server"
    folder = tmp_path_factory.mktemp("room")
    with ssh_hosts(folder, ["alice", "bob"]) as hosts:
        command = Kubewire(folder / "state")
        yield Room(hosts, command, folder)
        for lab in ("iptables", "nodeport"):
            command.run("down", lab)


@pytest.fixture(scope="module")
def labs(room: Room) -> Room:
    """The lab iptables on both hosts, by one command that gathers their reports."""
    made = room.command.ok(
        *("up", "iptables", "--host", "students", *room.inventory),
        *("--verify", "--reports", str(room.folder / "reports")),
    )
    print(made.text)
    return room


def test_one_command_brings_up_a_lab_on_each_host_and_gathers_the_reports(labs: Room) -> None:
    reports = {path.stem: json.loads(path.read_text()) for path in (labs.folder / "reports").iterdir()}
    assert set(reports) == {"alice", "bob"}
    for report in reports.values():
        assert report["status"] == "passed"
        assert report["summary"]["failed"] == 0
        assert len(report["nodes"]) == 3
    for host in labs.hosts:
        assert host.run("pgrep -c kube-apiserver").strip() == "1"


def test_a_second_run_changes_nothing(labs: Room) -> None:
    again = labs.command.ok("up", "iptables")
    assert "changed=0" in again.err


def test_the_other_commands_work_through_it(labs: Room, tmp_path: Path) -> None:
    command = labs.command
    refused = command.run("exec", "iptables", "worker", "--", "true")
    assert refused.code == 2
    assert "alice, bob" in refused.err
    listing = command.ok("exec", "--host", "alice", "iptables", "worker", "--", "iptables", "-t", "nat", "-S")
    assert CHAIN in listing.out
    assert command.run("exec", "--host", "alice", "iptables", "worker", "--", "sh", "-c", "exit 7").code == 7
    assert "ready" in command.ok("status", "iptables", "--host", "bob").out
    assert command.ok("list").out.count("ready") == 2
    assert CHAIN in command.ok("explain", "iptables", "--host", "bob", "--service", "httpbin").out
    traced = command.ok(
        "trace", "iptables", "--host", "bob", "--from", "node/worker", "--to", "10.96.0.1:443"
    )
    assert "KUBE-SERVICES" in traced.out
    command.ok("snapshot", "iptables", str(tmp_path / "shot"), "--host", "bob")
    assert command.ok("verify", "--snapshot", str(tmp_path / "shot")).code == 0


def test_kubectl_works_through_a_connection_of_the_labs_own(labs: Room) -> None:
    path = labs.command.ok("kubeconfig", "iptables", "--host", "alice").out.strip()
    assert Path(path).stat().st_mode & 0o777 == 0o600
    kubectl = sorted(cache_dir().glob("bin/v*/kubectl"))[-1]
    shown = subprocess.run(
        [kubectl, "--kubeconfig", path, "get", "nodes", "-o", "name"],
        capture_output=True,
        text=True,
        env=os.environ | {"KUBERC": "off"},
    )
    assert shown.returncode == 0, shown.stderr
    assert len(shown.stdout.split()) == 3
    assert labs.command.ok("kubeconfig", "iptables", "--host", "alice").out.strip() == path


def test_damage_on_one_host_is_told_and_mended(labs: Room, tmp_path: Path) -> None:
    damage = ("iptables", "-w", "-t", "nat", "-D", CHAIN, "2")
    labs.command.ok("exec", "--host", "bob", "iptables", "worker", "--", *damage)
    told = labs.command.run("verify", "iptables")
    assert told.code == 1
    rows = {line.split()[0]: line.split()[1] for line in told.out.splitlines() if line.strip()}
    assert (rows["alice"], rows["bob"]) == ("passed", "failed")
    told = labs.command.run("verify", "iptables", "--format", "json")
    assert told.code == 1
    reports = json.loads(told.out)
    assert {host: report["status"] for host, report in reports.items()} == {
        "alice": "passed",
        "bob": "failed",
    }
    folder = tmp_path / "junit"
    assert labs.command.run("verify", "iptables", "--format", "junit", "--output", str(folder)).code == 1
    failures = {path.name: ElementTree.parse(path).getroot().get("failures") for path in folder.iterdir()}
    assert failures.keys() == {"alice.xml", "bob.xml"}
    assert (failures["alice.xml"], failures["bob.xml"] != "0") == ("0", True)
    labs.command.ok("up", "iptables", "--verify")


def test_a_lab_stays_where_it_is(labs: Room) -> None:
    moved = labs.command.run("up", "iptables", "--host", "local")
    assert moved.code == 2
    assert "kubewire down iptables" in moved.err


def test_plain_ansible_does_the_same(labs: Room) -> None:
    done = subprocess.run(
        [
            *(
                str(Path(sys.executable).parent / "ansible-playbook"),
                "-i",
                str(labs.folder / "inventory.yml"),
            ),
            *("playbooks/lab.yml", "-e", "lab=iptables"),
        ],
        cwd=ROOT,
        env=os.environ
        | {"XDG_STATE_HOME": str(labs.command.state), "ANSIBLE_HOME": str(labs.folder / "ansible")},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("changed=0") == 2


def test_down_leaves_nothing_on_any_host_nor_here(labs: Room) -> None:
    labs.command.ok("down", "iptables")
    for host in labs.hosts:
        eventually(lambda host=host: left(host) == "", lambda host=host: left(host))  # type: ignore[misc]
    assert not [path for path in labs.command.state.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "cut",
    [
        "command killed",
        "connection cut",
        "Ctrl-C",
    ],
)
def test_nothing_half_made_stays(room: Room, cut: str) -> None:
    alice = room.hosts[0]
    running = room.command.popen("up", "nodeport", "--host", "alice", *room.inventory, start_new_session=True)
    try:
        eventually(
            lambda: alice.run("pgrep -c kube-apiserver || true").strip() == "1" or running.poll() is not None,
            lambda: "no apiserver is being started",
        )
        assert running.poll() is None, running.communicate()
        match cut:
            case "command killed":
                running.kill()
            case "connection cut":
                alice.run("pkill -KILL -f '[s]shd: root@notty'")
            case _:
                running.send_signal(signal.SIGINT)
        code = running.wait(300)
        assert code == {"command killed": -9, "Ctrl-C": 130}.get(cut, 3), running.communicate()
        eventually(lambda: "kube-" not in left(alice), lambda: left(alice))

        def gone() -> bool:
            room.command.run("gc", "--host", "alice")
            return left(alice) == ""

        eventually(gone, lambda: left(alice))
        room.command.ok("gc")
        assert "alice" not in room.command.ok("list").out
    finally:
        subprocess.run(["pkill", "-KILL", "-s", str(running.pid)], check=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ansible_host": "NETWORK.99"}, "is it switched on"),
        ({"ansible_port": 23}, "no SSH server answers"),
        ({"ansible_ssh_private_key_file": "/nonexistent"}, "the login is refused"),
        (
            {"ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes"},
            "isn't known here",
        ),
    ],
)
def test_a_host_that_cant_be_reached_is_told_why(
    room: Room, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    inventory = yaml.safe_load((room.folder / "inventory.yml").read_text())
    network = room.hosts[0].address.rpartition(".")[0]
    changed = {key: str(value).replace("NETWORK", network) for key, value in change.items()}
    inventory["lab_hosts"]["children"]["students"]["hosts"]["alice"] |= changed
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    command = Kubewire(tmp_path / "state")
    told = command.run("up", "iptables", "--host", "alice", "--inventory", str(tmp_path / "inventory.yml"))
    assert told.code == 3, told.text
    assert words in told.err
    shutil.rmtree(tmp_path / "state", ignore_errors=True)
