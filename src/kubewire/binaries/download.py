"""Official releases: downloaded with resume, and verified against the known hash."""

from __future__ import annotations

import gzip
import re
import shutil
import tarfile
import time
import zlib
from pathlib import Path

from kubewire.binaries import hashes
from kubewire.binaries.catalog import Release
from kubewire.binaries.store import sha256
from kubewire.binaries.web import Refused, SourceFailed, answer, chunks, get_text
from kubewire.core import paths
from kubewire.core.errors import HostError
from kubewire.core.files import size_text
from kubewire.core.progress import Progress

ATTEMPTS = 4
CHUNK = 1 << 20
LIMIT = 512 << 20
"""Bytes of one release file; the largest have some 120 MiB."""
UNPACKED_LIMIT = 1 << 30
SECONDS = 1800.0
"""For one attempt at one file."""
SHA256 = re.compile(r"\b[0-9a-f]{64}\b")


def fetch(release: Release, prefix: str, progress: Progress) -> Path:
    """The release file, its hash verified. An interrupted download is resumed.

    The caller holds the artifact's lock and removes the file. Raises SourceFailed; HostError on a full disk,
    and for a file that differs from the known one of this name.
    """
    pinned = hashes.pinned(release.path)
    expected = pinned or _published(release, progress)
    partial = paths.cache_dir() / "download" / f"{prefix}-{release.filename}.part"
    partial.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        resumed = partial.exists() and partial.stat().st_size > 0
        try:
            _transfer(release, partial, progress)
        except Refused:
            partial.unlink(missing_ok=True)
            raise
        except SourceFailed as failure:
            if attempt == ATTEMPTS:
                raise
            progress("download", f"{failure}; again")
            time.sleep(0.5 * attempt)
            continue
        if sha256(partial) == expected:
            if not pinned:
                hashes.remember(release.path, expected, progress)
            return partial
        partial.unlink()
        if not resumed:
            break
        progress("download", f"what was left of {release.filename} was not usable; from the start")
    if pinned:
        raise _changed(release, "does not have the hash that kubewire's binaries.lock holds", hashes.LOCK)
    raise Refused(f"{release.filename} does not have its published checksum")


def _published(release: Release, progress: Progress) -> str:
    """The checksum that the host publishes, which must be the one that it published first."""
    published = published_sha256(release)
    known = hashes.remembered().get(release.path, published)
    if known != published:
        raise _changed(release, "is published with another checksum than at first", hashes.known_file())
    progress("download", f"{release.filename}: no hash in binaries.lock, taken with its published checksum")
    return published


def _changed(release: Release, how: str, known: Path) -> HostError:
    return HostError(
        f"{release.filename} {how}: refused",
        where=release.url,
        hint="a release doesn't change once it is out: ask its project before you trust the new file; "
        f"the known hash is in {known}",
    )


def unpack(release: Release, file: Path, directory: Path) -> dict[str, Path]:
    """Each binary of a release file as a file in `directory`; only the named regular members are read."""
    if not release.members:
        binary = directory / release.binaries[0]
        file.replace(binary)
        return {release.binaries[0]: binary}
    wanted = {name: binary for binary, name in release.members.items()}
    found: dict[str, Path] = {}
    try:
        with tarfile.open(file, "r:gz") as archive:
            size = 0
            for member in archive:
                size += member.size
                if size > UNPACKED_LIMIT:
                    raise SourceFailed(f"{release.filename} unpacks to more than {size_text(UNPACKED_LIMIT)}")
                target = wanted.get(member.name.removeprefix("./"))
                content = archive.extractfile(member) if target and member.isfile() else None
                if target and content:
                    found[target] = directory / target
                    with found[target].open("wb") as out:
                        shutil.copyfileobj(content, out, CHUNK)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise SourceFailed(f"{release.filename} can't be unpacked: {error}") from error
    if absent := sorted(set(release.members) - set(found)):
        raise SourceFailed(f"{release.filename} holds no {', '.join(absent)}")
    return found


def _transfer(release: Release, partial: Path, progress: Progress) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with answer("GET", release.url, headers=headers) as found:
        if found.status_code == 416:  # nothing is left to send; the checksum decides
            return
        if found.status_code not in (200, 206):
            raise SourceFailed(f"{release.url} answered {found.status_code}")
        if found.status_code == 200:
            have = 0
        length = found.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        if total:
            if total > LIMIT:
                raise Refused(f"{release.filename} is larger than {size_text(LIMIT)}")
            require_space(partial.parent, total - have, f"the download of {release.filename}")
        with partial.open("ab" if have else "wb") as out:
            told = have
            for chunk in chunks(found, LIMIT - have, SECONDS):
                out.write(chunk)
                have += len(chunk)
                if have - told >= CHUNK or have == total:
                    told = have
                    progress("download", release.filename, have, total)
    if total and have < total:
        raise SourceFailed(f"{release.url} broke off after {have} of {total} bytes")


def require_space(directory: Path, needed: int, what: str) -> None:
    """Raise HostError (exit 3) naming needed and free disk."""
    directory.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise HostError(
            f"{what} needs {_size(needed)} of free disk, and there is {_size(free)}",
            where=str(directory),
            hint="free some space, or set XDG_CACHE_HOME to a folder on a bigger disk",
        )


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"


def published_sha256(release: Release) -> str:
    """The checksum of a release file that its host publishes beside it."""
    lines = get_text(release.checksum_url).splitlines()
    named = [line for line in lines if release.filename in line.replace("*", " ").split()]
    for line in named or (lines if len(lines) == 1 else []):
        if match := SHA256.search(line.lower()):
            return match.group()
    raise SourceFailed(f"{release.checksum_url} names no checksum of {release.filename}")
