"""When `up` takes a VM: asked for, there already, or mode ipvs on a kernel that has no way to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.core.errors import DefinitionError, LabError
from kubewire.hosts import records
from kubewire.hosts.choice import one_away
from kubewire.hosts.records import Away
from kubewire.hosts.remote import phase
from kubewire.hosts.ssh_target import Place
from kubewire.hosts.vm.choice import why_in_vm
from kubewire.providers.netns import preflight


@pytest.fixture
def bare_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "kernel_lacks", lambda lab: ["ip_vs", "dummy"])


def up_on(host: str) -> None:
    records.write(Away("ipvs", "labs/ipvs.yml", Place(host, ("ssh", host), "/usr/bin/python3")))


@pytest.mark.usefixtures("bare_kernel")
def test_a_kernel_without_ip_vs_is_why() -> None:
    assert why_in_vm("ipvs", {}, "auto", "") == "this kernel has no ip_vs, dummy"
    assert why_in_vm("iptables", {}, "auto", "") == ""
    assert why_in_vm("ipvs", {"mode": "nftables"}, "auto", "") == ""
    assert why_in_vm("ipvs", {}, "kind", "") == ""


def test_a_kernel_with_ip_vs_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "kernel_lacks", lambda lab: [])
    assert why_in_vm("ipvs", {}, "auto", "") == ""
    assert why_in_vm("ipvs", {}, "auto", "vm") == "asked for"


@pytest.mark.usefixtures("bare_kernel")
def test_a_lab_stays_where_it_is() -> None:
    up_on("vm")
    assert why_in_vm("ipvs", {}, "auto", "") == "it is there already"
    records.forget("ipvs", "vm")
    up_on("alice")
    assert why_in_vm("ipvs", {}, "auto", "") == ""
    with pytest.raises(DefinitionError, match="runs on alice"):
        why_in_vm("ipvs", {}, "auto", "vm")


def test_kind_is_not_made_in_it() -> None:
    with pytest.raises(DefinitionError, match="netns"):
        why_in_vm("ipvs", {}, "kind", "vm")


def test_a_vm_that_has_ended_is_told_before_ssh_is_tried(tmp_path: Path) -> None:
    up_on("vm")
    with pytest.raises(LabError, match="VM has ended") as raised:
        one_away("ipvs")
    assert "kubewire down ipvs" in raised.value.mend
    assert phase(records.read("ipvs")["vm"]) == "dead"
