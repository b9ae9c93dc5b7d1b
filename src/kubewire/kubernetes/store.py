"""The cache of binaries: one folder an artifact, and a manifest that says which files in it are whole."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from pathlib import Path

from pydantic import BaseModel, ValidationError

from kubewire import paths
from kubewire.kubernetes.catalog import Artifact, ArtifactName

MANIFEST = "manifest.json"
RELEASE = re.compile(r"v\d+\.\d+\.\d+")


class Entry(BaseModel):
    """One stored file. Size and mtime vouch for it as in git's index: it is hashed only if mtime differs."""

    sha256: str
    size: int
    mtime_ns: int
    source: str


class Manifest(BaseModel):
    """A file that is not listed here isn't there, whatever lies in the folder."""

    schema_version: int = 1
    files: dict[str, Entry] = {}


def folder(artifact: Artifact) -> Path:
    """`~/.cache/kubewire/bin/v1.37.2`, `…/bin/etcd-v3.7.3`."""
    return paths.cache_dir() / "bin" / artifact.key


def path(artifact: Artifact, binary: str) -> Path:
    return folder(artifact) / binary


def missing(artifact: Artifact, binaries: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `binaries` that are not in the cache, or no longer what was stored."""
    manifest = read_manifest(folder(artifact))
    return tuple(b for b in binaries if not _whole(artifact, b, manifest))


def add(artifact: Artifact, binary: str, file: Path, source: str) -> None:
    """Move `file` (on the cache's own file system) into the cache; a reader sees it whole or not at all.

    The caller holds the artifact's lock.
    """
    target = path(artifact, binary)
    target.parent.mkdir(parents=True, exist_ok=True)
    file.chmod(0o755)
    digest = sha256(file)
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
    file.replace(target)
    stat = target.stat()
    manifest = read_manifest(target.parent)
    manifest.files[binary] = Entry(sha256=digest, size=stat.st_size, mtime_ns=stat.st_mtime_ns, source=source)
    write_manifest(target.parent, manifest)


def complete_versions(binaries: tuple[str, ...], name: ArtifactName = "kubernetes") -> tuple[str, ...]:
    """The versions of an artifact that are in the cache with all these binaries."""
    prefix = Artifact(name, "").key
    found = sorted(
        entry.name.removeprefix(prefix) for entry in (paths.cache_dir() / "bin").glob(f"{prefix}v*")
    )
    whole = [v for v in found if RELEASE.fullmatch(v) and not missing(Artifact(name, v), binaries)]
    return tuple(whole)


def sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _whole(artifact: Artifact, binary: str, manifest: Manifest) -> bool:
    entry = manifest.files.get(binary)
    file = path(artifact, binary)
    try:
        stat = file.stat()
    except OSError:
        return False
    if entry is None or stat.st_size != entry.size or not os.access(file, os.X_OK):
        return False
    if stat.st_mtime_ns == entry.mtime_ns:
        return True
    if sha256(file) != entry.sha256:
        return False
    with contextlib.suppress(OSError):  # a copied cache: hashed once, not at every start
        os.utime(file, ns=(stat.st_atime_ns, entry.mtime_ns))
    return True


def read_manifest(directory: Path) -> Manifest:
    """What the folder holds; empty where there is no manifest, or none that is understood."""
    try:
        return Manifest.model_validate_json((directory / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return Manifest()


def write_manifest(directory: Path, manifest: Manifest) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{MANIFEST}.", dir=directory)
    try:
        with os.fdopen(descriptor, "w") as stream:
            json.dump(manifest.model_dump(), stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(directory / MANIFEST)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
