"""What this machine lacks is named all at once, with the mend, and only for the modes that need it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kubewire.core import processes
from kubewire.core.errors import HostError
from kubewire.lab.schema import Lab, Mode
from kubewire.providers.netns import capabilities, preflight
from kubewire.providers.netns.preflight import Requirement

HAVE = Requirement("ip", True, "/usr/sbin/ip")
NO_CURL = Requirement("curl", False, "not installed", "apt-get install curl")
NO_NFT = Requirement("nft", False, "not installed", "apt-get install nftables")
NO_IPVS = Requirement("kernel: ip_vs", False, "kernel 6.1 has none", "another kernel", ("ipvs",))


def surveyed(monkeypatch: pytest.MonkeyPatch, *found: Requirement) -> None:
    monkeypatch.setattr(preflight, "survey", lambda **_: list(found))


def test_all_that_is_missing_is_in_one_error(monkeypatch: pytest.MonkeyPatch, plain_lab: Lab) -> None:
    surveyed(monkeypatch, HAVE, NO_CURL, NO_NFT)
    with pytest.raises(HostError) as raised:
        preflight.require(plain_lab)
    assert raised.value.exit_code == 3
    for word in ("curl", "nft", "apt-get install curl", "apt-get install nftables"):
        assert word in str(raised.value)


def test_a_missing_ip_vs_matters_to_mode_ipvs_only(monkeypatch: pytest.MonkeyPatch, plain_lab: Lab) -> None:
    surveyed(monkeypatch, HAVE, NO_IPVS)
    preflight.require(plain_lab)
    with pytest.raises(HostError, match="ip_vs"):
        preflight.require(plain_lab.model_copy(update={"mode": Mode.IPVS}))


def test_another_system_is_told_that_namespaces_are_linuxs(
    monkeypatch: pytest.MonkeyPatch, plain_lab: Lab
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(HostError, match="kind"):
        preflight.require(plain_lab)


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(processes, "SYSTEM_PATH", str(tmp_path))
    missing = {need.name: need.hint for need in preflight._tools() if not need.ok}
    assert "apt-get install iproute2" in missing["ip"]
    assert "apt-get install ipvsadm" in missing["ipvsadm"]


@pytest.mark.parametrize(
    ("sysctl", "value", "word"),
    [
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "AppArmor"),
        ("kernel/unprivileged_userns_clone", "0", "unprivileged_userns_clone=1"),
        ("user/max_user_namespaces", "0", "max_user_namespaces=15000"),
    ],
)
def test_the_switch_that_forbids_namespaces_is_named(
    monkeypatch: pytest.MonkeyPatch, sysctl: str, value: str, word: str
) -> None:
    monkeypatch.setattr(preflight, "_sysctl", lambda name: value if name == sysctl else "")
    assert word in preflight._namespace_hint("unshare is refused: Operation not permitted")


def test_a_masked_proc_points_to_the_containers_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_sysctl", lambda name: "")
    hint = preflight._namespace_hint("mounting /proc is refused: Operation not permitted")
    assert "systempaths=unconfined" in hint


def test_the_try_out_leaves_this_process_and_its_namespaces_alone() -> None:
    before = Path("/proc/self/ns/net").readlink(), Path("/proc/self/ns/pid_for_children").readlink()
    capabilities.try_sandbox()
    assert (Path("/proc/self/ns/net").readlink(), Path("/proc/self/ns/pid_for_children").readlink()) == before


def test_a_refused_step_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(capabilities.linux, "unshare", refuse)
    assert capabilities.try_sandbox() == "unshare is refused: Operation not permitted"


def test_what_the_kernel_refuses_is_told_in_the_tools_own_words() -> None:
    refused = capabilities.in_throwaway(("ip", "link", "add", "kw0", "type", "nosuchtype"), "")
    assert refused != ""
    assert capabilities.in_throwaway(("ip", "link", "add", "kw0", "type", "bridge"), "") == ""
    assert capabilities.in_throwaway(("no-such-tool",), "") == ""


def test_nothing_is_said_about_the_kernel_where_namespaces_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(preflight, "try_sandbox", lambda: "unshare is refused: Operation not permitted")
    names = [need.name for need in preflight.survey()]
    assert "namespaces" in names
    assert not [name for name in names if name.startswith("kernel")]
