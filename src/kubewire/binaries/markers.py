"""What the projects' own hosts say of their releases: which is the newest, and whether one is there."""

from __future__ import annotations

import re

from kubewire.binaries.web import SourceFailed, answer, get_text


def stable_patch(origin: str, minor: int) -> str:
    """The newest released patch of a minor, from the project's own marker file (`v1.34.9`)."""
    return _marker(f"{origin}/release/stable-1.{minor}.txt", rf"v1\.{minor}\.\d+")


def stable(origin: str) -> str:
    """The newest release of the newest minor."""
    return _marker(f"{origin}/release/stable.txt", r"v1\.\d+\.\d+")


def _marker(url: str, pattern: str) -> str:
    text = get_text(url).strip()
    if not re.fullmatch(pattern, text):
        raise SourceFailed(f"{url} reads {text[:40]!r}")
    return text


def latest_tag(origin: str, repository: str) -> str:
    """The tag of a GitHub project's latest release, to which its page `releases/latest` leads."""
    url = f"{origin}/{repository}/releases/latest"
    with answer("HEAD", url, follow=False) as found:
        tag: str = found.headers.get("Location", "").rpartition("/tag/")[2]
    if not re.fullmatch(r"v\d+\.\d+\.\d+", tag):
        raise SourceFailed(f"{url} answered {found.status_code} and leads to no release")
    return tag


def released(origin: str, version: str) -> bool:
    """Whether the project has published that version (its kubectl has a checksum file)."""
    url = f"{origin}/release/{version}/bin/linux/amd64/kubectl.sha256"
    with answer("HEAD", url) as found:
        status = found.status_code
    if status in (403, 404):
        return False
    if status != 200:
        raise SourceFailed(f"{url} answered {status}")
    return True
