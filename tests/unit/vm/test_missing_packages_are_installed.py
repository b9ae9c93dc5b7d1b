"""What a VM or a node image takes of the machine is installed as root where apt-get is; else it is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kubewire import ospackages
from kubewire.errors import HostError
from kubewire.vm import cache, preflight, recipe

NEEDED = {"mmdebstrap": "mmdebstrap", "sh": "dash"}
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root installs")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with sh and an apt-get that notes what it is asked, and that makes what it installs."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(ospackages, "SYSTEM_PATH", str(tmp_path))
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
    ospackages.provide(NEEDED, hear)
    assert (machine / "asked").read_text().splitlines() == [
        "update -q",
        "install -y -q --no-install-recommends mmdebstrap",
    ]
    ospackages.provide(NEEDED, hear)
    assert len((machine / "asked").read_text().splitlines()) == 2


@ROOT
def test_what_apt_says_is_told(machine: Path) -> None:
    (machine / "broken").touch()
    with pytest.raises(HostError, match=r"update failed: E: no such mirror\n.*apt-get install mmdebstrap"):
        ospackages.provide(NEEDED, hear)


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
    ospackages.provide(NEEDED, hear)
    assert not (machine / "asked").exists()
    assert ospackages.missing_packages(NEEDED) == ["mmdebstrap"]
