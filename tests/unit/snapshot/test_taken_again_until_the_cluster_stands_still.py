"""Taking a snapshot: the cluster's objects, and when they are read again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kubewire.core.errors import LabError
from kubewire.dataplane.core.snapshot import NODE_NETWORK
from kubewire.dataplane.node_network import NodeNetwork
from kubewire.lab.schema import Lab, Mode
from kubewire.providers.base import NodeHandle
from kubewire.snapshot.cluster import fingerprint, read_cluster, slim
from kubewire.snapshot.collect import take_snapshot

LAB = Lab(name="lab", mode=Mode.IPTABLES)


class Nodes:
    """A provider whose only node is a shell on this machine."""

    name = "netns"

    def __init__(self, *prefix: str) -> None:
        self.prefix = prefix

    def nodes(self, name: str) -> tuple[NodeHandle, ...]:
        return (NodeHandle(f"{name}-worker", "worker", self.prefix, ("172.18.0.3",)),)

    def node_networks(self, lab: Lab) -> dict[str, NodeNetwork]:
        return {f"{lab.name}-worker": NodeNetwork(links=("eth0",))}


class Objects:
    """An API whose Services have the next version of the list at each reading, the last one for ever."""

    def __init__(self, *versions: str) -> None:
        self.versions = list(versions)

    def find(self, path: str) -> dict[str, Any] | None:
        if path.endswith("servicecidrs"):
            return None
        if not path.endswith("services"):
            return {"items": None}
        version = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        return {"items": [{"metadata": {"name": "s", "uid": "u", "resourceVersion": version}, "spec": {}}]}


def take(provider: Any, api: Objects, **options: Any) -> Any:
    return take_snapshot(provider, LAB, api, kubernetes="v1.37.2", **options)


def test_a_quiet_cluster_is_read_once_before_and_once_after() -> None:
    api = Objects("1", "1", "never")
    found = take(Nodes(), api)
    assert found.meta["settled"] is True
    assert api.versions == ["never"]
    assert found.meta["service"] == "default/httpbin:http"
    assert json.loads(found.nodes[0].files[NODE_NETWORK])["links"] == ["eth0"]
    assert "ip-addr.json" in found.nodes[0].files or "ip-addr.json" in found.nodes[0].errors


def test_a_change_meanwhile_takes_it_again() -> None:
    found = take(Nodes(), Objects("1", "2", "2"))
    assert found.meta["settled"] is True
    assert found.cluster["items"][0]["metadata"]["resourceVersion"] == "2"


def test_a_cluster_that_never_stands_still_is_said_so() -> None:
    found = take(Nodes(), Objects(*map(str, range(1000))), deadline=0.0)
    assert found.meta["settled"] is False


def test_no_node_to_read_is_an_error_of_the_lab() -> None:
    with pytest.raises(LabError, match="no node could be read"):
        take(Nodes("/nonexistent/nsenter"), Objects("1"))


def test_a_list_without_servicecidrs_is_an_older_cluster() -> None:
    kinds = {item["kind"] for item in read_cluster(Objects("1"))["items"]}
    assert kinds == {"Service"}


def test_heartbeats_do_not_count_as_change_but_addresses_do() -> None:
    def node(heartbeat: str, address: str) -> dict[str, Any]:
        status = {
            "addresses": [{"type": "InternalIP", "address": address}],
            "conditions": [{"type": "Ready", "lastHeartbeatTime": heartbeat}],
        }
        return {"items": [slim({"kind": "Node", "metadata": {"name": "n"}, "spec": {}, "status": status})]}

    assert fingerprint(node("1", "172.18.0.2")) == fingerprint(node("2", "172.18.0.2"))
    assert fingerprint(node("1", "172.18.0.2")) != fingerprint(node("1", "172.18.0.3"))


def test_a_pod_on_its_way_out_counts_as_change() -> None:
    def pod(**metadata: str) -> dict[str, Any]:
        item = {"kind": "Pod", "metadata": {"uid": "u", **metadata}, "spec": {"nodeName": "n"}, "status": {}}
        return {"items": [slim(item)]}

    assert fingerprint(pod()) != fingerprint(pod(deletionTimestamp="2026-11-23T00:00:00Z"))


def test_a_pods_environment_and_managed_fields_stay_out() -> None:
    pod = slim(
        {
            "kind": "Pod",
            "metadata": {
                "name": "p",
                "managedFields": [1],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"},
            },
            "spec": {
                "nodeName": "n",
                "containers": [{"name": "c", "image": "i", "env": [{"value": "secret"}]}],
            },
            "status": {"podIPs": [{"ip": "10.244.1.2"}], "hostIP": "172.18.0.3", "containerStatuses": [1]},
        }
    )
    assert "secret" not in str(pod)
    assert pod["metadata"] == {"name": "p"}
    assert pod["status"] == {"podIPs": [{"ip": "10.244.1.2"}], "hostIP": "172.18.0.3"}
