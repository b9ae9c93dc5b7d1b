"""`status` calls a lab failed whose kube-proxy surely doesn't sync, as `verify` does."""

from __future__ import annotations

import pytest

from kubewire.app.labs import with_kube_proxies
from kubewire.core.errors import LabError
from kubewire.dataplane.core.snapshot import PROXY_STATUS, NodeSnapshot
from kubewire.providers.base import NodeHandle, Status
from kubewire.snapshot import collect

READY = Status("x", "ready", "kind", "v1.37.2")
NODES = (NodeHandle("x-worker", "worker", (), ()),)


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> Status:
    node = NodeSnapshot("x-worker", {PROXY_STATUS: text})
    monkeypatch.setattr(collect, "read_nodes", lambda *_: (node,))
    return with_kube_proxies(READY, NODES)


def test_a_stopped_kube_proxy_is_a_failed_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    status = answer(monkeypatch, '{"state": "T"}')
    assert status.phase == "failed"
    assert status.reason.startswith("kube-proxy@x-worker: kube-proxy is stopped by SIGSTOP")
    assert status.components.keys() == {"kube-proxy@x-worker"}


@pytest.mark.parametrize("text", ['{"state": "S", "healthz": "200"}', '{"healthz": "timeout"}', "odd"])
def test_one_that_may_sync_changes_nothing(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert answer(monkeypatch, text) == READY


def test_a_node_that_does_not_answer_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> None:
        raise LabError("no node could be read")

    monkeypatch.setattr(collect, "read_nodes", silent)
    assert with_kube_proxies(READY, NODES) == READY
