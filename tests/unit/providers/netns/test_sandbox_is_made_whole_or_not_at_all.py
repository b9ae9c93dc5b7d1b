"""A real sandbox with stand-in components: its namespaces, its death with its makers, its errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kubewire.core.errors import HostError, LabError
from kubewire.core.leftovers import remove
from kubewire.lab.schema import Lab
from kubewire.providers.netns import cgroups, control, creation, state
from kubewire.providers.netns.capabilities import try_sandbox
from kubewire.providers.netns.provider import NetnsProvider
from repository import TESTS
from waiting import DEADLINE, eventually

pytestmark = pytest.mark.skipif(bool(try_sandbox()), reason="namespaces are refused here")


@dataclass(frozen=True)
class StandIns:
    """Binaries that are one shell script: it tells its name, then sleeps or fails."""

    folder: Path
    version: str = "v1.37.2"
    control_plane_version: str = "v1.37.2"
    coredns: Path | None = None

    def _binary(self, name: str) -> Path:
        return self.folder / name

    etcd = property(lambda self: self._binary("etcd"))
    kube_apiserver = property(lambda self: self._binary("kube-apiserver"))
    kube_controller_manager = property(lambda self: self._binary("kube-controller-manager"))
    kube_scheduler = property(lambda self: self._binary("kube-scheduler"))
    kube_proxy = property(lambda self: self._binary("kube-proxy"))
    cni_dir = property(lambda self: self.folder)


@pytest.fixture
def binaries(tmp_path: Path) -> StandIns:
    folder = tmp_path / "bin"
    folder.mkdir()
    names = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    for name in names:
        script(folder / name, "exec sleep 1000")
    return StandIns(folder)


def script(path: Path, body: str) -> None:
    path.write_text(f'#!/bin/sh\necho "{path.name} says hello"\n{body}\n')
    path.chmod(0o755)


@pytest.fixture
def lab(plain_lab: Lab, state_home: Path) -> Iterator[Lab]:
    yield plain_lab
    NetnsProvider().down(plain_lab.name)


@pytest.fixture
def made(lab: Lab, binaries: StandIns, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """A sandbox whose apiserver never answers; `make` is not waited for."""
    monkeypatch.setattr(creation, "wait", lambda *_: None)
    monkeypatch.setattr(creation, "_wait_for_nodes", lambda *_: None)
    creation.make(lab, binaries)  # type: ignore[arg-type]
    return lab


def on_node(lab: Lab, node: str, *argv: str) -> str:
    handle = next(n for n in NetnsProvider().nodes(lab.name) if n.name == f"{lab.name}-{node}")
    return subprocess.run([*handle.prefix, *argv], capture_output=True, text=True, check=True).stdout


def test_nodes_have_their_names_addresses_routes_and_own_run(made: Lab) -> None:
    assert on_node(made, "worker", "hostname").strip() == "plain-worker"
    addresses = json.loads(on_node(made, "worker", "ip", "-j", "-4", "addr", "show", "eth0"))
    assert addresses[0]["addr_info"][0]["local"] == "172.18.0.3"
    assert on_node(made, "worker", "ip", "route", "show", "default").startswith("default via 172.18.0.1")
    assert on_node(made, "worker", "cat", "/proc/sys/net/ipv4/ip_forward").strip() == "1"
    assert "plain-worker" in on_node(made, "worker", "cat", "/run/kube-proxy/config.yaml")
    on_node(made, "worker", "touch", "/run/mine")
    assert "mine" not in on_node(made, "worker2", "ls", "/run")
    on_node(made, "control-plane", "ping", "-c1", "-W2", "172.18.0.4") if Path("/bin/ping").exists() else None


def test_links_of_the_host_are_out_of_sight_and_names_are_looked_up_in_files_only(made: Lab) -> None:
    assert sorted(on_node(made, "worker", "ls", "/sys/class/net").split()) == ["eth0", "lo"]
    assert "hosts: files\n" in on_node(made, "worker", "cat", "/etc/nsswitch.conf")
    assert "nameserver" not in on_node(made, "worker", "sh", "-c", "cat /etc/resolv.conf || true")


def test_a_netns_made_in_one_place_is_seen_on_every_node(made: Lab) -> None:
    outside = NetnsProvider().external_prefix(made.name)
    subprocess.run([*outside, "ip", "netns", "add", "cni-try"], check=True)
    assert "cni-try" in on_node(made, "worker", "ip", "netns", "list")
    assert "lo" in on_node(made, "worker2", "ip", "netns", "exec", "cni-try", "ip", "link")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_what_the_host_unmounts_is_free_and_what_a_node_mounts_stays_there(
    lab: Lab, binaries: StandIns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    media, disk = tmp_path / "media", tmp_path / "media" / "disk"
    monkeypatch.setattr(creation, "wait", lambda *_: None)
    monkeypatch.setattr(creation, "_wait_for_nodes", lambda *_: None)
    media.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "kubewire-media", media], check=True)
    try:
        subprocess.run(["mount", "--make-shared", media], check=True)
        disk.mkdir()
        (media / "inner").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "kubewire-disk", disk], check=True)
        creation.make(lab, binaries)  # type: ignore[arg-type]
        recorded = state.read_state(state.paths.lab_dir(lab.name))
        assert recorded is not None and recorded.init is not None
        seen = Path(f"/proc/{recorded.init.pid}/mounts")
        assert str(disk) in seen.read_text()
        assert str(disk) in on_node(lab, "worker", "cat", "/proc/self/mounts")
        subprocess.run(["umount", disk], check=True)
        assert str(disk) not in seen.read_text()
        assert str(disk) not in on_node(lab, "worker", "cat", "/proc/self/mounts")
        on_node(lab, "worker", "mount", "-t", "tmpfs", "tmpfs", str(media / "inner"))
        assert str(media / "inner") not in Path("/proc/mounts").read_text()
    finally:
        NetnsProvider().down(lab.name)
        subprocess.run(["umount", "--lazy", "--recursive", media], check=True)


@pytest.mark.parametrize("killed", ["keeper", "init"])
def test_a_labs_control_groups_end_with_it(made: Lab, killed: str) -> None:
    recorded = state.read_state(state.paths.lab_dir(made.name))
    assert recorded is not None and recorded.init is not None
    groups = [Path(folder) for folder in recorded.cgroups]
    if not groups:
        pytest.skip("no writable control group here")
    assert all((folder / "lab" / "cgroup.procs").read_text().split() for folder in groups)
    assert not any(cgroups.remove(folder) for folder in groups), "a living lab's group can't be removed"
    os.kill((recorded.monitor if killed == "keeper" else recorded.init).pid, signal.SIGKILL)
    ends(recorded)
    remove(NetnsProvider().garbage())
    assert not any(folder.exists() for folder in groups)


def test_secrets_are_roots_and_the_kubeconfig_is_private(made: Lab) -> None:
    assert on_node(made, "worker", "stat", "-c", "%a", "/run/kubewire/pki/sa.key").strip() == "600"
    assert NetnsProvider().kubeconfig(made.name).stat().st_mode & 0o777 == 0o600
    assert (state.paths.lab_dir(made.name) / state.SOCKET).stat().st_mode & 0o777 == 0o600


def test_a_component_that_dies_at_its_start_is_named_with_its_last_words(
    lab: Lab, binaries: StandIns, state_home: Path
) -> None:
    script(binaries.kube_apiserver, "echo 'bind: address already in use'; exit 1")
    with pytest.raises(LabError) as raised:
        creation.make(lab, binaries)  # type: ignore[arg-type]
    assert raised.value.exit_code == 4
    assert "kube-apiserver@plain-control-plane ended with exit code 1" in str(raised.value)
    assert "bind: address already in use" in str(raised.value)
    assert not (state_home / "labs" / lab.name).exists(), "nothing half-made"


def test_a_sandbox_that_cannot_be_built_tells_why(
    lab: Lab, binaries: StandIns, state_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubewire.providers.netns.plan import NodePlan, Plan

    whole = creation.plan_builder.make_plan

    def broken(*arguments: object, **options: object) -> Plan:
        from msgspec.structs import replace

        plan = whole(*arguments, **options)  # type: ignore[arg-type]
        return replace(plan, nodes=(NodePlan("plain-worker", ("not-an-address",), ()),))

    monkeypatch.setattr(creation.plan_builder, "make_plan", broken)
    with pytest.raises(LabError) as raised:
        creation.make(lab, binaries)  # type: ignore[arg-type]
    assert "not-an-address" in str(raised.value)
    assert not (state_home / "labs" / lab.name).exists()


def test_a_busy_port_is_exit_3_and_makes_nothing(lab: Lab, binaries: StandIns, state_home: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"port {port}"):
            creation.make(lab.model_copy(update={"api_server_port": port}), binaries)  # type: ignore[arg-type]
    assert not (state_home / "labs" / lab.name).exists()


MAKER = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
from test_sandbox_is_made_whole_or_not_at_all import StandIns
from kubewire.lab.loading import load_lab
from kubewire.providers.netns import creation
creation.make(load_lab(sys.argv[2], {}), StandIns(Path(sys.argv[3])))
"""


@pytest.fixture
def maker(lab: Lab, binaries: StandIns, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that makes the lab and waits, in vain, for its apiserver."""
    here = Path(__file__).parent
    arguments = [f"{here}:{TESTS}", str(tmp_path / "lab.yml"), str(binaries.folder)]
    process = subprocess.Popen([sys.executable, "-c", MAKER, *arguments], stderr=subprocess.DEVNULL)
    yield process
    process.kill()
    process.wait()


def running(lab: Lab, state_home: Path) -> state.SandboxState:
    found: list[state.SandboxState] = []

    def there() -> bool:
        recorded = state.read_state(state_home / "labs" / lab.name)
        if recorded and recorded.init:
            found.append(recorded)
        return bool(found)

    eventually(there, "no sandbox")
    return found[0]


def ends(recorded: state.SandboxState) -> None:
    assert recorded.init is not None
    eventually(lambda: not (recorded.monitor.alive() or recorded.init.alive()), "something outlives it")


def test_a_maker_killed_takes_the_lab_with_it(
    maker: subprocess.Popen[bytes], lab: Lab, state_home: Path
) -> None:
    recorded = running(lab, state_home)
    maker.kill()
    ends(recorded)
    assert not (state_home / "labs" / lab.name).exists()


def test_a_maker_interrupted_takes_the_lab_with_it(
    maker: subprocess.Popen[bytes], lab: Lab, state_home: Path
) -> None:
    recorded = running(lab, state_home)
    maker.send_signal(signal.SIGINT)
    maker.wait(DEADLINE)
    ends(recorded)
    assert not (state_home / "labs" / lab.name).exists()


def test_a_committed_lab_outlives_its_maker(
    maker: subprocess.Popen[bytes], lab: Lab, state_home: Path
) -> None:
    recorded = running(lab, state_home)
    control.call(state_home / "labs" / lab.name, control.Request("commit"), control.Done)
    time.sleep(0.3)
    maker.kill()
    maker.wait()
    time.sleep(0.5)
    assert recorded.alive()
    assert NetnsProvider().down(lab.name) is True
    ends(recorded)


def test_pid_1_killed_leaves_only_the_ends_of_its_logs(made: Lab, state_home: Path) -> None:
    recorded = running(made, state_home)
    log = state_home / "logs" / made.name / "post-mortem" / "etcd.log"
    assert recorded.init is not None
    on_node(
        made, "worker", "sh", "-c", "until grep -q hello /run/kubewire/logs/etcd.log; do sleep 0.05; done"
    )
    os.kill(recorded.init.pid, signal.SIGKILL)
    ends(recorded)
    assert "etcd says hello" in log.read_text()
    assert list((state_home / "labs").iterdir()) == []
    status = NetnsProvider().status(made.name)
    assert status.phase == "dead"
    assert "post-mortem" in status.reason
    assert len(remove(NetnsProvider().garbage())) == 1
    assert NetnsProvider().status(made.name).phase == "absent"


def test_the_keeper_killed_takes_pid_1_with_it(made: Lab, state_home: Path) -> None:
    recorded = running(made, state_home)
    os.kill(recorded.monitor.pid, signal.SIGKILL)
    ends(recorded)
    assert NetnsProvider().status(made.name).phase == "dead"
    assert NetnsProvider().down(made.name) is True
    assert list((state_home / "labs").iterdir()) == []
