"""The snapshot folder: writing it atomically, and reading an untrusted one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from kubewire.core.errors import DefinitionError, KubewireError, LabError
from kubewire.core.files import read_bounded, size_text
from kubewire.core.printable import text_of
from kubewire.core.refusals import given
from kubewire.core.serialization import read_json
from kubewire.dataplane.core.snapshot import CONNTRACK, CUT, NODE_FILES, NodeSnapshot, Snapshot

FILE_LIMIT = 128 << 20
TOTAL_LIMIT = 512 << 20
"""Bytes of one file and of all; 10,000 Services of three endpoints take a fraction of it in any mode."""
LINES_LIMIT = 5_000_000
"""Lines of all files that aren't JSON: each becomes a few objects, however short it is."""
VALUES_LIMIT = 12_000_000
"""JSON values of one file, likewise: `[],[],…` takes twenty times its size."""
CONNTRACK_LIMIT = 32 << 20
"""Bytes that are read of a conntrack.txt; one that is larger is judged so far, which the report tells."""
NODES_LIMIT = 5000
"""Kubernetes' limit for one cluster."""
NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
ERRORS = "errors"


def write_snapshot(snapshot: Snapshot, target: Path) -> None:
    """Write the folder of the snapshot contract; why a node's file is missing goes into snapshot.json.

    Raises DefinitionError when `target` exists and is not an empty folder; nothing half-written remains.
    """
    import shutil
    import tempfile

    target = target.absolute()
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise DefinitionError(
            "there is something already", where=str(target), hint="name a new or an empty folder"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        _fill(draft, snapshot)
        draft.chmod(0o755)
        draft.rename(target)
    except OSError as error:
        raise _unwritable(target, error) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fill(folder: Path, snapshot: Snapshot) -> None:
    errors = {node.name: dict(node.errors) for node in snapshot.nodes if node.errors}
    meta = {**snapshot.meta, **({ERRORS: errors} if errors else {})}
    (folder / "snapshot.json").write_text(json.dumps(meta, indent=1) + "\n")
    (folder / "cluster.json").write_text(json.dumps(snapshot.cluster, indent=1) + "\n")
    for node in snapshot.nodes:
        if not NODE_NAME.fullmatch(node.name):
            raise LabError(f"{node.name!r} is not a node's name")
        (folder / "nodes" / node.name).mkdir(parents=True)
        for name in NODE_FILES:
            if name in node.files:
                (folder / "nodes" / node.name / name).write_text(node.files[name])


def _unwritable(target: Path, error: OSError) -> KubewireError:
    return DefinitionError(f"the snapshot can't be written: {error.strerror}", where=str(target))


def read_snapshot(source: Path) -> Snapshot:
    """Read a snapshot folder. Checks report a missing file of a node; without cluster.json or any
    node nothing can be checked: LabError with the file. Links and special files are rejected.
    """
    with given(source):
        if not source.is_dir():
            raise DefinitionError("no such snapshot folder", where=str(source))
        list(source.iterdir())
    reader = _Reader()
    meta = reader.text(source / "snapshot.json")
    cluster = reader.text(source / "cluster.json")
    nodes = {
        folder.name: {name: text for name in NODE_FILES if (text := reader.text(folder / name)) is not None}
        for folder in _folders(source / "nodes")
    }
    return snapshot_of(meta, cluster, nodes, source)


def snapshot_of(
    meta: str | None, cluster: str | None, nodes: Mapping[str, Mapping[str, str]], source: Path
) -> Snapshot:
    """The snapshot from its files' texts, None for a missing one; LabError as `read_snapshot`."""
    about = {} if meta is None else _object(meta, source / "snapshot.json")
    if cluster is None:
        raise LabError("the snapshot has no cluster.json", where=str(source))
    objects = _object(cluster, source / "cluster.json")
    if not nodes:
        raise LabError("the snapshot has no nodes", where=str(source / "nodes"))
    reasons = about.pop(ERRORS, None)
    reasons = reasons if isinstance(reasons, dict) else {}
    taken = tuple(_node(name, nodes[name], reasons.get(name)) for name in sorted(nodes))
    return Snapshot(objects, taken, about)


def _folders(nodes: Path) -> list[Path]:
    with given(nodes):
        found = sorted(nodes.iterdir()) if nodes.is_dir() and not nodes.is_symlink() else []
    if len(found) > NODES_LIMIT:
        raise LabError(f"more than {NODES_LIMIT} nodes", where=str(nodes))
    for folder in found:
        if folder.is_symlink() or not folder.is_dir() or not NODE_NAME.fullmatch(folder.name):
            raise LabError("not a folder named after a node", where=str(folder))
    return found


def _node(name: str, files: Mapping[str, str], reasons: Any) -> NodeSnapshot:
    errors = {str(k): str(v) for k, v in reasons.items()} if isinstance(reasons, dict) else {}
    return NodeSnapshot(name, files, {k: v for k, v in errors.items() if k not in files})


def _object(text: str, path: Path) -> dict[str, Any]:
    try:
        parsed = read_json(text)
    except (ValueError, RecursionError) as error:
        raise LabError(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(parsed, dict):
        raise LabError("not a JSON object", where=str(path))
    return parsed


class Texts:
    """Decodes a snapshot's files, within bounds on their content."""

    def __init__(self) -> None:
        self._lines = LINES_LIMIT

    def text(self, data: bytes, path: PurePath) -> str:
        """The file's text (bytes that are not UTF-8 as `\\xNN`); LabError for too many lines or values."""
        if path.suffix == ".json":
            if len(data) > VALUES_LIMIT < sum(map(data.count, (b"{", b"[", b","))):
                raise LabError(f"more than {VALUES_LIMIT} JSON values", where=str(path))
        else:
            self._lines -= data.count(b"\n")
            if self._lines < 0:
                raise LabError(f"the snapshot has more than {LINES_LIMIT} lines", where=str(path))
        return text_of(data)


class _Reader:
    """Reads the files of one folder, within bounds on each file and on all."""

    def __init__(self) -> None:
        self._left = TOTAL_LIMIT
        self._texts = Texts()

    def text(self, path: Path) -> str | None:
        """The file's text, None if it is missing."""
        if self._left <= 0:
            raise LabError(f"the snapshot is larger than {size_text(TOTAL_LIMIT)}", where=str(path))
        limit, cut = FILE_LIMIT, b""
        if path.name == CONNTRACK:
            limit, cut = CONNTRACK_LIMIT, f"\n{CUT} after {size_text(CONNTRACK_LIMIT)}\n".encode()
        try:
            data = read_bounded(path, min(limit, self._left), follow=False, cut=cut)
        except FileNotFoundError:
            return None
        self._left -= len(data)
        return self._texts.text(data, path)
