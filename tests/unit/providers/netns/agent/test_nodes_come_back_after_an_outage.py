"""A node that the control plane held for lost is Ready again with the first beat that gets through."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from kubewire.cluster.api import ApiError
from kubewire.providers.netns.agent import nodes
from kubewire.providers.netns.agent_config import Config, Node

NODE = Node("worker", "worker", ("172.18.0.3",), Path("/run/netns/worker"))
CONFIG = Config(Path("kubeconfig"), (NODE,), ("10.244.0.0/16",), Path("cni"), Path("run"), "v1.37.2")


class Lifecycle:
    """An apiserver that is away for the first beat; meanwhile its controller sets Ready to `held`."""

    def __init__(self, stop: threading.Event, held: str) -> None:
        self.beats, self.ready, self.stop, self.written = 0, held, stop, 0

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        if path.startswith(nodes.LEASES):
            self.beats += 1
            if self.beats == 1:
                raise ApiError("away")
            if self.beats == 3:
                self.stop.set()
        if path.endswith("/status"):
            self.written += 1
            self.ready = next(c["status"] for c in body["status"]["conditions"] if c["type"] == "Ready")
        return {}

    def get(self, path: str) -> dict[str, Any]:
        return {"status": {"conditions": [{"type": "Ready", "status": self.ready}]}}


@pytest.mark.parametrize(("held", "written"), [("Unknown", 1), ("True", 0)])
def test_ready_is_written_at_once_and_only_where_it_was_lost(
    monkeypatch: pytest.MonkeyPatch, held: str, written: int
) -> None:
    monkeypatch.setattr(nodes, "RENEW_SECONDS", 0.01)
    stop = threading.Event()
    api = Lifecycle(stop, held)
    nodes.beat(api, CONFIG, stop)  # type: ignore[arg-type]
    assert api.ready == "True"
    assert api.written == written
