"""The context that all pod workers share: the API, the CNI, events, the pods' index, the agent's paths."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Mapping
from typing import Any

from kubewire.cluster.api import Api
from kubewire.core.files import write_atomically
from kubewire.providers.netns import cgroups
from kubewire.providers.netns.agent.cni import Cni
from kubewire.providers.netns.agent.environment import service_variables
from kubewire.providers.netns.agent.events import Events
from kubewire.providers.netns.agent_config import Config, Node

INDEX = "pods.json"
# Unused: above the ranges that useradd (subuid) and systemd allocate. Processes of the same uid, on the host
# or in another lab, could read a pod's environment and would count against its limit.
UIDS = range(0x7000_0000, 0x7FFE_0000)


class Machine:
    """The shared part of the agent; safe to use from every thread.

    `networks` has a lock for each node, held while a pod joins or leaves its network or it is repaired.
    """

    def __init__(self, config: Config, api: Api) -> None:
        self.config = config
        self.api = api
        self.events = Events(api)
        self.cni = Cni(config.cni_bin, config.run_dir / "ipam")
        self.cidrs: dict[str, tuple[str, ...]] = {}
        self.networks = {node.name: threading.RLock() for node in config.nodes}
        self.cgroups = cgroups.lab_groups()
        self._uids: set[int] = set()
        self._lock = threading.Lock()
        self._index: dict[str, Mapping[str, Any]] = {}
        self._service_variables: dict[str, str] | None = None

    @property
    def ipv6(self) -> bool:
        return any(":" in subnet for subnet in self.config.pod_subnets)

    def next_uid(self) -> int:
        """An unused user id for a pod."""
        with self._lock:
            while (uid := UIDS[secrets.randbelow(len(UIDS))]) in self._uids:
                continue
            self._uids.add(uid)
            return uid

    def others(self, node: Node) -> list[tuple[Node, tuple[str, ...]]]:
        """All other nodes with their pod CIDRs."""
        nodes = self.config.nodes
        return [(other, self.cidrs[other.name]) for other in nodes if other.name != node.name]

    def service_variables(self) -> dict[str, str]:
        """The environment that points to default/kubernetes."""
        if self._service_variables is None:
            spec = self.api.get("/api/v1/namespaces/default/services/kubernetes")["spec"]
            self._service_variables = service_variables(spec["clusterIP"], spec["ports"][0]["port"])
        return self._service_variables

    def index(self, key: str, entry: Mapping[str, Any] | None) -> None:
        """Put a pod (`namespace/name`) into the index file, or with None take it out."""
        with self._lock:
            if self._index.get(key) == entry:
                return
            if entry is None:
                del self._index[key]
            else:
                self._index[key] = entry
            write_atomically(self.config.run_dir / INDEX, json.dumps(self._index, indent=1))
