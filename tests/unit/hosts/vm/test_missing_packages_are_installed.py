"""What a VM or a node image takes of the machine is installed as root where apt-get is; else it is named."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from kubewire.app import machine as matrix_machine
from kubewire.app import prefetch
from kubewire.binaries import supply
from kubewire.cli.main import app
from kubewire.core import os_packages, processes
from kubewire.core.errors import HostError
from kubewire.hosts.vm import cache, preflight, recipe
from kubewire.nightly.hosts import Runners, Task, at_hand
from kubewire.providers.netns.provider import NetnsProvider

NEEDED = {"mmdebstrap": "mmdebstrap", "sh": "dash"}
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with sh and an apt-get that notes what it is asked, and that makes what it installs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(processes, "SYSTEM_PATH", str(tmp_path))
    (tmp_path / "sh").symlink_to("/bin/sh")
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n[ "$1" = update ] || : >{tmp_path}/mmdebstrap\n'
        f"[ ! -e {tmp_path}/broken ] || {{ echo 'E: no such mirror' >&2; exit 100; }}\n"
        f"/bin/chmod +x {tmp_path}/mmdebstrap 2>/dev/null || :\n"
    )
    apt.chmod(0o755)
    return tmp_path


def hear(*_: object, **__: object) -> None:
    """Progress that nobody reads."""


@ROOT
def test_only_what_is_missing_is_installed(machine: Path) -> None:
    os_packages.provide(NEEDED, hear)
    assert (machine / "asked").read_text().splitlines() == [
        "update -q",
        "install -y -q --no-install-recommends mmdebstrap",
    ]
    os_packages.provide(NEEDED, hear)
    assert len((machine / "asked").read_text().splitlines()) == 2


@ROOT
def test_what_apt_says_is_told(machine: Path) -> None:
    (machine / "broken").touch()
    with pytest.raises(HostError, match=r"update failed: E: no such mirror\n.*apt-get install mmdebstrap"):
        os_packages.provide(NEEDED, hear)


def test_tools_know_every_file_name_whatever_the_locale(monkeypatch: pytest.MonkeyPatch) -> None:
    """mkfs.ext4 refuses Debian's archive in the locale C, which a minimal machine has."""
    monkeypatch.setenv("LC_ALL", "C")
    cache.run_tool(["sh", "-c", 'test "$LC_ALL" = C.UTF-8'], "another locale")


def test_making_a_vm_takes_what_its_hook_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "has_root", lambda: False)
    assert preflight.programs()["xz"] == "xz-utils"
    assert " -exec xz -d " in recipe.guest_file("hook")


def test_nothing_is_tried_by_others(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    os_packages.provide(NEEDED, hear)
    assert not (machine / "asked").exists()
    assert os_packages.missing_packages(NEEDED) == ["mmdebstrap"]


@pytest.mark.parametrize("root", [pytest.param(True, marks=ROOT), False])
def test_a_nightly_has_what_a_vm_takes_and_its_plan_only_counts_on_it(
    root: bool, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(preflight, "programs", lambda: NEEDED)
    monkeypatch.setattr(preflight, "available_memory", lambda: 1 << 20)
    runners, task = Runners(local=False, vm=True, target=None), Task([], [], [])
    lost = "" if root else "no mmdebstrap"
    assert [worker.lost for worker in at_hand(runners, task, None)] == [lost]
    assert not (machine / "asked").exists()
    assert [worker.lost for worker in at_hand(runners, task, None, hear)] == [lost]
    assert (machine / "asked").exists() == root


@pytest.mark.parametrize("root", [pytest.param(True, marks=ROOT), False])
def test_a_nightly_has_what_its_labs_take(root: bool, machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0 if root else 1000)
    monkeypatch.setattr(NetnsProvider, "lacks_for", lambda *_: "")
    monkeypatch.setattr(matrix_machine, "missing_packages", lambda *_: ["mmdebstrap"])
    for told in (None, hear):
        with nullcontext() if root else pytest.raises(HostError, match="are missing: mmdebstrap"):
            matrix_machine.examine(["netns"], ["iptables"], ["iptables"], told)
        assert (machine / "asked").exists() == (root and told is hear)


@ROOT
def test_prefetch_fetches_them_too(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "missing_packages", lambda *_: ["mmdebstrap"])
    monkeypatch.setattr(supply, "plan", lambda *_, **__: sys.exit(0))
    with pytest.raises(SystemExit):
        app(["prefetch", "iptables", "--provider", "netns", "--host", "local"], standalone_mode=False)
    assert "install -y -q --no-install-recommends mmdebstrap" in (machine / "asked").read_text()
