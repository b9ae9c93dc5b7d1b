"""The cache of binaries: one folder for each artifact, with a manifest of its complete files.

Only this user's folders and manifests are used. A file of another owner, as a restored cache may hold, is
replaced by a copy, written from the open file while it is hashed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import tempfile
from io import BufferedReader
from pathlib import Path

from pydantic import BaseModel, ValidationError

from kubewire.binaries.catalog import Artifact, ArtifactName
from kubewire.core import paths
from kubewire.core.files import UnsafeFileError, is_own_folder, own_folder, read_own

CHUNK = 1 << 20
MANIFEST = "manifest.json"
RELEASE = re.compile(r"v\d+\.\d+\.\d+")


class Entry(BaseModel):
    """One stored file. As in git's index, it is hashed only if its mtime differs."""

    sha256: str
    size: int
    mtime_ns: int
    source: str


class Manifest(BaseModel):
    """Files of the folder that are not listed here are ignored."""

    schema_version: int = 1
    files: dict[str, Entry] = {}


def folder(artifact: Artifact) -> Path:
    """`~/.cache/kubewire/bin/v1.37.2`, `…/bin/etcd-v3.7.3`."""
    return paths.cache_dir() / "bin" / artifact.key


def path(artifact: Artifact, binary: str) -> Path:
    return folder(artifact) / binary


def missing(artifact: Artifact, binaries: tuple[str, ...]) -> tuple[str, ...]:
    """Those of `binaries` that are not in the cache, or have changed since."""
    manifest = read_manifest(folder(artifact))
    return tuple(b for b in binaries if not _whole(artifact, b, manifest))


def add(artifact: Artifact, binary: str, file: Path, source: str) -> None:
    """Move `file` (on the cache's own file system) into the cache; atomic for readers.

    The caller holds the artifact's lock.
    """
    target = path(artifact, binary)
    target.parent.parent.mkdir(parents=True, exist_ok=True)
    if not is_own_folder(target.parent):
        shutil.rmtree(target.parent, ignore_errors=True)
        own_folder(target.parent)
    file.chmod(0o755)
    digest = sha256(file)
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
    file.replace(target)
    stored = target.stat()
    manifest = read_manifest(target.parent)
    manifest.files[binary] = Entry(
        sha256=digest, size=stored.st_size, mtime_ns=stored.st_mtime_ns, source=source
    )
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
    if entry is None:
        return False
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as stream:
            return os.access(file, os.X_OK) and _is_as_stored(stream, file, entry)
    except OSError:
        return False


def _is_as_stored(stream: BufferedReader, file: Path, entry: Entry) -> bool:
    found = os.fstat(stream.fileno())
    if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
        return False
    if found.st_uid != os.geteuid() or found.st_mode & 0o022:
        return _taken_over(stream, file, entry)
    if found.st_mtime_ns == entry.mtime_ns:
        return True
    if hashlib.file_digest(stream, "sha256").hexdigest() != entry.sha256:
        return False
    with contextlib.suppress(OSError):  # a copied cache: hashed once, not at every start
        os.utime(stream.fileno(), ns=(found.st_atime_ns, entry.mtime_ns))
    return True


def _taken_over(stream: BufferedReader, file: Path, entry: Entry) -> bool:
    """Replace a file that others can write by a copy, if its hash matches."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as copy:
            digest, left = hashlib.sha256(), entry.size
            while left > 0 and (chunk := stream.read(min(left, CHUNK))):
                digest.update(chunk)
                copy.write(chunk)
                left -= len(chunk)
            os.fchmod(copy.fileno(), 0o755)
        if digest.hexdigest() != entry.sha256:
            return False
        os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns))
        Path(name).replace(file)
        return True
    finally:
        Path(name).unlink(missing_ok=True)


def read_manifest(directory: Path) -> Manifest:
    """What the folder holds; empty without a valid manifest of this user."""
    if not is_own_folder(directory):
        return Manifest()
    try:
        return Manifest.model_validate_json(read_own(directory / MANIFEST))
    except (OSError, UnsafeFileError, ValidationError):
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
