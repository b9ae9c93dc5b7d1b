"""The kubelet's port over real TLS: logs with the API's options, refusals that help, no one unknown."""

from __future__ import annotations

import http.client
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubewire.providers.netns.agent import kubelet
from kubewire.providers.netns.agent_config import Config, KubeletTls, Node
from kubewire.providers.netns.certificates import Authority
from waiting import DEADLINE

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a socket in a network namespace needs root")
ADDRESS = "127.0.0.1"


@dataclass
class Container:
    name: str
    log: Path
    previous_log: Path
    process: object | None = None


@dataclass
class Worker:
    containers: list[Container]


class Pods:
    def __init__(self, container: Container) -> None:
        self.worker = Worker([container])

    def find(self, namespace: str, name: str) -> Worker | None:
        return self.worker if (namespace, name) == ("default", "web") else None


@dataclass
class Setup:
    container: Container
    port: int
    client: ssl.SSLContext
    stranger: ssl.SSLContext

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(ADDRESS, self.port, context=self.client, timeout=DEADLINE)

    def get(self, path: str) -> tuple[int, str]:
        connection = self.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text


def _client(folder: Path, authority: Authority, trusted: Authority, name: str) -> ssl.SSLContext:
    pair = authority.issue(name)
    (folder / f"{name}.crt").write_text(pair.certificate)
    (folder / f"{name}.key").write_text(pair.key)
    context = ssl.create_default_context(cadata=trusted.certificate)
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    authority, other = Authority("lab"), Authority("elsewhere")
    pair = authority.issue("kubelet", hosts=[ADDRESS], server=True)
    files = {"cert": pair.certificate, "key": pair.key, "ca": authority.certificate}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    container = Container("c", tmp_path / "1.log", tmp_path / "0.log")
    container.log.write_text("one\ntwo\nthree\n")
    probe = __import__("socket").create_server((ADDRESS, 0))
    port = probe.getsockname()[1]
    probe.close()
    monkeypatch.setattr(kubelet, "KUBELET_PORT", port)
    node = Node("lab-worker", "worker", (ADDRESS,), Path("/proc/self/ns/net"))
    tls = KubeletTls(tmp_path / "cert", tmp_path / "key", tmp_path / "ca")
    config = Config(Path("/k"), (node,), ("10.244.0.0/16",), Path("/c"), tmp_path, "v1.37.2", kubelet=tls)
    pods: Any = Pods(container)
    kubelet.serve(config, pods)
    return Setup(
        container,
        port,
        _client(tmp_path, authority, authority, "apiserver"),
        _client(tmp_path, other, authority, "stranger"),
    )


def test_logs_and_their_options(setup: Setup) -> None:
    base = "/containerLogs/default/web/c"
    assert setup.get(base) == (200, "one\ntwo\nthree\n")
    assert setup.get(f"{base}?tailLines=2") == (200, "two\nthree\n")
    assert setup.get(f"{base}?tailLines=0") == (200, "")
    assert setup.get(f"{base}?limitBytes=5") == (200, "one\nt")
    assert setup.get(f"{base}?previous=true")[0] == 400
    setup.container.previous_log.write_text("before\n")
    assert setup.get(f"{base}?previous=true") == (200, "before\n")
    assert setup.get("/containerLogs/default/web/other")[0] == 404
    setup.container.log.unlink()
    assert setup.get(base) == (400, 'container "c" in pod "web" is waiting to start\n')


def test_follow_ends_with_the_process(setup: Setup) -> None:
    setup.container.process = object()
    connection = setup.connect()
    connection.request("GET", "/containerLogs/default/web/c?follow=true&tailLines=1")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline() == b"three\n"
    with setup.container.log.open("a") as log:
        log.write("four\n")
    assert answer.readline() == b"four\n"
    setup.container.process = None
    assert answer.read() == b""
    connection.close()


@pytest.mark.parametrize(
    "path", ["/exec/default/web/c?command=ls", "/attach/default/web/c", "/portForward/x/y"]
)
def test_what_there_is_not_points_to_kubewire_exec(setup: Setup, path: str) -> None:
    status, text = setup.get(path)
    assert status == 501
    assert "kubewire exec LAB lab-worker -- COMMAND" in text


def test_strangers_are_turned_away(setup: Setup) -> None:
    connection = http.client.HTTPSConnection(ADDRESS, setup.port, context=setup.stranger, timeout=DEADLINE)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connection.request("GET", "/healthz")
        connection.getresponse()
    assert setup.get("/healthz") == (200, "ok\n")
