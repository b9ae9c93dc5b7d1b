"""Resolves a requested Kubernetes version to an exact one that is available."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from kubewire.binaries import build, store
from kubewire.binaries.catalog import (
    CONTROL_PLANE,
    KUBE_PROXY,
    KUBE_PROXY_ONLY,
    NEWEST,
    PUBLIC,
    Artifact,
    Origins,
)
from kubewire.binaries.offers import released, stable_patch
from kubewire.binaries.toolchain import Go, go_at_hand, require_go_at_hand
from kubewire.binaries.versions import KNOWN, Wanted, minor_of, parse, sort_key
from kubewire.binaries.web import NotListed, SourceFailed, require_reachable, why_unreachable
from kubewire.binaries.workspace import Workspace, workspace
from kubewire.core.errors import DefinitionError, HostError
from kubewire.core.progress import Progress, emit

LISTS = f"kubewire versions lists what there is; 1.{min(KNOWN)} to 1.{max(KNOWN)} are known without asking"


def resolve(
    wanted: str = "",
    *,
    progress: Progress = emit,
    origins: Origins = PUBLIC,
    fresh: bool = False,
    whole: bool = True,
    space: Workspace | None = None,
) -> str:
    """The exact version (`v1.34.4`) for the user's text; `progress` gets the result and the reason.

    A minor becomes its newest available patch: in the cache (unless `fresh`; only its kube-proxy where
    it needn't be `whole`), else newest official release, else newest with complete Go modules. Raises
    DefinitionError for a version that doesn't exist, HostError for a new minor that no source gives.
    """
    asked = parse(wanted)
    if space is None:
        with workspace("resolve", progress) as own:
            return _Resolver(progress, origins, own).resolve(asked, fresh, whole)
    return _Resolver(progress, origins, space).resolve(asked, fresh, whole)


def require_exists(*versions: str | None) -> None:
    """Raise like `resolve` for a version that is unknown and that no source has."""
    for wanted in filter(None, versions):
        asked = parse(wanted)
        known = asked.minor in KNOWN if asked.patch is None else str(asked) in KNOWN.values()
        if not known:
            resolve(wanted)


def newest_cached(minor: int, whole: bool = True) -> str:
    """The newest patch of a minor whose binaries (or only kube-proxy) are in the cache, or ""."""
    wanted = (KUBE_PROXY, *CONTROL_PLANE) if whole else (KUBE_PROXY,)
    found = [v for v in store.complete_versions(wanted) if minor_of(v) == minor]
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
        failures: list[SourceFailed] = []
        for newest in (self._released, self._with_modules):
            try:
                return newest(asked)
            except SourceFailed as failure:
                failures.append(failure)
        why = "; ".join(map(str, failures))
        if cached := KNOWN.get(asked.minor) or newest_cached(asked.minor, whole):
            return self._say(asked, cached, f"the newest known ({why})")
        if any(isinstance(failure, NotListed) for failure in failures):
            raise _no_such(f"1.{asked.minor}", NEWEST)
        raise HostError(
            f"Kubernetes 1.{asked.minor} is newer than what kubewire knows, and no source gives it: {why}",
            hint=f"the newest known is {NEWEST}; {LISTS}",
        )

    def _exact(self, asked: Wanted) -> str:
        version = str(asked)
        if version in KNOWN.values() or _in_cache(version):
            return version
        with suppress(SourceFailed):
            if not why_unreachable(self.origins.kubernetes):
                if released(self.origins.kubernetes, version):
                    return version
                raise _no_such(version, self._nearest_release(asked.minor))
        with suppress(SourceFailed):
            go = go_at_hand(self.space)
            if go and not build.served(go, version):
                self._refuse_unheard_of(go, asked)
        return version

    def _nearest_release(self, minor: int) -> str:
        try:
            return stable_patch(self.origins.kubernetes, minor)
        except NotListed:
            return KNOWN.get(minor, NEWEST)

    def _refuse_unheard_of(self, go: Go, asked: Wanted) -> None:
        """A patch that isn't served doesn't exist if it is newer than all; else it may only be blocked."""
        known = [KNOWN[asked.minor]] if asked.minor in KNOWN else []
        newest = max([*self._listed(go, asked.minor), *known], key=sort_key, default="")
        if not newest or sort_key(str(asked)) > sort_key(newest):
            raise _no_such(str(asked), newest or NEWEST)

    def _listed(self, go: Go, minor: int) -> list[str]:
        return [v for v in build.kubernetes_versions(go) if minor_of(v) == minor]

    def _released(self, asked: Wanted) -> str:
        require_reachable(self.origins.kubernetes)
        return self._say(
            asked, stable_patch(self.origins.kubernetes, asked.minor), "its newest official release"
        )

    def _with_modules(self, asked: Wanted) -> str:
        known = KNOWN.get(asked.minor, "")
        go = require_go_at_hand(self.space)
        listed = sorted(self._listed(go, asked.minor), key=sort_key, reverse=True)
        lacking = ""
        for candidate in listed:
            if known and sort_key(candidate) <= sort_key(known):
                break
            self.progress("version", f"{asked}: looking whether the Go modules of {candidate} are complete")
            missing = build.missing_modules(go, candidate)
            if not missing:
                return self._say(asked, candidate, "the newest with complete Go modules")
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            lacking = lacking or f"{candidate} lacks {missing[0]}{more}"
        if known:
            enough = " for kube-proxy" if asked.minor in KUBE_PROXY_ONLY else ""
            beyond = f"; {lacking}" if lacking else ""
            return self._say(asked, known, f"the newest with complete Go modules{enough}{beyond}")
        if listed:
            raise SourceFailed(f"of the Go modules, {lacking}")
        raise NotListed(f"the Go module proxy lists no 1.{asked.minor}")

    def _say(self, asked: Wanted, version: str, why: str) -> str:
        self.progress("version", f"Kubernetes {asked} is {version}: {why}")
        return version


def _no_such(version: str, nearest: str) -> DefinitionError:
    return DefinitionError(
        f"Kubernetes {version} does not exist, as far as can be seen from here",
        hint=f"the nearest that does is {nearest}; {LISTS}",
    )
