"""kube-proxy versions; the one table that says from which of them on a dataplane feature is there, and which
feature gate of the configuration says otherwise."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from msgspec import Struct
from msgspec.structs import replace

from kubewire.core.errors import DefinitionError

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-+].*)?")


class Version(Struct, frozen=True, order=True):
    """A Kubernetes version without its pre-release part; `gates` are those that the configuration sets."""

    major: int
    minor: int
    patch: int = 0
    gates: tuple[tuple[str, bool], ...] = ()

    def gated(self, gates: Mapping[str, bool]) -> Version:
        """This version with these feature gates set."""
        return replace(self, gates=tuple(sorted(gates.items())))

    @classmethod
    def parse(cls, text: str) -> Version:
        """`v1.37.2`, `1.37.2`, `Kubernetes v1.37.2`, `1.37`; raises DefinitionError otherwise."""
        match = _VERSION.fullmatch(text.strip().removeprefix("Kubernetes").strip())
        if match is None:
            raise DefinitionError(f"{text.strip()!r} is not a Kubernetes version", mend="write it as v1.37.2")
        return cls(int(match[1]), int(match[2]), int(match[3] or 0))

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


OLDEST, NEWEST = Version(1, 29), Version(1, 37)
"""The minors that the engine was held against."""


def unknown_version(version: Version) -> str:
    """What to say of a version that the engine does not know, "" for one that it does."""
    if version.major == 1 and OLDEST.minor <= version.minor <= NEWEST.minor:
        return ""
    older = (version.major, version.minor) < (1, OLDEST.minor)
    what, known = ("older", OLDEST) if older else ("newer", NEWEST)
    return (
        f"kube-proxy {version} is {what} than 1.{known.minor}, the {'oldest' if older else 'newest'} version "
        f"that kubewire knows: judged by the rules of 1.{known.minor}, and a finding may be a change of "
        "kube-proxy's"
    )


def _since(*versions: str) -> tuple[Version, ...]:
    return tuple(sorted(Version.parse(text) for text in versions))


class Gate(Struct, frozen=True):
    """A feature gate and the versions that let it be set: from `known` on, before `locked`."""

    name: str
    known: Version
    locked: Version | None = None

    def setting(self, version: Version) -> bool | None:
        """What the version's configuration sets it to, None where it doesn't or can't."""
        settable = self.known <= version and (self.locked is None or version < self.locked)
        return dict(version.gates).get(self.name) if settable else None


# Each feature lists the first patch of every minor that got it; later minors than the last one have it too.
# A feature without versions comes with its gate alone.
FEATURES: dict[str, tuple[Version, ...]] = {
    # iptables: nfacct counters (kubernetes PRs 122812, 125015)
    "nfacct": _since("1.31.0"),
    # a source range of all addresses stands for no source ranges (PR 132722)
    "zero-source-range-is-none": _since("1.34.0"),
    # Services are no longer left out by the headless label, nor slices by that of another proxy
    # (cmd/kube-proxy/app/server.go)
    "labels-by-kind": _since("1.36.0"),
    # pkg/proxy/serviceport.go
    "external-ips": _since("1.0.0"),
    "load-balancer-ip-mode": _since("1.30.0"),
    # topology: zone hints, `trafficDistribution` without annotation (KEP-4444), node hints (KEP-3015)
    "zone-hints": _since("1.24.0"),
    "traffic-distribution": _since("1.31.0"),
    "prefer-same-node": _since("1.34.0"),
    # endpoints: a duplicate replaces the earlier one unless it is terminating (PR 135593)
    "duplicate-endpoint-last-wins": _since("1.36.0"),
    # ipvs: KUBE-IPVS-FILTER lets external IPs with policy Local pass (PR 121919, picked as 122323)
    "ipvs-external-ip-local-filter": _since("1.29.1", "1.30.0"),
    # net.ipv6.conf.all.disable_ipv6 leaves the family out (cmd/kube-proxy/app/server_linux.go)
    "ipv6-disabled": _since("1.36.0"),
    # nodePortAddresses
    "nft-primary-node-ips": _since("1.30.0"),
    "node-port-primary-keyword": _since("1.31.0"),
    "node-port-localhost-keyword": _since("1.37.0"),
    # nftables: generations of pkg/proxy/nftables/proxier.go, as its releases have it
    # comments on tables, chains, sets and maps: sigs.k8s.io/knftables before 0.0.15 takes no nft to have them
    "nft-object-comments": _since("1.31.0"),
    "nft-cluster-ips": _since("1.30.0"),
    "nft-firewall-without-comments": _since("1.31.0"),
    # checks of endpoints and cluster IPs moved behind DNAT (PR 132456)
    "nft-pre-dnat-chains": _since("1.33.6", "1.34.0"),
    "nft-masquerade-any-port": _since("1.34.0"),
    # a bridge or interface prefix is matched by name (PR 134024)
    "nft-iifname": _since("1.33.6", "1.34.2", "1.35.0"),
    # one DNAT map a service, hairpin-connections (PRs 135800, 136499)
    "nft-dnat-map": _since("1.36.0"),
    # no map for a single endpoint (PR 140723), comments cut to 128 bytes (PR 139516)
    "nft-single-dnat": _since("1.37.0"),
    "nft-comment-cut": _since("1.37.0"),
    # behind the gate KubeProxyNFTablesLocalhostNodePorts (KEP-6032)
    "nft-localhost-node-ports": (),
    # ServiceCIDR objects (MultiCIDRServiceAllocator GA)
    "service-cidrs": _since("1.33.0"),
}


# Gates of alpha features are off, the others on (pkg/features of each version).
GATES = {
    "external-ips": Gate("AllowServiceExternalIPs", Version(1, 36)),
    "load-balancer-ip-mode": Gate("LoadBalancerIPMode", Version(1, 29), Version(1, 32)),
    "zone-hints": Gate("TopologyAwareHints", Version(1, 21), Version(1, 33)),
    "traffic-distribution": Gate("ServiceTrafficDistribution", Version(1, 30), Version(1, 33)),
    "prefer-same-node": Gate("PreferSameTrafficDistribution", Version(1, 33), Version(1, 35)),
    "service-cidrs": Gate("MultiCIDRServiceAllocator", Version(1, 30), Version(1, 34)),
    "nft-localhost-node-ports": Gate("KubeProxyNFTablesLocalhostNodePorts", Version(1, 37)),
}


class Blend(Version, frozen=True):
    """A kube-proxy that never was: it has just these features, so that one feature's doing can be told."""

    features: frozenset[str] = frozenset()


@cache
def has(version: Version, feature: str) -> bool:
    """Whether kube-proxy of that version, with its gates, has the feature; KeyError for no such feature."""
    since = FEATURES[feature]
    if isinstance(version, Blend):
        return feature in version.features
    setting = GATES[feature].setting(version) if feature in GATES else None
    if setting is not None:
        return setting
    for first in since:
        if (version.major, version.minor) == (first.major, first.minor):
            return version >= first
    return bool(since) and version > since[-1]


def features_of(version: Version) -> frozenset[str]:
    """All features that kube-proxy of that version, with its gates, has."""
    return frozenset(feature for feature in FEATURES if has(version, feature))
