"""Reads the recorded snapshot folders, gzipped files and all."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

from kubewire.dataplane.core.snapshot import NODE_FILES, NodeSnapshot, Snapshot
from repository import GOLDEN

FOLDERS = sorted(
    path.parent for kind in ("versions", "differential") for path in (GOLDEN / kind).glob("*/nodes")
)


def folder_of(name: str) -> Path:
    """The folder of a recorded version and mode: `v1.37.2-iptables`."""
    return GOLDEN / "versions" / name


@cache
def load(folder: Path) -> Snapshot:
    """A recorded folder as the product reads one."""
    nodes = (
        NodeSnapshot(
            node.name,
            {
                name: text
                for path in node.iterdir()
                if (name := path.name.removesuffix(".gz")) in NODE_FILES and (text := _text(path))
            },
        )
        for node in sorted((folder / "nodes").iterdir())
    )
    (cluster,) = folder.glob("cluster.json*")
    return Snapshot(json.loads(_text(cluster)), tuple(nodes))


def _text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
