"""A command reads the lab's file once, wherever the lab is, and hands the definition on."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from kubewire.app import in_vm, on_hosts, on_this_machine
from kubewire.app.playbook import Run
from kubewire.binaries import supply
from kubewire.cli.main import app
from kubewire.hosts import inventory, records
from kubewire.hosts.inventory import Target
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_target import SshTarget
from kubewire.providers.netns.provider import NetnsProvider

Calls = Callable[..., int]


@pytest.fixture
def lab(tmp_path: Path) -> str:
    path = tmp_path / "once.yml"
    path.write_text("mode: iptables\n")
    return str(path)


@pytest.fixture
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: str) -> Calls:
    """How often a call opens the lab's file; playbooks, VMs and downloads do nothing."""
    opened: list[str] = []
    real = os.open

    def opening(path: str, *arguments: Any, **options: Any) -> int:
        opened.append(os.fspath(path))
        return real(path, *arguments, **options)

    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(os, "open", opening)
    for module in (on_this_machine, on_hosts):
        monkeypatch.setattr(module, "run_playbook", lambda *_, **__: Run(tmp_path / "run"))
    monkeypatch.setattr(NetnsProvider, "require_possible", lambda *_: None)
    monkeypatch.setattr(supply, "ensure", lambda *_, **__: None)
    monkeypatch.setattr(in_vm, "boot", lambda *_: (Target("vm", ("vm",), ()), "v1.37.2"))
    monkeypatch.setattr(in_vm.machine, "remove", lambda _: False)
    monkeypatch.setattr(inventory, "find_target", lambda name, _: Target(name, (name,), ("room.yml",)))

    def count(*argv: str) -> int:
        opened.clear()
        with suppress(SystemExit):
            app(list(argv), standalone_mode=False)
        return opened.count(lab)

    return count


@pytest.mark.parametrize("host", ["local", "alice", "vm"])
@pytest.mark.parametrize("options", [(), ("--check",), ("--verify", "--set", "httpbin.replicas=2")])
def test_up(reads: Calls, lab: str, host: str, options: tuple[str, ...]) -> None:
    assert reads("up", lab, "--provider", "netns", "--host", host, *options) == 1


@pytest.mark.parametrize("command", [("down",), ("render",), ("status", "--format", "json")])
def test_other_commands(reads: Calls, lab: str, command: tuple[str, ...]) -> None:
    assert reads(*command, lab) == 1


def test_a_recorded_lab_needs_no_file(reads: Calls, lab: str) -> None:
    records.write(RemoteLab("once", lab, SshTarget("alice", ("false",), "python3"), ("room.yml",)))
    assert reads("down", "once") == 0
    assert reads("verify", "once") == 0
