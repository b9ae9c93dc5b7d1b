"""The watch: each pod of our nodes gets one worker, and every way a watch can end is survived."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from kubewire.cluster.api import ApiError
from kubewire.providers.netns.agent import pods as module
from kubewire.providers.netns.agent.pods import Pods
from kubewire.providers.netns.agent_config import Config, Node


class Done(BaseException):
    """Ends the endless loop under test."""


class Worker:
    """Keeps what it is told."""

    made: ClassVar[list[Worker]] = []

    def __init__(self, machine: Any, node: Node, pod: dict[str, Any]) -> None:
        self.node, self.seen, self.forgotten = node, [pod], False
        self.key = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        Worker.made.append(self)

    def start(self) -> None: ...

    def is_alive(self) -> bool:
        return not self.forgotten

    def see(self, pod: dict[str, Any]) -> None:
        self.seen.append(pod)

    def forget(self) -> None:
        self.forgotten = True


class Script:
    """An API that plays lists and watches in turn."""

    def __init__(self, lists: list[Any], watches: list[Any]) -> None:
        self.lists, self.watches, self.versions = lists, watches, []

    def get(self, path: str) -> dict[str, Any]:
        if not self.lists:
            raise Done
        answer = self.lists.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"items": answer, "metadata": {"resourceVersion": "10"}}

    def watch(self, path: str, version: str) -> Iterator[dict[str, Any]]:
        self.versions.append(version)
        if not self.watches:
            raise ApiError("gone", status=410)
        for event in self.watches.pop(0):
            if isinstance(event, Exception):
                raise event
            yield event


def pod(name: str, node: str = "n1", version: str = "1", uid: str = "") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default", "uid": uid or name, "resourceVersion": version}
    return {"metadata": metadata, "spec": {"nodeName": node} if node else {}}


def follow(monkeypatch: pytest.MonkeyPatch, lists: list[Any], watches: list[Any]) -> tuple[Pods, Script]:
    Worker.made = []
    monkeypatch.setattr(module, "PodWorker", Worker)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
    node = Node("n1", "worker", ("172.18.0.3",), Path("/n"))
    config = Config(Path("/k"), (node,), ("10.244.0.0/16",), Path("/c"), Path("/r"), "v1.37.2")
    script = Script(lists, watches)

    class Machine:
        pass

    machine: Any = Machine()
    machine.config, machine.api = config, script
    followed = Pods(machine)
    with pytest.raises(Done):
        followed.follow()
    return followed, script


def test_only_our_nodes_bound_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    followed, _ = follow(monkeypatch, [[pod("a"), pod("b", node="elsewhere"), pod("c", node="")]], [])
    assert [worker.key for worker in followed.workers()] == ["default/a"]


def test_a_pod_bound_later_is_taken_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        {"type": "ADDED", "object": pod("a", node="", version="11")},
        {"type": "MODIFIED", "object": pod("a", version="12")},
        {"type": "MODIFIED", "object": pod("a", version="13")},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "20"}}},
    ]
    _, script = follow(monkeypatch, [[]], [events])
    (worker,) = Worker.made
    assert [seen["metadata"]["resourceVersion"] for seen in worker.seen] == ["12", "13"]
    assert script.versions == ["10", "20"], "a bookmark moves the version on"


def test_deletion_and_a_new_pod_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [
        {"type": "DELETED", "object": pod("a", version="11", uid="old")},
        {"type": "ADDED", "object": pod("a", version="12", uid="new")},
    ]
    followed, _ = follow(monkeypatch, [[pod("a", uid="old")]], [events])
    old, new = Worker.made
    assert old.forgotten and not new.forgotten
    assert followed.find("default", "a") is new
    assert followed.find("default", "b") is None


def test_what_vanished_while_the_watch_was_down_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [[ApiError("the watch broke", status=0)]]
    followed, _ = follow(monkeypatch, [[pod("a"), pod("b")], ApiError("down"), [pod("b")]], broken)
    assert [worker.key for worker in followed.workers()] == ["default/b"]
    assert [worker.forgotten for worker in Worker.made] == [True, False]


def test_a_strange_event_never_ends_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    followed, _ = follow(monkeypatch, [[], [pod("a")]], [[{"type": "ADDED", "object": {"metadata": {}}}]])
    assert [worker.key for worker in followed.workers()] == ["default/a"]
