"""Which Kubernetes version a lab gets: what was asked for, made exact by what can be had from here."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kubewire.errors import DefinitionError
from kubewire.kubernetes import build, store
from kubewire.kubernetes.catalog import (
    COMPLETE,
    CONTROL_PLANE,
    KUBE_PROXY,
    KUBE_PROXY_ONLY,
    MAX_SKEW,
    MINORS,
    NEWEST,
    Artifact,
    Origins,
)
from kubewire.kubernetes.download import SourceFailed, released, stable_patch, why_unreachable
from kubewire.kubernetes.toolchain import Go, go_at_hand
from kubewire.kubernetes.workspace import Workspace, workspace
from kubewire.progress import Progress, emit

__all__ = ["MINORS", "NEWEST", "Components", "Wanted", "components", "parse", "resolve"]

KNOWN = KUBE_PROXY_ONLY | COMPLETE
WRITTEN = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Wanted:
    """`1.34` (patch None) or `1.34.2`."""

    minor: int
    patch: int | None = None

    def __str__(self) -> str:
        return f"1.{self.minor}" if self.patch is None else f"v1.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Components:
    """The version of kube-proxy (the lab's version) and of the control plane with kubectl."""

    kube_proxy: str
    control_plane: str
    reason: str = ""


def parse(wanted: str) -> Wanted:
    """What the user wrote (`1.34`, `v1.34.2`, "" for the newest known), checked without any network.

    Raises DefinitionError that names the nearest version that exists.
    """
    text = wanted.strip() or NEWEST.rpartition(".")[0]
    match = WRITTEN.fullmatch(text)
    span = f"kubewire knows 1.{MINORS[0]} to 1.{MINORS[-1]}"
    if not match:
        raise DefinitionError(
            f"{wanted!r} is not a Kubernetes version",
            mend=f"write it as 1.{MINORS[-1]} or {NEWEST}; {span}",
        )
    major, minor, patch = int(match[1]), int(match[2]), match[3]
    if major == 1 and minor in MINORS:
        return Wanted(minor, None if patch is None else int(patch))
    if major == 1 and minor * 10 in MINORS and patch is None:
        nearest, hint = (
            minor * 10,
            f" (in YAML, quote it: an unquoted 1.{minor * 10} is the number 1.{minor})",
        )
    else:
        nearest, hint = min(MINORS, key=lambda known: abs(known - minor)) if major == 1 else MINORS[-1], ""
    raise DefinitionError(
        f"Kubernetes {text} is not a version that kubewire knows",
        mend=f"the nearest is 1.{nearest}{hint}; {span}",
    )


def resolve(
    wanted: str = "",
    *,
    progress: Progress = emit,
    origins: Origins = Origins(),  # noqa: B008 - frozen
    fresh: bool = False,
    whole: bool = True,
    space: Workspace | None = None,
) -> str:
    """The exact version (`v1.34.4`) for what the user wrote; `progress` is told which it became and why.

    A minor becomes its newest patch that can be had: in the cache (unless `fresh`; only its kube-proxy where
    it needn't be `whole`), else newest official release, else newest with complete Go modules. Raises
    DefinitionError for a version that doesn't exist.
    """
    asked = parse(wanted)
    if space is None:
        with workspace("resolve", progress) as own:
            return _Resolver(progress, origins, own).resolve(asked, fresh, whole)
    return _Resolver(progress, origins, space).resolve(asked, fresh, whole)


def components(version: str, *, whole: bool, cached: Iterable[str]) -> Components:
    """What runs beside a kube-proxy: its own version if that can be had `whole`, else the nearest newer.

    Only a version whose modules lack the control plane gets another one; a `cached` one is preferred, never
    more than three minors newer (kubernetes.io, Version Skew Policy).
    """
    if whole or version not in KUBE_PROXY_ONLY.values():
        return Components(version, version)
    minor = parse(version).minor
    allowed = range(minor + 1, minor + 1 + MAX_SKEW)
    usable = sorted((v for v in cached if parse(v).minor in allowed), key=sort_key)
    chosen = usable[0] if usable else COMPLETE[allowed[0]]
    return Components(
        version,
        chosen,
        f"the Go modules of {version} lack its control plane; {chosen} is within the version skew policy",
    )


def sort_key(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.removeprefix("v").split("."))


def newest_cached(minor: int, whole: bool = True) -> str:
    """The newest patch of a minor whose binaries (or only kube-proxy) are in the cache, or ""."""
    wanted = (KUBE_PROXY, *CONTROL_PLANE) if whole else (KUBE_PROXY,)
    found = [v for v in store.complete_versions(wanted) if v.startswith(f"v1.{minor}.")]
    proxy_only = KUBE_PROXY_ONLY.get(minor)
    if proxy_only and _in_cache(proxy_only):
        found.append(proxy_only)
    return max(found, key=sort_key, default="")


def _in_cache(version: str) -> bool:
    return not store.missing(Artifact("kubernetes", version), (KUBE_PROXY,))


@dataclass(frozen=True)
class _Resolver:
    progress: Progress
    origins: Origins
    space: Workspace

    def resolve(self, asked: Wanted, fresh: bool, whole: bool) -> str:
        if asked.patch is not None:
            return self._exact(asked)
        if not fresh and (cached := newest_cached(asked.minor, whole)):
            return self._say(asked, cached, "the newest in the cache")
        return self._released(asked) or self._with_modules(asked) or self._known(asked, "the newest known")

    def _exact(self, asked: Wanted) -> str:
        version = str(asked)
        if version in KNOWN.values() or _in_cache(version):
            return version
        try:
            if not why_unreachable(self.origins.kubernetes):
                if released(self.origins.kubernetes, version):
                    return version
                raise _no_such(version, stable_patch(self.origins.kubernetes, asked.minor))
        except SourceFailed:
            pass
        try:
            go = go_at_hand(self.space)
            if go and not build.served(go, version):
                self._refuse_unheard_of(go, asked)
        except SourceFailed:
            pass
        return version

    def _refuse_unheard_of(self, go: Go, asked: Wanted) -> None:
        """A patch that isn't served doesn't exist if it is newer than all; else it may only be withheld."""
        newest = max([*self._listed(go, asked.minor), KNOWN[asked.minor]], key=sort_key)
        if sort_key(str(asked)) > sort_key(newest):
            raise _no_such(str(asked), newest)

    def _listed(self, go: Go, minor: int) -> list[str]:
        return [v for v in build.kubernetes_versions(go) if v.startswith(f"v1.{minor}.")]

    def _released(self, asked: Wanted) -> str:
        if why_unreachable(self.origins.kubernetes):
            return ""
        try:
            return self._say(
                asked, stable_patch(self.origins.kubernetes, asked.minor), "its newest official release"
            )
        except SourceFailed as failure:
            self.progress("version", f"1.{asked.minor}: {failure}")
            return ""

    def _with_modules(self, asked: Wanted) -> str:
        known = KNOWN[asked.minor]
        try:
            go = go_at_hand(self.space)
            if go is None:
                return ""
            newer = [v for v in self._listed(go, asked.minor) if sort_key(v) > sort_key(known)]
            lacking = ""
            for candidate in sorted(newer, key=sort_key, reverse=True):
                self.progress(
                    "version", f"{asked}: looking whether the Go modules of {candidate} are complete"
                )
                missing = build.missing_modules(go, candidate)
                if not missing:
                    return self._say(asked, candidate, "the newest with complete Go modules")
                lacking = lacking or f"; {candidate} lacks {missing[0]}" + (
                    f" and {len(missing) - 1} more" if len(missing) > 1 else ""
                )
        except SourceFailed as failure:
            return self._known(asked, f"the newest known ({failure})")
        enough = "for kube-proxy" if asked.minor in KUBE_PROXY_ONLY else ""
        return self._known(asked, f"the newest with complete Go modules {enough}".strip() + lacking)

    def _known(self, asked: Wanted, why: str) -> str:
        return self._say(asked, KNOWN[asked.minor], why)

    def _say(self, asked: Wanted, version: str, why: str) -> str:
        self.progress("version", f"Kubernetes {asked} is {version}: {why}")
        return version


def _no_such(version: str, nearest: str) -> DefinitionError:
    return DefinitionError(
        f"Kubernetes {version} does not exist, as far as can be seen from here",
        mend=f"the nearest that does is {nearest}",
    )
