"""The snapshot folder: writing it whole or not at all, and reading one that anybody may have made."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kubewire.errors import DefinitionError, KubewireError, LabError
from kubewire.jsontext import read_json
from kubewire.snapshot.model import NODE_FILES, NodeSnapshot, Snapshot

FILE_LIMIT = 512 * 1024 * 1024
NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
ERRORS = "errors"


def write_snapshot(snapshot: Snapshot, target: Path) -> None:
    """Write the folder of the snapshot contract; why a node's file is missing goes into snapshot.json.

    Raises DefinitionError when `target` exists and is not an empty folder; nothing is left half-written.
    """
    import shutil
    import tempfile

    target = target.absolute()
    if target.is_symlink() or (target.exists() and not (target.is_dir() and not any(target.iterdir()))):
        raise DefinitionError(
            "there is something already", where=str(target), mend="name a new or an empty folder"
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
    """Read a snapshot folder. A missing file of a node is the checks' business; without cluster.json or any
    node nothing can be judged: LabError naming the file. Links and special files inside are refused.
    """
    if not source.is_dir():
        raise DefinitionError("no such snapshot folder", where=str(source))
    meta = _object(source / "snapshot.json") or {}
    cluster = _object(source / "cluster.json")
    if cluster is None:
        raise LabError("the snapshot has no cluster.json", where=str(source))
    folders = _folders(source / "nodes")
    if not folders:
        raise LabError("the snapshot has no nodes", where=str(source / "nodes"))
    reasons = meta.pop(ERRORS, None)
    reasons = reasons if isinstance(reasons, dict) else {}
    return Snapshot(cluster, tuple(_node(folder, reasons.get(folder.name)) for folder in folders), meta)


def _folders(nodes: Path) -> list[Path]:
    found = sorted(nodes.iterdir()) if nodes.is_dir() and not nodes.is_symlink() else []
    for folder in found:
        if folder.is_symlink() or not folder.is_dir() or not NODE_NAME.fullmatch(folder.name):
            raise LabError("not a folder named after a node", where=str(folder))
    return found


def _node(folder: Path, reasons: Any) -> NodeSnapshot:
    texts = {name: _text(folder / name) for name in NODE_FILES}
    files = {name: text for name, text in texts.items() if text is not None}
    errors = {str(k): str(v) for k, v in reasons.items()} if isinstance(reasons, dict) else {}
    return NodeSnapshot(folder.name, files, {k: v for k, v in errors.items() if k not in files})


def _object(path: Path) -> dict[str, Any] | None:
    text = _text(path)
    if text is None:
        return None
    try:
        parsed = read_json(text)
    except (ValueError, RecursionError) as error:
        raise LabError(f"not JSON: {error}", where=str(path)) from error
    if not isinstance(parsed, Mapping):
        raise LabError("not a JSON object", where=str(path))
    return dict(parsed)


def _text(path: Path) -> str | None:
    """The file's text (bytes that are not UTF-8 as `\\xNN`), None where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LabError(f"can't be read: {error.strerror}", where=str(path)) from error
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise LabError("not a regular file", where=str(path))
        if status.st_size > FILE_LIMIT:
            raise LabError(f"larger than {FILE_LIMIT // 2**20} MiB", where=str(path))
        return file.read().decode(errors="backslashreplace")
