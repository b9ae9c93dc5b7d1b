"""What a Docker engine says of node containers and images, as records. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

NETWORK = "kind"
ROLE_LABEL = "io.x-k8s.kind.role"


@dataclass(frozen=True)
class NodeContainer:
    """A kind node as the engine sees it; `mounts` are (source, destination).

    `interfaces` (addresses with prefix length) and `gateways` are what the engine gave its eth0, as far as
    that is known: a node in further networks has several links, of which the engine doesn't tell the names.
    """

    name: str
    id: str
    role: Literal["control-plane", "worker", "other"]
    state: str
    image: str
    ips: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]
    interfaces: tuple[str, ...] = ()
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True)
class NodeImage:
    """An image in the engine: its references (tags, and repository@digest), labels, and architecture."""

    id: str
    references: tuple[str, ...]
    labels: Mapping[str, str]
    architecture: str


def node_of(attributes: Mapping[str, Any]) -> NodeContainer:
    """From `GET /containers/ID/json`."""
    labels = attributes["Config"]["Labels"]
    networks = attributes["NetworkSettings"].get("Networks") or {}
    network = networks.get(NETWORK) or {}
    only = network if len(networks) == 1 else {}
    lengths = (("IPAddress", "IPPrefixLen"), ("GlobalIPv6Address", "GlobalIPv6PrefixLen"))
    role = labels.get(ROLE_LABEL, "")
    return NodeContainer(
        name=attributes["Name"].removeprefix("/"),
        id=attributes["Id"],
        role=role if role in ("control-plane", "worker") else "other",
        state=attributes["State"]["Status"],
        image=attributes["Image"],
        ips=tuple(ip for key in ("IPAddress", "GlobalIPv6Address") if (ip := network.get(key))),
        mounts=tuple((m.get("Source", ""), m["Destination"]) for m in attributes.get("Mounts", ())),
        interfaces=tuple(f"{only[key]}/{only[length]}" for key, length in lengths if only.get(key)),
        gateways=tuple(only[key] for key in ("Gateway", "IPv6Gateway") if only.get(key)),
    )


def image_of(entry: Mapping[str, Any]) -> NodeImage:
    """From `GET /images/ID/json`, or an entry of the list."""
    names = (*(entry.get("RepoTags") or ()), *(entry.get("RepoDigests") or ()))
    labels = entry.get("Labels") or (entry.get("Config") or {}).get("Labels") or {}
    architecture = str(entry.get("Architecture", ""))
    known = tuple(name for name in names if not name.startswith("<none>"))
    return NodeImage(str(entry["Id"]), known, dict(labels), architecture)
