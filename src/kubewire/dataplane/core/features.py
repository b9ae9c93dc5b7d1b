"""kube-proxy versions and the table of their differences: since which version, behind which feature gate,
the effect on the dataplane, and the upstream source."""

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
            raise DefinitionError(f"{text.strip()!r} is not a Kubernetes version", hint="write it as v1.37.2")
        return cls(int(match[1]), int(match[2]), int(match[3] or 0))

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


OLDEST, NEWEST = Version(1, 29), Version(1, 37)
"""The minors that the engine was verified against."""


def unknown_version(version: Version) -> str:
    """The note on a version that the engine does not know, "" for one that it does."""
    if version.major == 1 and OLDEST.minor <= version.minor <= NEWEST.minor:
        return ""
    older = (version.major, version.minor) < (1, OLDEST.minor)
    what, known = ("older", OLDEST) if older else ("newer", NEWEST)
    return (
        f"kube-proxy {version} is {what} than 1.{known.minor}, the {'oldest' if older else 'newest'} version "
        f"that kubewire knows: checked by the rules of 1.{known.minor}, and a finding may be a change of "
        "kube-proxy's"
    )


class Gate(Struct, frozen=True):
    """A feature gate and the versions in which it can be set: from `known` on, before `locked`."""

    name: str
    known: Version
    locked: Version | None = None

    def setting(self, version: Version) -> bool | None:
        """What the version's configuration sets it to, None where it doesn't or can't."""
        settable = self.known <= version and (self.locked is None or version < self.locked)
        return dict(version.gates).get(self.name) if settable else None


class Feature(Struct, frozen=True):
    """A behaviour of kube-proxy since some version, or behind a gate.

    `since` lists the first patch of every minor that got it; later minors than the last one have it too.
    `title` and `source` (pull request, KEP or file) are shown where it changes a dataplane.
    """

    since: tuple[Version, ...]
    title: str
    source: str
    gate: Gate | None = None


def _since(versions: str, title: str, source: str, gate: Gate | None = None) -> Feature:
    return Feature(tuple(map(Version.parse, versions.split())), title, source, gate)


# Gates of alpha features are off, the others on (pkg/features of each version).
FEATURES = {
    "nfacct": _since("1.31.0", "counters for dropped packets (nfacct)", "kubernetes#122812, #125015"),
    "zero-source-range-is-none": _since(
        "1.34.0", "a source range of all addresses stands for none", "kubernetes#132722"
    ),
    # Services are no longer left out by the headless label, nor slices by that of another proxy
    "labels-by-kind": _since(
        "1.36.0", "labels no longer hide headless Services and others' slices", "cmd/kube-proxy/app"
    ),
    "external-ips": _since(
        "1.0.0",
        "a gate decides whether external IPs are served",
        "AllowServiceExternalIPs",
        gate=Gate("AllowServiceExternalIPs", Version(1, 36)),
    ),
    "load-balancer-ip-mode": _since(
        "1.30.0",
        "load balancer addresses with ipMode Proxy are left out",
        "KEP-1860",
        gate=Gate("LoadBalancerIPMode", Version(1, 29), Version(1, 32)),
    ),
    "zone-hints": _since(
        "1.24.0",
        "hints keep traffic in its zone",
        "KEP-2433",
        gate=Gate("TopologyAwareHints", Version(1, 21), Version(1, 33)),
    ),
    "traffic-distribution": _since(
        "1.31.0",
        "trafficDistribution chooses endpoints of the same zone",
        "KEP-4444",
        gate=Gate("ServiceTrafficDistribution", Version(1, 30), Version(1, 33)),
    ),
    "prefer-same-node": _since(
        "1.34.0",
        "trafficDistribution may prefer endpoints of the same node",
        "KEP-3015",
        gate=Gate("PreferSameTrafficDistribution", Version(1, 33), Version(1, 35)),
    ),
    # a duplicate replaces the earlier one unless it is terminating
    "duplicate-endpoint-last-wins": _since(
        "1.36.0", "of an endpoint given twice the last counts", "kubernetes#135593"
    ),
    # in KUBE-IPVS-FILTER; picked as 122323
    "ipvs-external-ip-local-filter": _since(
        "1.29.1 1.30.0", "external IPs with policy Local pass its filter", "kubernetes#121919"
    ),
    # net.ipv6.conf.all.disable_ipv6 (server_linux.go)
    "ipv6-disabled": _since(
        "1.36.0", "IPv6 is left out where the kernel has it switched off", "cmd/kube-proxy/app"
    ),
    "nft-primary-node-ips": _since(
        "1.30.0", "node ports answer on the node's primary address only", "KEP-3866"
    ),
    "node-port-primary-keyword": _since("1.31.0", "nodePortAddresses knows “primary”", "kubernetes#123105"),
    "node-port-localhost-keyword": _since(
        "1.37.0", "nodePortAddresses knows “localhost” and “all”", "kubernetes#138427"
    ),
    # knftables before 0.0.15 takes no nft to have them
    "nft-object-comments": _since(
        "1.31.0", "comments on tables, chains, sets and maps", "sigs.k8s.io/knftables 0.0.15"
    ),
    "nft-cluster-ips": _since(
        "1.30.0", "unknown cluster IPs and ports are refused: the set cluster-ips", "KEP-3866"
    ),
    "nft-firewall-without-comments": _since(
        "1.31.0", "the firewall's rules have lost their comments", "pkg/proxy/nftables"
    ),
    "nft-pre-dnat-chains": _since(
        "1.33.6 1.34.0", "checks moved behind DNAT, into renamed chains", "kubernetes#132456"
    ),
    "nft-masquerade-any-port": _since(
        "1.34.0", "masquerading of a Service's own traffic on any port", "pkg/proxy/nftables"
    ),
    "nft-iifname": _since(
        "1.33.6 1.34.2 1.35.0", "a bridge or interface prefix is matched by name", "kubernetes#134024"
    ),
    # and hairpin-connections
    "nft-dnat-map": _since(
        "1.36.0", "one DNAT map a Service, not a chain an endpoint", "kubernetes#135800, #136499"
    ),
    "nft-single-dnat": _since("1.37.0", "a Service with a single endpoint has no map", "kubernetes#140723"),
    "nft-comment-cut": _since(
        "1.37.0", "comments are cut to the 128 bytes that nftables keeps", "kubernetes#139516"
    ),
    "nft-localhost-node-ports": _since(
        "",
        "node ports on 127.0.0.1 in nftables mode",
        "KEP-6032",
        gate=Gate("KubeProxyNFTablesLocalhostNodePorts", Version(1, 37)),
    ),
    "service-cidrs": _since(
        "1.33.0",
        "the Service networks come from ServiceCIDR objects",
        "KEP-1880",
        gate=Gate("MultiCIDRServiceAllocator", Version(1, 30), Version(1, 34)),
    ),
}


class Blend(Version, frozen=True):
    """A hypothetical kube-proxy with just these features, to isolate the effect of one feature."""

    features: frozenset[str] = frozenset()


@cache
def has(version: Version, feature: str) -> bool:
    """Whether kube-proxy of that version, with its gates, has the feature; KeyError for no such feature."""
    found = FEATURES[feature]
    if isinstance(version, Blend):
        return feature in version.features
    setting = found.gate.setting(version) if found.gate else None
    if setting is not None:
        return setting
    for first in found.since:
        if (version.major, version.minor) == (first.major, first.minor):
            return version >= first
    return bool(found.since) and version > found.since[-1]


def features_of(version: Version) -> frozenset[str]:
    """All features that kube-proxy of that version, with its gates, has."""
    return frozenset(feature for feature in FEATURES if has(version, feature))
