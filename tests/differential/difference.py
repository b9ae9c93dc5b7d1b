"""A kube-proxy that differs from the engine, and the snapshot folder that keeps it as a golden."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.snapshot.folder import write_snapshot


class Difference(AssertionError):  # noqa: N818
    """A kube-proxy that did not come to what the engine says, with the snapshot that shows it."""

    def __init__(self, told: str, name: str, listed: dict[str, Any], node: NodeSnapshot) -> None:
        super().__init__(told)
        self.name, self.listed, self.node = name, listed, node

    def keep(self, folder: Path) -> Path:
        """Write the snapshot into this folder, as a golden case."""
        target = folder / self.name
        if target.exists():
            shutil.rmtree(target)
        keep_snapshot(self.listed, (self.node,), target)
        return target


def keep_snapshot(listed: dict[str, Any], nodes: Sequence[NodeSnapshot], folder: Path) -> None:
    """Write a snapshot folder whose large files are gzipped, the same bytes for the same content."""
    plain = Snapshot(listed, tuple(NodeSnapshot(n.name, n.files) for n in nodes))
    folder.parent.mkdir(parents=True, exist_ok=True)
    write_snapshot(plain, folder)
    (folder / "snapshot.json").unlink()
    for path in [*folder.glob("cluster.json"), *folder.glob("nodes/*/*.txt"), *folder.glob("nodes/*/nft-*")]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))
        path.unlink()
