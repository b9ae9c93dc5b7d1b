"""The newest versions that the sources offer: the official releases, else the Go module proxy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from kubewire.binaries import build
from kubewire.binaries.catalog import MINORS, PUBLIC, Origins
from kubewire.binaries.toolchain import require_go_at_hand
from kubewire.binaries.versions import minor_of, sort_key
from kubewire.binaries.web import NotListed, SourceFailed, answer, get_text, require_reachable
from kubewire.binaries.workspace import workspace
from kubewire.core.progress import Progress, emit

RELEASES, MODULES = "official releases", "Go module proxy"
AT_ONCE = 8
KIND_MODULE, KIND_PROJECT = "sigs.k8s.io/kind", "kubernetes-sigs/kind"


@dataclass(frozen=True)
class Offer:
    """Per minor (of Kubernetes 1.x, of kind 0.x) the newest patch that `source` lists; `why` names the
    sources that didn't answer. `source` is "" if none did.
    """

    newest: Mapping[int, str] = field(default_factory=dict)
    source: str = ""
    why: str = ""


def offers(*, progress: Progress = emit, origins: Origins = PUBLIC) -> tuple[Offer, Offer]:
    """The offered versions of Kubernetes and kind. Never fails; takes a few seconds where nothing answers."""
    with ThreadPoolExecutor(2) as pool:
        kubernetes = pool.submit(kubernetes_offer, progress=progress, origins=origins)
        kind = pool.submit(kind_offer, progress=progress, origins=origins)
        return kubernetes.result(), kind.result()


def kubernetes_offer(*, progress: Progress = emit, origins: Origins = PUBLIC) -> Offer:
    """The offered versions of Kubernetes."""
    with workspace("versions", progress) as space:
        return _first(
            partial(_releases, origins.kubernetes),
            lambda: build.kubernetes_versions(require_go_at_hand(space)),
        )


def kind_offer(*, progress: Progress = emit, origins: Origins = PUBLIC) -> Offer:
    """The offered versions of kind."""
    with workspace("versions-kind", progress) as space:
        return _first(
            partial(_latest, origins.github, KIND_PROJECT),
            lambda: build.listed_versions(require_go_at_hand(space), KIND_MODULE),
        )


def newest_of_each_minor(versions: Iterable[str]) -> dict[int, str]:
    """Minor → its newest patch, oldest minor first. Pure."""
    return {minor_of(version): version for version in sorted(versions, key=sort_key)}


Ask = Callable[[], Iterable[str]]


def _first(releases: Ask, modules: Ask) -> Offer:
    """The answer of the first source that gives one."""
    failures: list[str] = []
    for source, ask in ((RELEASES, releases), (MODULES, modules)):
        try:
            return Offer(newest_of_each_minor(ask()), source, "; ".join(failures))
        except SourceFailed as failure:
            failures.append(str(failure))
    return Offer(why="; ".join(failures))


def _releases(origin: str) -> list[str]:
    require_reachable(origin)
    newest = minor_of(stable(origin))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(partial(_stable_or_none, origin), range(MINORS[0], newest + 1))
        return [version for version in found if version]


def _stable_or_none(origin: str, minor: int) -> str:
    try:
        return stable_patch(origin, minor)
    except NotListed:
        return ""


def _latest(origin: str, project: str) -> list[str]:
    require_reachable(origin)
    return [latest_tag(origin, project)]


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
