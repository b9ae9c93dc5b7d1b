"""Node ports on localhost, with real packets: served, refused, and taken by a foreign process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import Kubewire

from kubewire.cluster.api import Api
from kubewire.lab.record import read_record
from kubewire.providers.registry import get_provider
from waiting import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
DATAGRAMS = """\
apiVersion: v1
kind: Service
metadata: {name: datagrams, namespace: default}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  ports: [{port: 53, protocol: UDP, nodePort: 30053}]
"""
GATE = "KubeProxyNFTablesLocalhostNodePorts: true"


@contextmanager
def foreign_process(kubewire: Kubewire, lab: str, port: int) -> Iterator[None]:
    """A listener on the worker's 127.0.0.1 that answers nobody."""
    code = (
        f"import socket, time; s = socket.create_server(('127.0.0.1', {port})); print('up', flush=True); "
        "time.sleep(300)"
    )
    process = kubewire.popen("exec", lab, "worker", "--", "python3", "-c", code)
    try:
        assert process.stdout
        assert process.stdout.readline() == "up\n"
        yield
    finally:
        process.terminate()
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()


def localhost(report: dict[str, list[dict[str, str]]]) -> dict[tuple[str, str], str]:
    return {
        (check["node"], check["object"].rpartition(" ")[2]): check["status"]
        for check in report["checks"]
        if check["id"] == "traffic.localhost"
    }


def test_rules_serve_localhost_in_iptables_mode(kubewire: Kubewire, tmp_path: Path) -> None:
    lab = tmp_path / "locx.yml"
    lab.write_text(
        "mode: iptables\nipFamily: dual\nnodes: {workers: 1}\n"
        "httpbin: {type: NodePort, nodePort: 30080, replicas: 2}\n"
    )
    kubewire.ok("up", str(lab))
    code, report = kubewire.report(str(lab))
    assert code == 0
    nodes = ("locx-control-plane", "locx-worker")
    assert localhost(report) == {(node, "127.0.0.1:30080"): "passed" for node in nodes}
    traced = kubewire.ok("trace", str(lab), "--from", "node/worker", "--to", "127.0.0.1:30080").text
    assert "pod default/httpbin-" in traced
    with foreign_process(kubewire, str(lab), 30080):
        code, report = kubewire.report(str(lab))
    assert code == 0
    assert any(
        "(pid " in note and "127.0.0.1:30080/tcp, the node port of" in note for note in report["notes"]
    )
    kubewire.node(str(lab), "worker", "sysctl", "-w", "net.ipv4.conf.all.route_localnet=0")
    code, report = kubewire.report(str(lab))
    assert code == 1
    failed = {c["id"]: c for c in report["checks"] if c["status"] == "failed"}
    assert set(failed) == {"kernel.sysctl", "traffic.localhost"}
    assert failed["traffic.localhost"]["cause"][0] == "kernel.sysctl"


def test_a_socket_serves_localhost_in_nftables_mode(kubewire: Kubewire, tmp_path: Path) -> None:
    (tmp_path / "datagrams.yml").write_text(DATAGRAMS)
    lab = tmp_path / "locx.yml"
    lab.write_text(
        "mode: nftables\nipFamily: dual\nnodes: {workers: 1}\nmanifests: [datagrams.yml]\n"
        f"kubeProxy: {{nodePortAddresses: [primary, localhost], featureGates: {{{GATE}}}}}\n"
        "httpbin: {type: NodePort, nodePort: 30080, replicas: 2}\n"
    )
    kubewire.ok("up", str(lab))
    code, report = kubewire.report(str(lab))
    assert code == 0
    nodes = ("locx-control-plane", "locx-worker")
    targets = ("127.0.0.1:30080", "[::1]:30080", "127.0.0.1:30053/udp", "[::1]:30053/udp")
    assert localhost(report) == {(node, target): "passed" for node in nodes for target in targets}
    traced = kubewire.ok("trace", str(lab), "--from", "node/worker", "--to", "[::1]:30080").text
    assert "reaches kube-proxy (pid " in traced
    with foreign_process(kubewire, str(lab), 30090):
        _move_node_port(kubewire, 30090)
        eventually(lambda: "30090" in kubewire.node(str(lab), "control-plane", "ss", "-Hlnt"))
        outcome = kubewire.run("verify", str(lab))
        code, report = kubewire.report(str(lab))
    assert code == 1
    failed = [c for c in report["checks"] if c["status"] == "failed"]
    [lead] = [check for check in failed if not check.get("cause")]
    assert (lead["id"], lead["node"], lead["object"]) == (
        "localhost.listener",
        "locx-worker",
        "127.0.0.1:30090",
    )
    assert "python3" in lead["observed"]
    assert lead["observed"] in "\n".join(outcome.text.splitlines()[:24])
    assert {check["id"] for check in failed if check is not lead} == {"traffic.localhost"}


def _move_node_port(kubewire: Kubewire, port: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(kubewire.state))
        record = read_record("locx")
        assert record is not None
        with Api(get_provider(record.provider).kubeconfig("locx")) as api:
            path = "/api/v1/namespaces/default/services/httpbin"
            ports = api.get(path)["spec"]["ports"]
            api.patch(path, {"spec": {"ports": [{**each, "nodePort": port} for each in ports]}})
