"""All pods of the lab's nodes: one watch, one worker for each pod."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from kubewire.cluster.api import ApiError
from kubewire.core.errors import KubewireError
from kubewire.core.files import remove_tree
from kubewire.providers.netns import cgroups
from kubewire.providers.netns.agent import namespaces
from kubewire.providers.netns.agent.context import INDEX, Machine
from kubewire.providers.netns.agent.pod import PodWorker

log = logging.getLogger(__name__)
PODS = "/api/v1/pods"


class Pods:
    """The workers by pod uid, in sync with the API."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._workers: dict[str, PodWorker] = {}
        self._lock = threading.Lock()

    def workers(self) -> list[PodWorker]:
        """All current workers."""
        with self._lock:
            return list(self._workers.values())

    def find(self, namespace: str, name: str) -> PodWorker | None:
        """The worker of that pod; of two with the same name, the running one."""
        found = [worker for worker in self.workers() if worker.key == f"{namespace}/{name}"]
        return next((worker for worker in found if worker.is_alive()), found[-1] if found else None)

    def follow(self) -> None:
        """List, watch, and list again when the watch expires or breaks; never returns."""
        while True:
            try:
                version = self._list()
                while True:
                    version = self._watch(version)
            except ApiError as error:
                log.info("pods are listed again: %s", error)
                time.sleep(0.5)
            except Exception:
                log.exception("pods are listed again after an unexpected fault")
                time.sleep(1)

    def _list(self) -> str:
        answer = self._machine.api.get(PODS)
        present = {pod["metadata"]["uid"] for pod in answer["items"]}
        for uid in [uid for uid in self._workers if uid not in present]:
            self._forget(uid)
        for pod in answer["items"]:
            self._see(pod)
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def _watch(self, version: str) -> str:
        for event in self._machine.api.watch(PODS, version):
            pod = event["object"]
            version = pod["metadata"]["resourceVersion"]
            if event["type"] == "DELETED":
                self._forget(pod["metadata"]["uid"])
            elif event["type"] in ("ADDED", "MODIFIED"):
                self._see(pod)
        return version

    def _see(self, pod: Mapping[str, Any]) -> None:
        node = self._machine.config.node(pod["spec"].get("nodeName", ""))
        if node is None:
            return
        with self._lock:
            worker = self._workers.get(pod["metadata"]["uid"])
            if worker is None:
                worker = PodWorker(self._machine, node, pod)
                self._workers[pod["metadata"]["uid"]] = worker
                worker.start()
                return
        worker.see(pod)

    def _forget(self, uid: str) -> None:
        with self._lock:
            worker = self._workers.pop(uid, None)
        if worker is not None:
            worker.forget()


def clear_predecessor(machine: Machine) -> None:
    """Remove what a previous agent left: its pods' processes, networks and folders."""
    run_dir = machine.config.run_dir
    for entry in _left_index(machine).values():
        node = machine.config.node(entry.get("node", ""))
        if node is not None and "uid" in entry:
            with suppress(KubewireError):
                cidrs, netns = machine.cidrs[node.name], namespaces.NETNS_DIR / f"cni-{entry['uid']}"
                machine.cni.delete(
                    node, cidrs, entry["uid"], netns, port_mappings=entry.get("portMappings", ())
                )
    for name in namespaces.pod_namespaces():
        namespaces.delete(name)
    for group in machine.cgroups.values():
        cgroups.clear(group)
    for folder in ("ipam", "pods"):
        remove_tree(run_dir / folder)
    (run_dir / INDEX).unlink(missing_ok=True)


def _left_index(machine: Machine) -> dict[str, dict[str, Any]]:
    try:
        left: dict[str, dict[str, Any]] = json.loads((machine.config.run_dir / INDEX).read_text())
    except (OSError, ValueError):
        return {}
    return left
