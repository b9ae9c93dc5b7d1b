"""`--host NAME` by a real Ansible inventory."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.core import resources
from kubewire.core.errors import DefinitionError
from kubewire.hosts.inventory import VARIABLE, find_target
from kubewire.hosts.ssh_target import SshTarget

INVENTORY = """
all:
  children:
    students:
      children:
        first_row: {hosts: {alice: {ansible_host: 192.0.2.1}, bob: {}}}
      hosts: {carol: {}}
"""


@pytest.fixture(autouse=True)
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "room.yml"
    path.write_text(INVENTORY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(VARIABLE, str(path))
    return path


def place(name: str) -> SshTarget:
    return SshTarget(
        name, ("ssh", "-p", "22", "192.0.2.1"), "/opt/k w/bin/python", {"A": "b"}, ("sudo", "-n", "--")
    )


def test_hosts_groups_and_lists_of_them(inventory: Path) -> None:
    assert set(find_target("students").hosts) == {"alice", "bob", "carol"}
    assert find_target("first_row,carol", [str(inventory)]).hosts == ("alice", "bob", "carol")
    assert not find_target("alice").is_group
    assert find_target("first_row").is_group
    assert find_target("alice").inventory == (str(inventory),)


def test_a_talkative_ansible_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANSIBLE_VERBOSITY", "3")
    assert find_target("alice").hosts == ("alice",)


def test_an_unknown_name_and_an_unreadable_inventory_are_told(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="did you mean alice"):
        find_target("alise")
    with pytest.raises(DefinitionError, match="can't be read"):
        find_target("alice", [str(tmp_path / "none.yml")])


def test_the_example_is_a_room() -> None:
    example = resources.root() / "inventories" / "classroom.example"
    assert set(find_target("lab_hosts", [str(example)]).hosts) == {"alice", "bob", "carol"}


def test_a_command_over_there_is_quoted_once() -> None:
    argv = place("alice").argv(place("alice").module("kubewire", "exec", "it's"), "-T")
    assert argv[0] == "ssh"
    assert argv[-3:-1] == ["192.0.2.1", "--"]
    assert argv[-1] == """sudo -n -- env A=b '/opt/k w/bin/python' -P -m kubewire exec 'it'"'"'s'"""
