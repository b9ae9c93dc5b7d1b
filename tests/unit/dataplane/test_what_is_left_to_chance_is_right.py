"""Each result that kube-proxy's own map order can give is accepted, and no other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from kubewire.dataplane.check import Checked, check_snapshot
from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.model import Chain, Dataplane, Hook
from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.dataplane.node import Inputs, expected_dataplane, read_inputs
from kubewire.dataplane.undefined import undefined_orders
from printed_dumps import print_iptables_save
from repository import GOLDEN

Objects = list[dict[str, Any]]
NODE = {
    "kind": "Node",
    "metadata": {"name": "nfl-worker"},
    "status": {"addresses": [{"type": "InternalIP", "address": "172.18.0.3"}]},
}
CONFIG = {"kind": "KubeProxyConfiguration", "mode": "iptables", "clusterCIDR": "10.244.0.0/16"}
CONDITIONS = {
    "r": {"ready": True},
    "n": {"ready": False, "serving": False},
    "t": {"ready": False, "serving": True, "terminating": True},
    "d": {"ready": False, "serving": False, "terminating": True},
}
# From 1.36 on a terminating endpoint never replaces one that is known, and any other does (PR 135593).
UNDEFINED = {"v1.35.4": {"rn", "rd", "nt", "td"}, "v1.36.0": {"rn", "td"}, "v1.37.2": {"rn", "td"}}
"""Pairs of conditions whose order matters, of all four ready, not ready, draining and dead."""


def case() -> Objects:
    """One address in two slices of a Service, in each pair of conditions: `dup-rt` is ready and draining."""
    return list(json.loads((GOLDEN / "cases" / "duplicate-endpoints.json").read_text())["items"])


def node_of(objects: Objects, version: str, dump: str = "") -> Inputs:
    files = {"kube-proxy.yaml": json.dumps(CONFIG), "kube-proxy-version": version}
    files |= {"iptables-save.txt": dump, "facts.json": json.dumps({"ipv6": "absent"})}
    return read_inputs(NodeSnapshot("nfl-worker", files), cluster(objects))


def cluster(objects: Objects) -> ClusterState:
    return ClusterState.from_list({"items": [NODE, *objects]})


def written(objects: Objects, version: str) -> str:
    """What a kube-proxy prints that goes through the slices in this order."""
    node = node_of(objects, version)
    return print_iptables_save(_with_hooks(expected_dataplane(node, cluster(objects), "ipv4")))


def _with_hooks(dataplane: Dataplane) -> Dataplane:
    def hooked(chain: Chain) -> Chain:
        return replace(chain, hook=Hook(chain.name, policy="ACCEPT")) if chain.hook else chain

    return replace(dataplane, chains=tuple(map(hooked, dataplane.chains)))


def checked(objects: Objects, version: str, dump: str) -> Checked:
    files = node_of(objects, version, dump).snapshot
    return check_snapshot(Snapshot({"items": [NODE, *objects]}, (files,)))


def failed(found: Checked) -> set[str]:
    return {check.service.partition(":")[0] for check in found.checks if check.status == "failed"}


def turned(objects: Objects, services: Sequence[str]) -> Objects:
    """With the slices of these Services the other way round."""
    last = [o for o in objects if o["metadata"]["name"].rpartition("-")[0] in services]
    return [o for o in objects if o not in last] + last[::-1]


def pairs() -> Iterator[str]:
    yield from map("".join, product("rntd", repeat=2))


@pytest.mark.parametrize("version", UNDEFINED)
def test_each_order_of_the_slices_is_right(version: str) -> None:
    objects = case()
    for services in ([], [f"dup-{pair}" for pair in pairs()], ["dup-rn", "dup-nt", "dup-dr"]):
        found = checked(objects, version, written(turned(objects, services), version))
        assert failed(found) == set(), services


@pytest.mark.parametrize("version", UNDEFINED)
def test_only_what_is_undefined_is_noted(version: str) -> None:
    objects = case()
    found = checked(objects, version, written(objects, version))
    noted = {
        note.text.partition(":")[0] for note in found.notes if "left" in note.text or "leaves" in note.text
    }
    names = {f"default/dup-{a}{b}" for a, b in pairs() if {a + b, b + a} & UNDEFINED[version]}
    assert noted == names
    [note] = [note for note in found.notes if note.text.startswith("default/dup-rn:")]
    assert "its EndpointSlices differ on 10.244.1.2" in note.text


@pytest.mark.parametrize(("pair", "version"), [("rd", "v1.36.0"), ("tr", "v1.37.2"), ("rr", "v1.35.4")])
def test_what_is_defined_is_checked(pair: str, version: str) -> None:
    """The terminating endpoint, or none at all, in place of the ready one."""
    name = f"dup-{pair}"
    objects = case()
    without = [o for o in objects if o["metadata"]["name"] not in (f"{name}-a", f"{name}-b")]
    assert failed(checked(objects, version, written(without, version))) >= {f"default/{name}"}


def test_another_result_is_wrong_where_something_is_undefined() -> None:
    objects = case()
    dump = written(objects, "v1.37.2").replace(
        "--to-destination 10.244.1.2:80", "--to-destination 10.244.1.9:80", 1
    )
    assert len(failed(checked(objects, "v1.37.2", dump)) - {""}) == 1


def several(count: int, **last: Any) -> Objects:
    """A Service with so many slices, all with one address; in the last one it is not ready."""
    port = {"name": "p", "protocol": "TCP", "port": 80}
    meta = {"namespace": "default", "name": "s"}
    items: Objects = [
        {"kind": "Service", "metadata": meta, "spec": {"clusterIP": "10.96.0.9", "ports": [port]}}
    ]
    for number in range(count):
        conditions = CONDITIONS["n" if number == count - 1 else "r"]
        entry: Mapping[str, Any] = {"addresses": ["10.244.1.2"], "conditions": conditions}
        labels = {"kubernetes.io/service-name": "s"}
        items.append(
            {
                "kind": "EndpointSlice",
                "metadata": {**meta, "name": f"s-{number}", "labels": labels},
                "addressType": "IPv4",
                "ports": [port],
                "endpoints": [entry],
            }
        )
    return items


@pytest.mark.parametrize("count", [2, 4, 5, 40])
def test_many_slices_take_few_orders(count: int) -> None:
    objects = several(count)
    orders = undefined_orders(cluster(objects), node_of(objects, "v1.37.2"), "ipv4")
    assert [len(each) for each in orders.values()] == [2]
    assert failed(checked(objects, "v1.37.2", written(objects[:-1], "v1.37.2"))) == set()
    assert failed(checked(objects, "v1.37.2", written([objects[0], objects[-1]], "v1.37.2"))) == set()


def test_one_address_of_two_services_is_noted() -> None:
    objects = several(1) + several(1)
    for number, item in enumerate(objects):
        name = f"s{number // 2}"
        item["metadata"] = {**item["metadata"], "name": name}
        if item["kind"] == "Service":
            item["spec"] = {
                **item["spec"],
                "clusterIP": f"10.96.0.{number + 1}",
                "externalIPs": ["192.0.2.1"],
            }
        else:
            item["metadata"]["labels"] = {"kubernetes.io/service-name": name}
    notes = [note.text for note in checked(objects, "v1.37.2", written(objects, "v1.37.2")).notes]
    assert [note for note in notes if note.startswith("192.0.2.1 port 80/TCP is an address of default/s0, ")]
