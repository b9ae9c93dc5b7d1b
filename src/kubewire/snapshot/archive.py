"""A snapshot as one compressed file: `snapshot.tar.gz`, which contains the snapshot folder."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from kubewire.core.errors import LabError
from kubewire.core.files import read_bounded
from kubewire.core.tarball import Bounds, read_members
from kubewire.dataplane.core.snapshot import NODE_FILES, Snapshot
from kubewire.snapshot.folder import (
    ERRORS,
    FILE_LIMIT,
    NODE_NAME,
    NODES_LIMIT,
    TOTAL_LIMIT,
    Texts,
    snapshot_of,
)

PACKED_LIMIT = 256 << 20
"""Bytes of the compressed file."""
BOUNDS = Bounds(FILE_LIMIT, TOTAL_LIMIT, NODES_LIMIT * (len(NODE_FILES) + 2))


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
    """The snapshot of an archive; LabError for an invalid one."""
    try:
        data = read_bounded(path, PACKED_LIMIT)
    except FileNotFoundError as error:
        raise LabError(f"not a whole snapshot: {error.strerror}", where=str(path)) from error
    return unpack_snapshot(data, str(path))


def unpack_snapshot(packed: bytes, where: str) -> Snapshot:
    """The snapshot in an untrusted archive, read in memory; nothing is written.

    It may contain only folders and regular files with a snapshot's names; LabError for anything
    else, and for more than BOUNDS.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(packed)) as stream:
            return _read_tar(cast(BinaryIO, stream), Path(where))
    except (OSError, zlib.error, EOFError) as error:
        raise LabError(f"not a whole snapshot: {error}", where=where) from error


def _read_tar(stream: BinaryIO, source: Path) -> Snapshot:
    """LabError for an invalid tar; errors of the stream pass through."""
    texts: dict[str, str] = {}
    nodes: dict[str, dict[str, str]] = {}
    taken = Texts()
    try:
        for name, content in read_members(stream, BOUNDS):
            parts = PurePosixPath(name).parts
            text = taken.text(content, source / name)
            if parts in (("snapshot.json",), ("cluster.json",)):
                texts[parts[0]] = text
            elif _is_nodes_file(parts):
                nodes.setdefault(parts[1], {})[parts[2]] = text
            else:
                raise ValueError(f"{name[:200]} is no file of a snapshot")  # noqa: TRY301
    except ValueError as error:
        raise LabError(f"not a whole snapshot: {error}", where=str(source)) from error
    return snapshot_of(texts.get("snapshot.json"), texts.get("cluster.json"), nodes, source)


def _is_nodes_file(parts: tuple[str, ...]) -> bool:
    known = len(parts) == 3 and parts[0] == "nodes" and parts[2] in NODE_FILES
    return known and NODE_NAME.fullmatch(parts[1]) is not None
