"""Official releases: fetched with resume, and nothing gets in without its published checksum."""

from __future__ import annotations

import functools
import os
import re
import shutil
import ssl
import tarfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from kubewire import paths
from kubewire.errors import HostError
from kubewire.kubernetes.catalog import Release
from kubewire.kubernetes.store import sha256
from kubewire.progress import Progress

PROBE_SECONDS = 3.0
ATTEMPTS = 4
CHUNK = 1 << 20
SHA256 = re.compile(r"\b[0-9a-f]{64}\b")


class SourceFailed(Exception):  # noqa: N818 - not an error of its own: the next source is tried
    """This source can't give the binary; the text is the reason that the user reads if all fail."""


class NotListed(SourceFailed):
    """This source was asked, and it knows no such version."""


def why_unreachable(origin: str) -> str:
    """Why a release host doesn't answer, or "" if it does.

    At most 3 s, name resolution included, once a process: `getaddrinfo` has no time limit of its own.
    """
    return _probe(origin)


@functools.cache
def trust() -> ssl.SSLContext:
    """The authorities that httpx trusts, and those of this machine's own store."""
    context = httpx.create_ssl_context()
    context.load_default_certs()
    return context


def require_reachable(origin: str) -> None:
    """SourceFailed where `why_unreachable` knows why."""
    if why := why_unreachable(origin):
        raise SourceFailed(why)


@functools.cache
def _probe(origin: str) -> str:
    outcome: list[str] = []

    def ask() -> None:
        try:
            httpx.head(origin, timeout=PROBE_SECONDS, verify=trust())
            outcome.append("")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            outcome.append(str(error) or type(error).__name__)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    host = urlsplit(origin).hostname
    if not outcome:
        return f"{host} did not answer within {PROBE_SECONDS:.0f} s"
    return outcome[0] and f"{host} can't be reached ({outcome[0]})"


def fetch(release: Release, prefix: str, progress: Progress) -> Path:
    """The release file, checksum verified. An interrupted download is taken up where it stopped.

    The caller holds the artifact's lock and removes the file. Raises SourceFailed; HostError on a full disk.
    """
    expected = _published_sha256(release)
    partial = paths.cache_dir() / "download" / f"{prefix}-{release.filename}.part"
    partial.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(1, ATTEMPTS + 1):
        resumed = partial.exists() and partial.stat().st_size > 0
        try:
            _transfer(release, partial, progress)
        except SourceFailed as failure:
            if attempt == ATTEMPTS:
                raise
            progress("download", f"{failure}; again")
            time.sleep(0.5 * attempt)
            continue
        if sha256(partial) == expected:
            return partial
        partial.unlink()
        if not resumed:
            break
        progress("download", f"what was left of {release.filename} was not usable; from the start")
    raise SourceFailed(f"{release.filename} does not have its published checksum")


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
            for member in archive:
                target = wanted.get(member.name.removeprefix("./"))
                content = archive.extractfile(member) if target and member.isfile() else None
                if target and content:
                    found[target] = directory / target
                    with found[target].open("wb") as out:
                        shutil.copyfileobj(content, out, CHUNK)
    except (tarfile.TarError, EOFError) as error:
        raise SourceFailed(f"{release.filename} can't be unpacked: {error}") from error
    if absent := sorted(set(release.members) - set(found)):
        raise SourceFailed(f"{release.filename} holds no {', '.join(absent)}")
    return found


def _transfer(release: Release, partial: Path, progress: Progress) -> None:
    have = partial.stat().st_size if partial.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with (
        network(),
        httpx.stream(
            "GET",
            release.url,
            headers=headers,
            follow_redirects=True,
            timeout=httpx.Timeout(30, connect=10),
            verify=trust(),
        ) as answer,
    ):
        if answer.status_code == 416:  # nothing is left to send; the checksum decides
            return
        if answer.status_code not in (200, 206):
            raise SourceFailed(f"{release.url} answered {answer.status_code}")
        if answer.status_code == 200:
            have = 0
        total = have + int(answer.headers.get("Content-Length", 0)) or None
        if total:
            require_space(partial.parent, total - have, f"the download of {release.filename}")
        with partial.open("ab" if have else "wb") as out:
            told = have
            for chunk in answer.iter_bytes():
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
            mend="free some space, or set XDG_CACHE_HOME to a folder on a bigger disk",
        )


def _size(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB" if count >= 1024**3 else f"{count / 1024**2:.0f} MiB"


def _published_sha256(release: Release) -> str:
    lines = get_text(release.checksum_url).splitlines()
    named = [line for line in lines if release.filename in line.replace("*", " ").split()]
    for line in named or (lines if len(lines) == 1 else []):
        if match := SHA256.search(line.lower()):
            return match.group()
    raise SourceFailed(f"{release.checksum_url} names no checksum of {release.filename}")


def get_text(url: str) -> str:
    with network():
        answer = httpx.get(url, follow_redirects=True, timeout=10, verify=trust())
        if answer.status_code != 200:
            failed = NotListed if answer.status_code in (403, 404) else SourceFailed
            raise failed(f"{url} answered {answer.status_code}")
        return answer.text


@contextmanager
def network() -> Iterator[None]:
    try:
        yield
    except httpx.HTTPError as error:
        raise SourceFailed(str(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno is None:
            raise SourceFailed(str(error)) from error
        raise HostError(
            f"writing failed: {os.strerror(error.errno)}",
            where=str(paths.cache_dir()),
            mend="free some space, or set XDG_CACHE_HOME to a folder on a bigger disk",
        ) from error
