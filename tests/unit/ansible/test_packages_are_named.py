"""Which Debian packages a lab lacks, and what is said where nothing can install them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.app.steps.packages import missing_packages
from kubewire.core import processes
from kubewire.core.os_packages import can_install, not_installable
from kubewire.lab.loading import load_lab


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose only commands are those put into this folder."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(processes, "SYSTEM_PATH", str(tmp_path))
    return tmp_path


def put(folder: Path, *commands: str) -> None:
    for command in commands:
        (folder / command).write_text("#!/bin/sh\n")
        (folder / command).chmod(0o755)


def test_all_of_a_bare_machines_are_named_once(bare: Path) -> None:
    missing = missing_packages(load_lab("iptables"), "netns")
    assert missing == sorted(set(missing))
    assert {
        "iproute2",
        "util-linux",
        "iptables",
        "nftables",
        "curl",
        "conntrack",
        "procps",
        "ipset",
        "ipvsadm",
    } == set(missing)


def test_only_what_is_missing_is_named(bare: Path) -> None:
    put(bare, "ip", "nsenter", "unshare", "iptables", "ip6tables", "iptables-save", "nft", "curl")
    assert missing_packages(load_lab("iptables", {"tools": ["tcpdump"]}), "netns") == [
        "conntrack",
        "procps",
        "tcpdump",
    ]


def test_apt_is_no_way_without_apt(bare: Path) -> None:
    assert not can_install(become=True)


def test_the_error_holds_the_line_to_type() -> None:
    error = not_installable(["ipset", "nftables"])
    assert error.exit_code == 3
    assert error.hint.endswith("sudo apt-get install ipset nftables")
