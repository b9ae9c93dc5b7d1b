"""What a Docker engine says of node containers and images, as records. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

NETWORK = "kind"
ROLE_LABEL = "io.x-k8s.kind.role"


@dataclass(frozen=True)
class NodeContainer:
    """A kind node as the engine sees it; `mounts` are (source, destination)."""

    name: str
    id: str
    role: Literal["control-plane", "worker", "other"]
    state: str
    image: str
    ips: tuple[str, ...]
    mounts: tuple[tuple[str, str], ...]


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
    network = (attributes["NetworkSettings"].get("Networks") or {}).get(NETWORK) or {}
    role = labels.get(ROLE_LABEL, "")
    return NodeContainer(
        name=attributes["Name"].removeprefix("/"),
        id=attributes["Id"],
        role=role if role in ("control-plane", "worker") else "other",
        state=attributes["State"]["Status"],
        image=attributes["Image"],
        ips=tuple(ip for key in ("IPAddress", "GlobalIPv6Address") if (ip := network.get(key))),
        mounts=tuple((m.get("Source", ""), m["Destination"]) for m in attributes.get("Mounts", ())),
    )


def image_of(entry: Mapping[str, Any]) -> NodeImage:
    """From `GET /images/ID/json`, or an entry of the list."""
    names = (*(entry.get("RepoTags") or ()), *(entry.get("RepoDigests") or ()))
    labels = entry.get("Labels") or (entry.get("Config") or {}).get("Labels") or {}
    architecture = str(entry.get("Architecture", ""))
    known = tuple(name for name in names if not name.startswith("<none>"))
    return NodeImage(str(entry["Id"]), known, dict(labels), architecture)
