"""Labs on real kind, on a real Docker engine: brought up, judged, damaged, mended, removed."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Kubewire, pods

pytestmark = [pytest.mark.kind, pytest.mark.slow]
NODES = ("control-plane", "worker", "worker2")
LAB = "on-kind"


def docker(*argv: str) -> str:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=True, timeout=60).stdout


def engine_picture() -> dict[str, list[str]]:
    """What the engine holds of clusters; images stay."""
    return {
        "containers": sorted(docker("ps", "-a", "--format", "{{.Names}}").splitlines()),
        "networks": sorted(docker("network", "ls", "--format", "{{.Name}}").splitlines()),
        "volumes": sorted(docker("volume", "ls", "--format", "{{.Name}}").splitlines()),
    }


def write_lab(folder: Path, name: str, mode: str = "iptables", **keys: Any) -> str:
    path = folder / f"{name}.yml"
    path.write_text(json.dumps({"mode": mode, "provider": "kind", **keys}))
    return str(path)


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("labs")


@pytest.fixture(scope="module", params=["iptables", "nftables"])
def lab(
    request: pytest.FixtureRequest, labs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Kubewire, str, str]]:
    """(command, the lab's file, its mode) with the lab up; afterwards the engine is as it was."""
    before = engine_picture()
    command = Kubewire(tmp_path_factory.mktemp("state"))
    path = write_lab(labs, LAB, request.param)
    first = command.ok("up", path)
    assert "node image" in first.text or "its nodes run" in first.text
    yield command, path, request.param
    command.ok("down", path)
    assert engine_picture() == before
    assert not [file for file in command.state.rglob("*") if file.is_file()]


def ids_of_own_services(report: dict[str, Any]) -> set[str]:
    return {c["id"] for c in report["checks"] if c["service"].startswith("default/httpbin")}


def test_the_same_is_checked_as_on_the_embedded_provider(
    lab: tuple[Kubewire, str, str], labs: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    command, path, mode = lab
    code, report = command.report(path)
    assert code == 0, [c for c in report["checks"] if c["status"] == "failed"]
    assert [node["name"] for node in report["nodes"]] == [f"{LAB}-{node}" for node in NODES]
    assert (report["provider"], report["mode"]) == ("kind", mode)
    embedded = Kubewire(tmp_path_factory.mktemp("embedded"))
    twin = write_lab(labs, "embedded-twin", mode, provider="netns")
    try:
        embedded.ok("up", twin)
        code, other = embedded.report(twin)
        assert code == 0
    finally:
        embedded.run("down", twin)
    assert ids_of_own_services(report) == ids_of_own_services(other)


def test_a_second_up_changes_nothing(lab: tuple[Kubewire, str, str]) -> None:
    command, path, _ = lab
    assert "changed=0" in command.ok("up", path).text


def test_tools_run_in_every_node(lab: tuple[Kubewire, str, str]) -> None:
    command, _, _ = lab
    for node in NODES:
        assert "ipset v" in command.node(LAB, node, "ipset", "--version")
        ipvsadm = command.run("exec", LAB, node, "--", "ipvsadm", "-L", "-n")
        if Path("/proc/net/ip_vs").exists():
            assert "IP Virtual Server version" in ipvsadm.out
        else:  # it runs, and says what the kernel lacks
            assert "Can't initialize ipvs" in ipvsadm.text


def test_the_articles_own_commands_show_its_chain(lab: tuple[Kubewire, str, str]) -> None:
    _, _, mode = lab
    listing = docker("exec", f"{LAB}-worker", "iptables", "-n", "-L", "-t", "nat")
    if mode == "iptables":
        chain = listing.partition("Chain KUBE-SVC-FREKB6WNWYJLKTHC")[2].partition("\n\n")[0]
        assert re.findall(r"probability (\S+)", chain) == ["0.25000000000", "0.33333333349", "0.50000000000"]
    else:
        assert "KUBE-SVC" not in listing


def damage(command: Kubewire, mode: str) -> None:
    if mode == "iptables":
        rules = command.node(LAB, "worker", "iptables-save", "-t", "nat").splitlines()
        dnat = next(line for line in rules if "-j DNAT" in line and "httpbin" in line)
        command.node(LAB, "worker", "iptables", "-w", "-t", "nat", "-D", *shlex.split(dnat)[1:])
    else:
        command.node(LAB, "worker", "nft", "flush", "map", "ip", "kube-proxy", "service-ips")


def test_damage_is_found_named_and_mended(lab: tuple[Kubewire, str, str]) -> None:
    command, path, mode = lab
    damage(command, mode)
    found = command.run("verify", path, timeout=120)
    assert found.code == 1, found.text
    assert f"{LAB}-worker" in found.text
    assert "httpbin" in found.text
    assert f"{LAB}-worker: restarted kube-proxy" in command.ok("up", path).text
    assert command.run("verify", path).code == 0
    assert "changed=0" in command.ok("up", path).text


def test_lost_routes_are_put_back(lab: tuple[Kubewire, str, str]) -> None:
    command, path, _ = lab
    routes = command.node(LAB, "worker", "ip", "-4", "route").splitlines()
    pod = next(line.split()[0] for line in routes if " dev veth" in line)
    cidr = next(line.split()[0] for line in routes if line.startswith("10.244.") and " via " in line)
    for lost in (pod, cidr):
        command.node(LAB, "worker", "ip", "route", "del", lost)
    found = command.run("verify", path, timeout=120)
    assert found.code == 1
    for lost in (pod, cidr):
        assert lost in found.text
    assert "put back" in command.ok("up", path).text
    assert command.run("verify", path).code == 0


def kubectl(command: Kubewire, *argv: str) -> str:
    binary = sorted(Path.home().glob(".cache/kubewire/bin/v1.3*/kubectl"))[-1]
    config = command.ok("kubeconfig", LAB).out.strip()
    assert Path(config).stat().st_mode & 0o777 == 0o600
    return subprocess.run(
        [binary, "--kubeconfig", config, *argv], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_scaling_is_followed_and_taken_back(lab: tuple[Kubewire, str, str]) -> None:
    command, path, _ = lab
    kubectl(command, "scale", "deployment", "httpbin", "--replicas=2")
    kubectl(command, "rollout", "status", "deployment/httpbin", "--timeout=60s")
    assert command.run("verify", path).code == 0
    assert "2 → 4" in command.ok("up", path).text
    assert len(pods(kubectl(command, "get", "pods", "-o", "json"))) == 4


def test_what_kind_cannot_change_is_refused(lab: tuple[Kubewire, str, str]) -> None:
    command, path, _ = lab
    outcome = command.run("up", path, "--set", "nodes.workers=1")
    assert outcome.code == 2
    assert "--recreate" in outcome.text
    assert "nodes.workers: 2 → 1" in outcome.text


def test_a_stopped_node_is_named_and_started(lab: tuple[Kubewire, str, str]) -> None:
    command, path, _ = lab
    docker("stop", "-t", "2", f"{LAB}-worker2")
    assert f"{LAB}-worker2 is exited" in command.run("status", LAB).text
    assert f"{LAB}-worker2: node container started" in command.ok("up", path).text
    assert command.run("verify", path).code == 0


def test_a_foreign_cluster_is_never_touched(labs: Path, kubewire: Kubewire) -> None:
    image = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "kubewire/node").split()[0]
    label = "io.x-k8s.kind.cluster=foreign"
    name = "foreign-control-plane"
    role = "io.x-k8s.kind.role=control-plane"
    docker("create", "--name", name, "--label", label, "--label", role, "--entrypoint", "true", image)
    try:
        outcome = kubewire.run("up", write_lab(labs, "foreign"))
        assert outcome.code == 2
        assert "kubewire didn't make it" in outcome.text
        assert name in docker("ps", "-a", "--format", "{{.Names}}")
    finally:
        docker("rm", name)


def test_a_killed_creation_is_found_by_gc(labs: Path, kubewire: Kubewire) -> None:
    before = engine_picture()
    process = kubewire.popen("up", write_lab(labs, "killed", nodes={"workers": 1}))
    deadline = time.monotonic() + 120
    while "killed-control-plane" not in docker("ps", "--format", "{{.Names}}"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    while engine_picture() != before:
        outcome = kubewire.run("gc")
        assert time.monotonic() < deadline, (outcome.text, engine_picture())
        time.sleep(1)


def test_an_interrupted_creation_leaves_nothing(labs: Path, kubewire: Kubewire) -> None:
    before = engine_picture()
    process = kubewire.popen("up", write_lab(labs, "interrupted", nodes={"workers": 1}))
    deadline = time.monotonic() + 120
    while "interrupted-control-plane" not in docker("ps", "--format", "{{.Names}}"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "nothing is left" in err
    assert engine_picture() == before


def test_three_clusters_at_once(labs: Path, kubewire: Kubewire) -> None:
    before = engine_picture()
    paths = [write_lab(labs, f"multi-{n}", nodes={"workers": 1}, httpbin={"replicas": 2}) for n in range(3)]
    makers = [kubewire.popen("up", path) for path in paths]
    told = [maker.communicate(timeout=600) for maker in makers]
    assert [maker.returncode for maker in makers] == [0, 0, 0], told
    for path in paths:
        assert kubewire.run("verify", path).code == 0
    for path in paths:
        kubewire.ok("down", path)
    assert engine_picture() == before
