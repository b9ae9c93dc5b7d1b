"""The connection runs commands and moves files through an argv prefix, with a POSIX shell only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from repository import ROOT

BIN = Path(sys.executable).parent


@pytest.fixture
def ansible(tmp_path: Path) -> dict[str, str]:
    """The environment of an ansible command whose one host, `node`, is entered by `env WHERE=inside`."""
    inventory = tmp_path / "hosts.json"
    host = {
        "ansible_connection": "kubewire.lab.node",
        "kubewire_prefix": ["env", "WHERE=inside it"],
        "ansible_python_interpreter": sys.executable,
        "ansible_remote_tmp": str(tmp_path / "remote"),
    }
    inventory.write_text(json.dumps({"all": {"hosts": {"node": host}}}))
    return os.environ | {
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp_path / "home"),
        "ANSIBLE_INVENTORY": str(inventory),
        "ANSIBLE_NOCOLOR": "1",
    }


def run(environment: dict[str, str], *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "ansible"), "node", *argv], env=environment, capture_output=True, text=True
    )


def test_a_command_runs_behind_the_prefix(ansible: dict[str, str]) -> None:
    done = run(ansible, "-m", "ansible.builtin.raw", "-a", 'echo "<$WHERE>"; echo oops >&2; exit 3')
    assert done.returncode == 2
    assert "<inside it>" in done.stdout
    assert "oops" in done.stdout
    assert "rc=3" in done.stdout


def test_a_module_and_its_files_pass_through(ansible: dict[str, str], tmp_path: Path) -> None:
    source, target = tmp_path / "a file", tmp_path / "target"
    source.write_bytes(b"bytes \xff\x00 of it\n")
    arguments = json.dumps({"src": str(source), "dest": str(target)})
    done = run(ansible, "-m", "ansible.builtin.copy", "-a", arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    assert target.read_bytes() == source.read_bytes()
