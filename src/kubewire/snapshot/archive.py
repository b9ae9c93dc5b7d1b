"""A snapshot as one compressed file: `snapshot.tar.gz`, whose content is the snapshot folder."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from kubewire.errors import LabError
from kubewire.snapshot.folder import ERRORS, FILE_LIMIT, NODE_NAME
from kubewire.snapshot.model import NODE_FILES, NodeSnapshot, Snapshot


def pack_snapshot(snapshot: Snapshot) -> bytes:
    """The bytes of the archive; the same snapshot gives the same bytes."""
    errors = {node.name: dict(node.errors) for node in snapshot.nodes if node.errors}
    meta = {**snapshot.meta, **({ERRORS: errors} if errors else {})}
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        _add(tar, "snapshot.json", json.dumps(meta, indent=1) + "\n")
        _add(tar, "cluster.json", json.dumps(snapshot.cluster, indent=1) + "\n")
        for node in snapshot.nodes:
            for name in NODE_FILES:
                if name in node.files:
                    _add(tar, f"nodes/{node.name}/{name}", node.files[name])
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, text: str) -> None:
    data = text.encode()
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def read_archive(path: Path) -> Snapshot:
    """The snapshot of an archive, read in memory: nothing of it is unpacked. LabError for one of no use."""
    try:
        with tarfile.open(path, "r:gz") as tar:
            files = {member.name: _text(tar, member) for member in tar}
        meta, cluster = (json.loads(files.pop(name, "{}")) for name in ("snapshot.json", "cluster.json"))
        reasons = meta.pop(ERRORS, {})
        nodes: dict[str, dict[str, str]] = {}
        for name, text in files.items():
            node, file = _place(name)
            nodes.setdefault(node, {})[file] = text
        taken = tuple(NodeSnapshot(name, nodes[name], dict(reasons.get(name, {}))) for name in sorted(nodes))
    except (OSError, tarfile.TarError, zlib.error, EOFError, ValueError, AttributeError) as error:
        why = getattr(error, "strerror", None) or error
        raise LabError(f"not a whole snapshot: {why}", where=str(path)) from error
    if not cluster or not taken:
        raise LabError("the snapshot has no cluster.json or no nodes", where=str(path))
    return Snapshot(cluster, taken, meta)


def _place(name: str) -> tuple[str, str]:
    parts = PurePosixPath(name).parts
    known = len(parts) == 3 and parts[0] == "nodes" and parts[2] in NODE_FILES
    if not known or not NODE_NAME.fullmatch(parts[1]):
        raise ValueError(f"{name} is no file of a snapshot")
    return parts[1], parts[2]


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    stream = tar.extractfile(member) if member.isreg() and member.size <= FILE_LIMIT else None
    if stream is None:
        raise ValueError(f"{member.name} is no plain file of reasonable size")
    return stream.read().decode()
