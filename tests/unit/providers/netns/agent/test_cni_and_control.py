"""What the CNI plugins are asked, what their answer means, and the control socket's manners."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from kubewire.core import rpc
from kubewire.providers.netns import agent_control
from kubewire.providers.netns.agent.cni import Attachment, Cni, attachment, port_mappings
from kubewire.providers.netns.agent.container import backoff
from kubewire.providers.netns.agent_config import Node

NODE = Node("n1", "worker", ("172.18.0.3",), Path("/run/netns/n1"))


def test_chain_for_a_dual_stack_node() -> None:
    (ptp,) = Cni(Path("/cni"), Path("/run/ipam")).chain(NODE, ["10.244.1.0/24", "fd00:10:244:1::/64"])
    assert (ptp["name"], ptp["type"], ptp["ipMasq"]) == ("kindnet", "ptp", False)
    assert ptp["ipam"] == {
        "type": "host-local",
        "dataDir": "/run/ipam/n1",
        "ranges": [[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00:10:244:1::/64"}]],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
    }


def test_host_ports_bring_portmap_and_addresses_can_be_asked_for() -> None:
    port = {"containerPort": 80, "hostPort": 8080, "protocol": "TCP"}
    pod = {"spec": {"containers": [{"ports": [port, {"containerPort": 81}]}]}}
    mappings = port_mappings(pod)
    assert mappings == [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    ptp, portmap = Cni(Path("/cni"), Path("/d")).chain(NODE, ["10.244.1.0/24"], mappings, ["10.244.1.7"])
    assert ptp["args"] == {"cni": {"ips": ["10.244.1.7"]}}
    assert portmap["runtimeConfig"] == {"portMappings": mappings}


def test_result() -> None:
    result = {
        "interfaces": [{"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/cni-a"}],
        "ips": [{"address": "10.244.1.2/24", "gateway": "10.244.1.1", "interface": 1}],
    }
    assert attachment(result) == Attachment(("10.244.1.2",), "veth1", ("10.244.1.1",))


def test_backoff_is_kubelets() -> None:
    assert [backoff(n) for n in range(1, 9)] == [0, 10, 20, 40, 80, 160, 300, 300]


def mended(request: agent_control.Repair) -> agent_control.Repaired:
    if request.check:
        raise RuntimeError("no")
    return agent_control.Repaired([request.node])


def test_the_control_socket_answers_what_it_understands(tmp_path: Path) -> None:
    path = tmp_path / "agent_control.sock"
    agent_control.serve(path, mended)
    assert path.stat().st_mode & 0o777 == 0o600
    assert rpc.call(path, agent_control.Repair("worker"), agent_control.Repaired).mended == ["worker"]
    for request, said in (
        ({"op": "what", "node": "worker"}, "'what'"),
        (agent_control.Repair("worker", check=True), "RuntimeError: no"),
        ({}, "field `node`"),
    ):
        with pytest.raises(ValueError, match=said):
            rpc.call(path, request, agent_control.Repaired)


def test_idle_connections_keep_nobody_waiting(tmp_path: Path) -> None:
    path = tmp_path / "agent_control.sock"
    agent_control.serve(path, mended)
    with ExitStack() as idle:
        for _ in range(100):
            connection = idle.enter_context(socket.socket(socket.AF_UNIX))
            connection.settimeout(60)
            connection.connect(str(path))
        answer = rpc.call(path, agent_control.Repair("worker"), agent_control.Repaired, timeout=60)
    assert answer.mended == ["worker"]
