"""The kernel modules of mode ipvs: loaded, built in, loadable, absent, or not to be told from here."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from kubewire.lab.schema import Lab, Mode
from kubewire.providers.netns import modules, preflight


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kernel's files, empty at first, on a machine that can load modules but nothing proves itself."""
    for name in ("SYS", "LIB"):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.setattr(modules, name, folder)
    (tmp_path / "modules").write_text("")
    monkeypatch.setattr(modules, "PROC", tmp_path / "modules")
    monkeypatch.setattr(modules, "works", lambda name: False)
    return tmp_path


def installed(kernel: Path, loadable: str = "", built_in: str = "") -> None:
    folder = kernel / "LIB" / platform.release()
    folder.mkdir()
    (folder / "modules.dep").write_text(loadable)
    (folder / "modules.builtin").write_text(built_in)


def test_each_state_is_told(kernel: Path) -> None:
    installed(
        kernel, "kernel/net/ip_vs.ko.xz: kernel/lib.ko\nkernel/ip_vs_sh.ko:\n", "kernel/net/nf_conntrack.ko\n"
    )
    (kernel / "SYS" / "dummy").mkdir()
    assert modules.states(["ip_vs", "ip_vs_sh", "nf_conntrack", "dummy", "xt_set"]) == {
        "ip_vs": "loadable",
        "ip_vs_sh": "loadable",
        "nf_conntrack": "built in",
        "dummy": "loaded",
        "xt_set": "absent",
    }


def test_a_container_without_lib_modules_does_not_call_its_hosts_modules_absent(kernel: Path) -> None:
    assert modules.states(["ip_vs"]) == {"ip_vs": "unknown"}


def test_a_kernel_that_loads_no_modules_has_what_is_built_in_only(kernel: Path) -> None:
    (kernel / "modules").unlink()
    assert modules.states(["ip_vs"]) == {"ip_vs": "absent"}


def test_the_schedulers_module_is_needed_too() -> None:
    assert modules.needed("sh")[:2] == ("ip_vs", "ip_vs_sh")
    assert modules.needed()[:2] == ("ip_vs", "ip_vs_rr")


def test_what_may_not_be_loaded_is_named_in_one_line(kernel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(kernel, "".join(f"kernel/{name}.ko:\n" for name in modules.needed("mh")))
    monkeypatch.setattr(modules, "may_load", lambda: False)
    needs = list(preflight._ip_vs("mh", load=True))
    assert not any(need.ok for need in needs)
    assert {need.hint for need in needs} == {f"sudo modprobe -a {' '.join(modules.needed('mh'))}"}


def test_only_a_kernel_without_them_calls_for_another(
    kernel: Path, monkeypatch: pytest.MonkeyPatch, plain_lab: Lab
) -> None:
    lab = plain_lab.model_copy(update={"mode": Mode.IPVS})
    installed(kernel, "kernel/ip_vs.ko:\nkernel/ip_vs_rr.ko:\n")
    monkeypatch.setattr(modules, "may_load", lambda: False)
    lacking = preflight.kernel_lacks(lab)
    assert "dummy" in lacking
    assert "ip_vs" not in lacking
    assert preflight.kernel_lacks(plain_lab) == []


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that tells each program that could load a module: modprobe, and what is tried in a namespace."""
    told = tmp_path / "told"
    told.write_text("")
    (tmp_path / "tools").mkdir()
    for name in ("modprobe", "unshare"):
        tool = tmp_path / "tools" / name
        tool.write_text(f'#!/bin/sh\necho "{name} $*" >>{told}\n')
        tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:{os.environ['PATH']}")
    return told


@pytest.mark.parametrize("root", [True, False])
def test_a_look_loads_no_module_and_up_does(
    kernel: Path, started: Path, monkeypatch: pytest.MonkeyPatch, plain_lab: Lab, root: bool
) -> None:
    monkeypatch.setattr(preflight, "try_sandbox", lambda: "")
    monkeypatch.setattr(modules, "may_load", lambda: root)
    used = [name for names in preflight._USED.values() for name in names]
    installed(kernel, "".join(f"kernel/{name}.ko:\n" for name in (*modules.needed(), *used)))
    lab = plain_lab.model_copy(update={"mode": Mode.IPVS})

    seen = {need.name: need for need in preflight.survey() if need.name.startswith("kernel:")}
    assert started.read_text() == ""
    assert seen["kernel: bridge and veth"].ok
    assert "not tried, since that may load bridge, veth" in seen["kernel: bridge and veth"].detail
    assert seen["kernel: dummy"].detail == "loadable, not tried: `up` does"
    assert seen["kernel: ip_vs"].ok is root
    if root:
        preflight.require(lab)
        assert preflight.kernel_lacks(lab) == []
    assert started.read_text() == ""

    preflight.survey(load=True)
    assert ("modprobe -a ip_vs" in started.read_text()) is root
    assert "unshare" in started.read_text()


def test_what_is_loaded_is_tried_for_real(
    kernel: Path, started: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(kernel, "kernel/other.ko:\n")
    for name in preflight._USED["bridge and veth"]:
        (kernel / "SYS" / name).mkdir()
    assert next(preflight._netfilter(load=False)).detail == "work"
    assert "unshare --net -- ip -batch -" in started.read_text()
