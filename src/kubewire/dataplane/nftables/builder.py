"""Collects the objects of kube-proxy's nftables table, each with its origin; and what each version writes."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from kubewire.dataplane.core.features import Version, has
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import (
    Chain,
    Counter,
    Dataplane,
    Element,
    Hook,
    Origin,
    Rule,
    RuleGroup,
    Set,
    Table,
)
from kubewire.dataplane.nftables.names import TABLE, TABLE_COMMENT, WORDS, FamilyKeywords

SOURCE = "pkg/proxy/nftables/proxier.go, KEP-3866"


class NftFeatures(Struct, frozen=True):
    """The forms of nftables rules that one kube-proxy version writes."""

    cluster_ips: bool
    firewall_comments: bool
    pre_dnat_chains: bool
    masquerade_any_port: bool
    dnat_map: bool
    single_dnat: bool
    comment_cut: bool
    interface_word: str

    @classmethod
    def of(cls, version: Version) -> NftFeatures:
        return cls(
            cluster_ips=has(version, "nft-cluster-ips"),
            firewall_comments=not has(version, "nft-firewall-without-comments"),
            pre_dnat_chains=has(version, "nft-pre-dnat-chains"),
            masquerade_any_port=has(version, "nft-masquerade-any-port"),
            dnat_map=has(version, "nft-dnat-map"),
            single_dnat=has(version, "nft-single-dnat"),
            comment_cut=has(version, "nft-comment-cut"),
            interface_word="iifname" if has(version, "nft-iifname") else "iif",
        )


def fixed(check: str, why: str) -> Origin:
    """The origin of an object that doesn't depend on any Service."""
    return Origin("", why, SOURCE, check)


class Builder(Struct):
    """The table under construction; chains and sets keep the order in which they are declared.

    `object_comments`: whether kube-proxy puts comments on tables, chains, sets and maps.
    """

    family: IpFamily
    object_comments: bool = True
    chains: dict[str, Chain] = field(default_factory=dict)
    rules: dict[str, list[Rule]] = field(default_factory=dict)
    sets: dict[str, Set] = field(default_factory=dict)
    elements: dict[str, dict[str, Element]] = field(default_factory=dict)
    counters: list[Counter] = field(default_factory=list)

    @property
    def words(self) -> FamilyKeywords:
        return WORDS[self.family]

    def counter(self, name: str, origin: Origin) -> None:
        """Declare a named counter."""
        self.counters.append(Counter(self.family, TABLE, name, origin))

    def chain(self, name: str, origin: Origin, hook: Hook | None = None, comment: str = "") -> None:
        """Declare a chain, once."""
        if name not in self.chains:
            comment = comment if self.object_comments else ""
            self.chains[name] = Chain(self.family, TABLE, name, hook=hook, origin=origin, comment=comment)
            self.rules[name] = []

    def rule(
        self, chain: str, text: str, origin: Origin, *, comment: str = "", alternatives: Sequence[str] = ()
    ) -> None:
        """Append a rule; `alternatives` are also valid texts without the comment."""
        tail = f' comment "{comment}"' if comment else ""
        self.rules[chain].append(
            Rule(text + tail, origin, alternatives=tuple(other + tail for other in alternatives))
        )

    def set(
        self,
        name: str,
        key_type: str,
        origin: Origin,
        *,
        comment: str = "",
        verdicts: bool = False,
        options: Sequence[str] = (),
        dynamic: bool = False,
    ) -> None:
        """Declare a set, or a verdict map."""
        self.sets[name] = Set(
            self.family,
            TABLE,
            name,
            key_type,
            value_type="verdict" if verdicts else "",
            options=tuple(options),
            dynamic=dynamic,
            comment=comment if self.object_comments else "",
            origin=origin,
        )
        self.elements[name] = {}

    def element(self, name: str, key: str, origin: Origin, *, value: str = "", comment: str = "") -> None:
        """Add an element; of two with one key either is valid: kube-proxy's order of Services is random."""
        known = self.elements[name].get(key)
        if known is None:
            self.elements[name][key] = Element(key, value, comment, origin)
        elif known.value != value or known.comment != comment:
            other = (value, comment)
            if other not in known.alternatives:
                self.elements[name][key] = replace(known, alternatives=(*known.alternatives, other))

    def dataplane(self) -> Dataplane:
        return Dataplane(
            tables=(Table(self.family, TABLE, TABLE_COMMENT if self.object_comments else ""),),
            chains=tuple(
                replace(chain, groups=(RuleGroup(tuple(self.rules[name])),))
                for name, chain in self.chains.items()
            ),
            sets=tuple(
                replace(item, elements=tuple(self.elements[name].values()))
                for name, item in self.sets.items()
            ),
            counters=tuple(self.counters),
        )
