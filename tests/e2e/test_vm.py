"""A real VM with a real ip_vs: the lab in it comes up, holds, and every damage is named and mended."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Kubewire

LAB = "ipvs"
WORKER = "ipvs-worker"
APISERVER = "10.96.0.1:443"
SLOWLY = ("--set", "kubeProxy.syncPeriod=1h")
"""kube-proxy mends nothing by itself meanwhile."""
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.vm]


@pytest.fixture(scope="module")
def vm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubewire]:
    """A command with the lab up in a VM; its first run's words are kept in `told`."""
    command = Kubewire(tmp_path_factory.mktemp("state"))
    up = command.ok("up", LAB, "--host", "vm", "--verify", *SLOWLY, timeout=1800)
    (command.state / "told").write_text(up.text)
    yield command
    command.ok("down", LAB)
    assert not [path for path in (command.state / "kubewire").rglob("*") if path.is_file()]


def service(vm: Kubewire) -> str:
    """The httpbin Service's virtual server, `10.96.x.y:8000`."""
    listing = vm.node(LAB, "worker", "ipvsadm", "-Ln")
    found = re.search(r"TCP +(\S+:8000) ", listing)
    assert found, listing
    return found[1]


def reals(vm: Kubewire) -> list[str]:
    listing = vm.node(LAB, "worker", "ipvsadm", "-Ln", "-t", service(vm))
    return re.findall(r"-> (\S+:\d+) +Masq", listing)


@pytest.mark.sample
def test_the_summary_shows_the_set_and_the_virtual_servers(vm: Kubewire) -> None:
    told = (vm.state / "told").read_text()
    assert "ipset KUBE-CLUSTER-IP" in told
    assert "ipvsadm -L -n" in told
    assert re.search(r"TCP +10\.96\.0\.1:443 rr", told)
    assert re.search(r"-> 10\.244\.\d+\.\d+:80 +Masq +1", told)


def test_a_second_up_changes_nothing(vm: Kubewire) -> None:
    assert "nothing to do" in vm.ok("up", LAB, *SLOWLY).text


def test_it_answers_like_any_lab(vm: Kubewire, tmp_path: Path) -> None:
    assert "ready" in vm.ok("status", LAB).text
    assert "on vm" in vm.ok("list").text
    kubeconfig = vm.ok("kubeconfig", LAB).out.strip()
    assert Path(kubeconfig).stat().st_mode & 0o777 == 0o600
    vm.ok("snapshot", LAB, str(tmp_path / "shot"))
    assert "KUBE-CLUSTER-IP" in (tmp_path / "shot" / "nodes" / WORKER / "ipset-save.txt").read_text()
    assert vm.run("verify", "--snapshot", str(tmp_path / "shot")).code == 0


def damages(vm: Kubewire) -> dict[str, tuple[list[str], str]]:
    """Each damage: the command that does it, and what only its finding says. None hides another."""
    server, (real, other, *_) = service(vm), reals(vm)
    address, _, port = server.rpartition(":")
    return {
        "set member": (["ipset", "del", "KUBE-CLUSTER-IP", f"{address},tcp:{port}"], "KUBE-CLUSTER-IP"),
        "address": (["ip", "addr", "del", f"{address}/32", "dev", "kube-ipvs0"], "kube-ipvs0"),
        "weight": (["ipvsadm", "-e", "-t", server, "-r", other, "-m", "-w", "7"], "-w 7"),
        "scheduler": (["ipvsadm", "-E", "-t", server, "-s", "wrr"], "-s wrr"),
        "real server": (["ipvsadm", "-d", "-t", server, "-r", real], f"-r {real}"),
        "virtual server": (["ipvsadm", "-D", "-t", APISERVER], f"-A -t {APISERVER}"),
    }


@pytest.mark.sample
def test_every_damage_is_named_and_all_are_mended(vm: Kubewire) -> None:
    done = damages(vm)
    for command, _ in done.values():
        vm.node(LAB, "worker", *command)
    code, report = vm.report(LAB)
    assert code == 1
    failed = [check for check in report["checks"] if check["status"] == "failed"]
    assert {check["node"] for check in failed if check["node"]} == {WORKER}
    texts = [" ".join(map(str, check.values())) for check in failed]
    for damage, (_, named) in done.items():
        assert any(named in text for text in texts), (damage, texts)
    assert "restarted kube-proxy" in vm.ok("up", LAB, "--verify", *SLOWLY).text


def test_a_source_stays_with_one_server_where_the_scheduler_is_sh(vm: Kubewire) -> None:
    up = vm.ok("up", LAB, "--set", "kubeProxy.scheduler=sh", "--verify")
    assert re.search(rf"TCP +{re.escape(service(vm))} sh", up.text)


def test_a_vm_that_is_killed_is_told_and_leaves_nothing(vm: Kubewire) -> None:
    """The last one here: `down`, and that nothing stays, is the fixture's end."""
    state = vm.state / "kubewire" / "vm" / LAB / "vm.json"
    pid = re.search(r'"qemu": \{\s*"pid": (\d+)', state.read_text())
    assert pid
    subprocess.run(["kill", "-9", pid[1]], check=True)
    outcome = vm.run("verify", LAB)
    assert outcome.code == 4
    assert "VM has ended" in outcome.text
