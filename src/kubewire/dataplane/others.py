"""A node's rules of other owners: what they do to packets, as checks and notes of their own.

Modules for following packets are imported where a rule can do anything: it takes long.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.findings import Check, IpFamily, Note, Place
from kubewire.dataplane.core.harm import Effects, nft_label
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.pods import Pod
from kubewire.dataplane.core.snapshot import IPTABLES_FILES, NFT_FOREIGN
from kubewire.dataplane.iptables.compare import check_foreign
from kubewire.dataplane.iptables.foreign import Foreign, Owned
from kubewire.dataplane.iptables.names import owned
from kubewire.dataplane.iptables.observed import parse_iptables_save
from kubewire.dataplane.node import Inputs

MOST_PROBLEMS = 50


def _nobodys(_table: str, _chain: str) -> bool:
    """In nftables mode no chain of iptables is kube-proxy's."""
    return False


class Others(Struct, frozen=True, dict=True):
    """A node's nft tables of other owners in one family, and what is judged with them."""

    node: Inputs
    cluster: ClusterState
    pods: Sequence[Pod]
    family: IpFamily
    tables: Dataplane
    problems: tuple[str, ...]

    @classmethod
    def of(cls, node: Inputs, cluster: ClusterState, pods: Sequence[Pod], family: IpFamily) -> Others:
        tables, problems = Dataplane(), []
        if '"table"' in node.snapshot.files.get(NFT_FOREIGN, ""):
            from kubewire.dataplane.nftables.observed import ParseError, parse_foreign_tables

            try:
                tables = parse_foreign_tables(node.snapshot.files[NFT_FOREIGN], family)
                problems = [f"nft {each.where}: {each.why}" for each in tables.problems]
            except ParseError as error:
                problems = [f"{NFT_FOREIGN}: {error}"]
        return cls(node, cluster, pods, family, tables, tuple(problems))

    def effects(self, observed: Dataplane) -> Effects:
        """What foreign rules do; modules for following packets are loaded only where one can do anything."""
        mode, iptables, nft = self.node.config.mode, observed, Dataplane()
        ours: Owned = owned
        if mode == "nftables":
            iptables, nft, ours = self.iptables, observed, _nobodys
        elif mode == "ipvs":
            from kubewire.dataplane.ipvs.names import owned as owned_in_ipvs

            ours = owned_in_ipvs
        if not self.tables.chains and not any(Foreign(iptables, ours).biting()):
            return Effects()
        from kubewire.dataplane.effect import effects
        from kubewire.dataplane.ipvs.ipset import parse_ipset_save
        from kubewire.dataplane.trace.hooks import IptablesRules, NftRules
        from kubewire.dataplane.trace.observe import servers_of

        if (
            "--match-set" in self.node.snapshot.files.get(IPTABLES_FILES[self.family], "")
            and not iptables.sets
        ):
            iptables = replace(
                iptables, sets=parse_ipset_save(self.node.snapshot.files.get("ipset-save.txt", "")).sets
            )
        both = (NftRules(nft, self.tables),) if nft.chains or self.tables.chains else ()
        tools = (*both, IptablesRules(iptables, ours))
        servers = servers_of(iptables, self.family)
        return effects(self.node, self.cluster, self.pods, self.family, rules=tools, servers=servers)

    @cached_property
    def iptables(self) -> Dataplane:
        """The iptables rules of a node whose kube-proxy writes nft's."""
        text = self.node.snapshot.files.get(IPTABLES_FILES[self.family], "")
        return parse_iptables_save(text, self.family)

    def checks(self, foreign: Effects) -> tuple[list[Check], list[Note]]:
        """A check for each base chain of theirs, in nftables mode also for each of iptables; and notes."""
        name, place = self.node.snapshot.name, Place("nftables", self.node.snapshot.name, self.family)
        labels = [nft_label(chain) for chain in self.tables.chains if chain.hook]
        said = [f"nft table {table.name}: another owner's, left alone" for table in self.tables.tables]
        said += [doubt for label in labels for doubt in foreign.doubts(label)]
        said += [f"{problem}, so its effect is not known" for problem in self.problems[:MOST_PROBLEMS]]
        checks = [foreign.check(place, "nftables.stray", label) for label in labels]
        notes = [Note(text, name) for text in said]
        if self.node.config.mode == "nftables":
            strays, about = check_foreign(self.iptables, foreign, name, self.family)
            return [*strays, *checks], [*about, *notes]
        return checks, notes
