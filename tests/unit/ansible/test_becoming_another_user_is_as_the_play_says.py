"""Which user kubewire's commands on a lab host run as: the one that Ansible itself would become."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.loader import become_loader

from kubewire.core.errors import HostError
from kubewire.hosts.remote import runner
from kubewire.hosts.ssh_target import SshTarget
from repository import ROOT


@pytest.fixture(autouse=True)
def _collection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / ".collections"))


def place_of(user: str, plugin: Any) -> Any:
    module = importlib.import_module("ansible_collections.kubewire.lab.plugins.plugin_utils.place")
    options = {"ssh_executable": "ssh", "remote_user": user, "host": "pc1", "host_key_checking": True}
    connection = SimpleNamespace(transport="ssh", get_option=options.get, become=plugin)
    return module.place_of(connection, {"inventory_hostname": "pc1", "ansible_facts": {}})


def plugin(name: str = "sudo", **options: str) -> Any:
    found = become_loader.get(name)
    found.set_options(direct=options)
    return found


@pytest.mark.parametrize(
    ("user", "become", "words"),
    [
        ("student", None, ()),
        ("student", plugin(), ("sudo", "-H", "-n", "-u", "root", "--")),
        ("student", plugin(become_user="lab"), ("sudo", "-H", "-n", "-u", "lab", "--")),
        ("root", plugin(), ()),
    ],
)
def test_a_play_of_ones_own_may_ask_for_it(user: str, become: Any, words: tuple[str, ...]) -> None:
    """`become: true` in a play, or `--become`, is no variable of the inventory."""
    assert place_of(user, become).become == words


def test_another_way_is_refused_by_name() -> None:
    with pytest.raises(HostError, match="doesn't become root by su"):
        place_of("student", plugin("su"))


def test_sudo_that_asks_for_a_password_is_said_with_the_way_to_mend_it(tmp_path: Path) -> None:
    """A real sudo, behind a program in ssh's place that runs the command here as nobody."""
    if os.geteuid() or not (shutil.which("sudo") and shutil.which("setpriv")):
        pytest.skip("needs root, sudo and setpriv")
    ssh = tmp_path / "ssh"
    ssh.write_text(
        "#!/bin/sh\nfor last; do :; done\n"
        'exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$last"\n'
    )
    ssh.chmod(0o755)
    place = SshTarget("pc1", (str(ssh),), "python3", become=("sudo", "-H", "-n", "-u", "root", "--"))
    with pytest.raises(HostError, match="sudo asks for a password"):
        runner(place)("true", b"")
