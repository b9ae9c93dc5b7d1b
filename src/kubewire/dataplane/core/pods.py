"""The pods of a snapshot: where each one runs, its addresses, and whether it serves."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubewire.core.errors import LabError

if TYPE_CHECKING:
    from kubewire.dataplane.core.packet import Address


class Pod(Struct, frozen=True):
    """A pod as the API gives it; `host`: it uses its node's network, `leaving`: it was deleted."""

    namespace: str
    short_name: str
    node: str
    addresses: tuple[Address, ...]
    phase: str
    host: bool
    ready: bool
    leaving: bool

    @property
    def name(self) -> str:
        return f"{self.namespace}/{self.short_name}"


def read_pods(v1_list: Mapping[str, Any]) -> list[Pod]:
    """The pods of a v1 List. Raises LabError."""
    try:
        return [_pod(item) for item in v1_list.get("items") or () if item.get("kind") == "Pod"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise LabError(f"a pod is not as the API gives it: {error!r}", where="cluster.json") from error


def _pod(item: Mapping[str, Any]) -> Pod:
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
    )
