"""The pods of a snapshot: where each one runs, its addresses, whether it serves; and finding one by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubewire.core.errors import DefinitionError, LabError

if TYPE_CHECKING:
    from kubewire.dataplane.core.packet import Address


class HostPort(Struct, frozen=True):
    """A port of the pod's node, only at `address` if it has one, that leads to the pod's port `target`."""

    number: int
    target: int
    protocol: str
    address: str = ""


class Pod(Struct, frozen=True):
    """A pod as the API gives it; `host`: it uses its node's network, `leaving`: it was deleted, `identity`:
    its UID.
    """

    namespace: str
    short_name: str
    node: str
    addresses: tuple[Address, ...]
    phase: str
    host: bool
    ready: bool
    leaving: bool
    identity: str = ""
    host_ports: tuple[HostPort, ...] = ()

    @property
    def networked(self) -> bool:
        """Whether it runs in a network of its own, and is to stay."""
        return self.phase == "Running" and not (self.host or self.leaving)

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.short_name}"


def read_pods(v1_list: Mapping[str, Any]) -> list[Pod]:
    """The pods of a v1 List. Raises LabError."""
    try:
        return [read_pod(item) for item in v1_list.get("items") or () if item.get("kind") == "Pod"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LabError(f"a pod is not as the API gives it: {error!r}", where="cluster.json") from error


def read_pod(item: Mapping[str, Any]) -> Pod:
    """One pod. Raises what `read_pods` makes a LabError of."""
    meta, status, spec = item["metadata"], item.get("status") or {}, item.get("spec") or {}
    conditions = [(each.get("type"), each.get("status")) for each in status.get("conditions") or ()]
    return Pod(
        meta["namespace"],
        meta["name"],
        spec.get("nodeName") or "",
        tuple(ip_address(entry["ip"]) for entry in status.get("podIPs") or ()),
        status.get("phase") or "",
        host=bool(spec.get("hostNetwork")),
        ready=("Ready", "True") in conditions,
        leaving=bool(meta.get("deletionTimestamp")),
        identity=str(meta.get("uid", "")),
        host_ports=tuple(_host_ports(spec)),
    )


def _host_ports(spec: Mapping[str, Any]) -> Iterator[HostPort]:
    for container in spec.get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                protocol, address = str(port.get("protocol", "TCP")).lower(), port.get("hostIP") or ""
                named = str(ip_address(address)) if address else ""
                yield HostPort(int(port["hostPort"]), int(port["containerPort"]), protocol, named)


def find_pod(wanted: str, pods: Iterable[Pod]) -> Pod:
    """By name, `namespace/name`, or the first of a Deployment by its name. Raises DefinitionError."""
    pods = list(pods)
    for fits in (
        lambda name: wanted in (name, name.partition("/")[2]),
        lambda name: name.startswith(f"{wanted}-") or name.partition("/")[2].startswith(f"{wanted}-"),
    ):
        if found := [pod for pod in pods if fits(pod.name)]:
            return found[0]
    raise DefinitionError(
        f"there is no pod {wanted!r}{_near(wanted, [pod.name for pod in pods])}",
        hint="the pods: " + (", ".join(pod.name for pod in pods) or "none"),
    )


def find_node(wanted: str, names: Iterable[str]) -> str:
    """A node by its full name or by the part behind the lab's. Raises DefinitionError."""
    names = list(names)
    found = [name for name in names if name == wanted] or [n for n in names if n.endswith(f"-{wanted}")]
    if len(found) != 1:
        raise DefinitionError(
            f"there is no node {wanted!r}{_near(wanted, names)}", hint=f"the nodes: {', '.join(names)}"
        )
    return found[0]


def _near(wanted: str, names: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
