"""One pod from its binding to its end: a thread that reconciles the pod's processes and status."""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from kubewire.cluster.api import ApiError
from kubewire.core.errors import KubewireError
from kubewire.providers.netns.agent import cni
from kubewire.providers.netns.agent.container import UNSUPPORTED, Container
from kubewire.providers.netns.agent.context import Machine
from kubewire.providers.netns.agent.namespaces import take_hostname
from kubewire.providers.netns.agent.probes import listening_ports
from kubewire.providers.netns.agent.sandbox import Sandbox, hostname
from kubewire.providers.netns.agent.status import FINAL_PHASES, Waiting, build, contradicts
from kubewire.providers.netns.agent_config import Node

log = logging.getLogger(__name__)

STRATEGIC = "application/strategic-merge-patch+json"
GONE = (404, 409)


class PodWorker(threading.Thread):
    """The worker of one pod (by uid). `see` passes its newest object, `forget` reports its deletion."""

    def __init__(self, machine: Machine, node: Node, pod: Mapping[str, Any]) -> None:
        metadata = pod["metadata"]
        self.key = f"{metadata['namespace']}/{metadata['name']}"
        super().__init__(name=f"pod {self.key}", daemon=True)
        self.machine, self.node = machine, node
        self.sandbox: Sandbox | None = None
        self.path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._uid: str = metadata["uid"]
        self._pod = pod
        self._problem = ""
        self._reported: dict[str, Any] = {}
        self._deadline: float | None = None
        self._wake = threading.Event()
        self._gone = threading.Event()
        earlier = {c["name"]: c for c in pod.get("status", {}).get("containerStatuses", [])}
        self._logs = (
            machine.config.run_dir / "logs" / f"{metadata['namespace']}_{metadata['name']}_{self._uid}"
        )
        self.containers = [
            Container(spec, earlier.get(spec["name"]), self._logs / spec["name"], self._say)
            for spec in pod["spec"].get("containers", [])
        ]
        if pod["spec"].get("initContainers"):
            reason = Waiting(UNSUPPORTED, "the netns provider runs no init containers; use --provider kind")
            for container in self.containers:
                container.state = reason
            self._say("Warning", UNSUPPORTED, reason.message)

    def see(self, pod: Mapping[str, Any]) -> None:
        self._pod = pod
        contradicted = contradicts(pod.get("status", {}), self._reported)
        if contradicted:
            self._reported = {}
        if contradicted or pod["metadata"].get("deletionTimestamp"):
            self._wake.set()

    def forget(self) -> None:
        self._gone.set()
        self._wake.set()

    def run(self) -> None:
        try:
            with suppress(OSError):
                take_hostname(hostname(self._pod, self.node))
            while not self._gone.is_set() and not self._guarded_step():
                self._wake.wait(self._pause())
                self._wake.clear()
        finally:
            self._tear_down()

    def _guarded_step(self) -> bool:
        """One step; whether the pod has ended. Errors are reported, and the step is retried."""
        try:
            return self._step()
        except ApiError as error:
            if error.status in GONE and self._is_gone():
                return True
            log.warning("%s: %s", self.key, error)
        except Exception:
            log.exception("%s: a step failed", self.key)
        self._gone.wait(0.5)
        return False

    def _is_gone(self) -> bool:
        """Whether the API no longer has exactly this pod; a conflict alone may have other reasons."""
        try:
            there = self.machine.api.find(self.path)
        except ApiError:
            return False
        return there is None or there["metadata"]["uid"] != self._uid

    def _step(self) -> bool:
        pod = self._pod
        if pod["metadata"].get("deletionTimestamp"):
            return self._end(pod)
        if self._reported.get("phase", pod.get("status", {}).get("phase")) in FINAL_PHASES:
            return False
        if self.sandbox is None and not self._open(pod):
            self._report(pod)
            self._gone.wait(1.0)
            return False
        box = self.sandbox
        assert box is not None  # noqa: S101
        ports = listening_ports(box.netns)
        for container in self.containers:
            container.step(box, pod["spec"].get("restartPolicy", "Always"), ports)
        self._index()
        self._report(pod)
        return False

    def _open(self, pod: Mapping[str, Any]) -> bool:
        try:
            with self.machine.networks[self.node.name]:
                self.sandbox = Sandbox.open(self.machine, self.node, pod)
        except (KubewireError, OSError, KeyError, ValueError) as error:
            if str(error) != self._problem:
                self._say("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
            self._problem = str(error)
            return False
        self._problem = ""
        return True

    def _end(self, pod: Mapping[str, Any]) -> bool:
        """Stop the containers within the grace period, then remove the pod, also from the API."""
        if self._deadline is None:
            grace = pod["metadata"].get("deletionGracePeriodSeconds") or 0
            self._deadline = time.monotonic() + float(grace)
            for container in self.containers:
                container.terminate()
        ports = listening_ports(self.sandbox.netns) if self.sandbox else set()
        over = [container.settle(ports) for container in self.containers]
        if not all(over) and time.monotonic() < self._deadline:
            self._report(pod)
            return False
        for container in self.containers:
            container.kill()
        self._report(pod)
        self._tear_down()
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        self.machine.api.delete(self.path, {**options, "preconditions": {"uid": self._uid}})
        return True

    def _report(self, pod: Mapping[str, Any]) -> None:
        """Send the pod's status to the API if it changed."""
        box = self.sandbox
        status = build(
            pod,
            [container.report() for container in self.containers],
            pod_ips=box.ips if box else (),
            host_ips=self.node.ips,
            now=time.time(),
            previous=self._reported or pod.get("status", {}),
            problem=self._problem,
        )
        if status != self._reported:
            patch = {"metadata": {"uid": self._uid}, "status": status}
            self.machine.api.patch(f"{self.path}/status", patch, content_type=STRATEGIC)
            self._reported = status

    def _pause(self) -> float:
        """Seconds until the next check: short while a change is expected."""
        if self._deadline is not None:
            return 0.05
        if any(container.starting for container in self.containers):
            return 0.05
        return 1.0 if all(container.ready for container in self.containers) else 0.5

    def _index(self) -> None:
        box = self.sandbox
        if box is None:
            return
        pids = [container.process.pid for container in self.containers if container.process]
        entry: dict[str, Any] = {
            "netns": str(box.netns),
            "node": self.node.name,
            "ips": list(box.ips),
            "pid": next((pid for pid in pids if pid is not None), None),
            "uid": self._uid,
        }
        if mappings := cni.port_mappings(self._pod):
            entry["portMappings"] = mappings
        self.machine.index(self.key, entry)

    def _tear_down(self) -> None:
        for container in self.containers:
            container.kill()
        with self.machine.networks[self.node.name]:
            if self.sandbox is not None:
                self.sandbox.close()
                self.sandbox = None
                self.machine.index(self.key, None)
        shutil.rmtree(self._logs, ignore_errors=True)

    def _say(self, kind: Literal["Normal", "Warning"], reason: str, message: str) -> None:
        self.machine.events.emit(self._pod, kind, reason, message)
