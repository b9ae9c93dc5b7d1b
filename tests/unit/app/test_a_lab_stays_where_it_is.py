"""Where a lab runs is decided once, from its record, the options, and this kernel; it never moves."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.app.placement import Local, Placement, Remote, Request, Vm, resolve, resolve_up
from kubewire.core.errors import DefinitionError, LabError
from kubewire.hosts import records
from kubewire.hosts.inventory import VARIABLE
from kubewire.hosts.records import RemoteLab
from kubewire.hosts.ssh_target import SshTarget
from kubewire.hosts.status import remote_status
from kubewire.providers.netns import preflight

ROOM = "all: {children: {students: {hosts: {alice: {}, bob: {}, carol: {}}}}}"


@pytest.fixture(autouse=True)
def _room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inventory, no labs, and a kernel without ip_vs."""
    (tmp_path / "room.yml").write_text(ROOM)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv(VARIABLE, str(tmp_path / "room.yml"))
    monkeypatch.setattr(preflight, "kernel_lacks", lambda lab: ["ip_vs", "dummy"])


def up_on(*hosts: str, lab: str = "iptables") -> None:
    for host in hosts:
        records.write(
            RemoteLab(lab, f"/labs/{lab}.yml", SshTarget(host, ("ssh", host), "python3"), ("room.yml",))
        )


def wanted(lab: str, host: str = "", *, provider: str = "auto", mode: str = "") -> Placement:
    return resolve_up(Request(lab, host, overrides={"mode": mode} if mode else {}, provider=provider))


def hosts(placement: Placement) -> tuple[str, ...]:
    assert type(placement) is Remote
    return placement.target.hosts


def test_up_is_here_by_default_and_then_where_the_lab_is() -> None:
    assert wanted("iptables") == wanted("iptables", "local") == Local("iptables")
    up_on("alice", "bob")
    assert hosts(wanted("iptables")) == ("alice", "bob")


def test_a_group_may_grow_or_shrink_but_a_lab_never_moves() -> None:
    up_on("alice", "bob")
    assert set(hosts(wanted("iptables", "students"))) == {"alice", "bob", "carol"}
    assert hosts(wanted("iptables", "bob")) == ("bob",)
    for elsewhere in ("local", "carol"):
        with pytest.raises(DefinitionError, match="it can't be moved"):
            wanted("iptables", elsewhere)


def test_a_command_for_one_host_asks_which() -> None:
    up_on("alice", "bob")
    several, only = resolve("iptables"), resolve("iptables", "bob")
    assert hosts(several) == ("alice", "bob")
    with pytest.raises(DefinitionError, match="alice, bob"):
        several.snapshot()
    assert isinstance(only, Remote)
    assert only.one.place.name == "bob"
    with pytest.raises(DefinitionError, match="isn't up on carol"):
        resolve("iptables", "carol")


def test_a_lab_that_is_nowhere_is_here() -> None:
    up_on("alice")
    records.forget("iptables", "alice")
    assert resolve("iptables") == Local("iptables")
    assert records.labs() == []


def why(placement: Placement) -> str:
    return placement.why if isinstance(placement, Vm) else ""


def test_a_kernel_without_ip_vs_needs_a_vm() -> None:
    assert why(wanted("ipvs")) == "this kernel has no ip_vs, dummy"
    assert why(wanted("iptables")) == ""
    assert why(wanted("ipvs", mode="nftables")) == ""
    assert why(wanted("ipvs", provider="kind")) == ""
    assert why(wanted("ipvs", "local")) == ""


def test_a_kernel_with_ip_vs_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "kernel_lacks", lambda lab: [])
    assert why(wanted("ipvs")) == ""
    assert why(wanted("ipvs", "vm")) == "asked for"


def test_a_lab_in_a_vm_stays_there_and_no_other_moves_into_one() -> None:
    up_on("vm", lab="ipvs")
    assert why(wanted("ipvs")) == "the lab is in one already"
    records.forget("ipvs", "vm")
    up_on("alice", lab="ipvs")
    assert hosts(wanted("ipvs")) == ("alice",)
    with pytest.raises(DefinitionError, match="runs on alice"):
        wanted("ipvs", "vm")


def test_kind_is_not_made_in_a_vm() -> None:
    with pytest.raises(DefinitionError, match="netns"):
        wanted("ipvs", "vm", provider="kind")


def test_a_vm_that_has_ended_is_told_before_ssh_is_tried() -> None:
    up_on("vm", lab="ipvs")
    with pytest.raises(LabError, match="VM has ended") as raised:
        resolve("ipvs").snapshot()
    assert "kubewire down ipvs" in raised.value.hint
    status = remote_status(records.read("ipvs")["vm"])
    assert (status.phase, status.reason) == ("dead", "its VM has ended")
