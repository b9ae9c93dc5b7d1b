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
from kubewire.dataplane.core.harm import OTHER_MODE, Effects, leftover, nft_label, nft_owner
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.pods import Pod
from kubewire.dataplane.core.snapshot import IPTABLES_FILES, NFT_FILES, NFT_FOREIGN
from kubewire.dataplane.iptables.compare import check_foreign
from kubewire.dataplane.iptables.foreign import Foreign, Owned
from kubewire.dataplane.iptables.names import owned, tool
from kubewire.dataplane.iptables.observed import parse_iptables_save
from kubewire.dataplane.node import Inputs

MOST_PROBLEMS = 50


def _nobodys(_table: str, _chain: str) -> bool:
    """In nftables mode no chain of iptables is kube-proxy's."""
    return False


class Others(Struct, frozen=True, dict=True):
    """A node's nft tables of other owners in one family, and what is judged with them.

    What a kube-proxy in another mode left is another owner's: Kubernetes lets only `kube-proxy --cleanup`
    remove it (cmd/kube-proxy/app/server.go).
    """

    node: Inputs
    cluster: ClusterState
    pods: Sequence[Pod]
    family: IpFamily
    tables: Dataplane
    problems: tuple[str, ...]

    @classmethod
    def of(cls, node: Inputs, cluster: ClusterState, pods: Sequence[Pod], family: IpFamily) -> Others:
        tables, problems = Dataplane(), []
        for file in (NFT_FOREIGN, *(() if node.config.mode == "nftables" else (NFT_FILES[family],))):
            text = node.snapshot.files.get(file, "").strip()
            if '"table"' not in text and text[-1:] in ("", "}"):
                continue
            from kubewire.dataplane.nftables.observed import ParseError, parse_foreign_tables

            try:
                found = parse_foreign_tables(node.snapshot.files[file], family, file)
            except ParseError as error:
                problems.append(f"{file}: {error}")
                continue
            problems += [f"nft {each.where}: {each.why}" for each in found.problems]
            tables = replace(
                tables,
                tables=tables.tables + found.tables,
                chains=tables.chains + found.chains,
                sets=tables.sets + found.sets,
            )
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
        scopes = list(Foreign(iptables, ours).biting())
        if self.tables.chains:
            from kubewire.dataplane.nftables.foreign import biting

            scopes[:0] = biting(self.tables)
        if not scopes:
            return Effects()
        from kubewire.dataplane.ways import Asked

        asked = Asked.of(self.node, self.cluster, self.pods, self.family, scopes)
        if not asked.examples:
            return Effects()
        from kubewire.dataplane.effect import effects
        from kubewire.dataplane.trace.hooks import IptablesRules, NftRules
        from kubewire.dataplane.trace.observe import servers_of, with_sets

        iptables = with_sets(iptables, self.node.snapshot)
        both = (NftRules(nft, self.tables),) if nft.chains or self.tables.chains else ()
        tools = (*both, IptablesRules(iptables, ours))
        servers = servers_of(iptables, self.family)
        return effects(self.node, self.pods, self.family, asked, rules=tools, servers=servers)

    @cached_property
    def iptables(self) -> Dataplane:
        """The iptables rules of a node whose kube-proxy writes nft's."""
        text = self.node.snapshot.files.get(IPTABLES_FILES[self.family], "")
        return parse_iptables_save(text, self.family)

    def checks(self, foreign: Effects) -> tuple[list[Check], list[Note]]:
        """A check for each base chain of theirs, in nftables mode also for each of iptables; and notes."""
        name, place = self.node.snapshot.name, Place("nftables", self.node.snapshot.name, self.family)
        labels = [nft_label(chain) for chain in self.tables.chains if chain.hook]
        alone = f"another owner's, {foreign.left}"
        names = [table.name for table in self.tables.tables]
        said = [f"nft table {each}: {leftover(nft_owner(each)) or alone}" for each in names]
        said += self._left_chains()
        said += [doubt for label in labels for doubt in foreign.doubts(label)]
        said += [f"{problem}, so its effect is not known" for problem in self.problems[:MOST_PROBLEMS]]
        checks = [foreign.check(place, "nftables.stray", label) for label in labels]
        notes = [Note(text, name) for text in said]
        if self.node.config.mode == "nftables":
            strays, about = check_foreign(self.iptables, foreign, name, self.family)
            return [*strays, *checks], [*about, *notes]
        return checks, notes

    def _left_chains(self) -> list[str]:
        """What the iptables and ipvs modes left on a node in another mode, in words."""
        said, mode = [], self.node.config.mode
        chains = self.iptables.chains if mode == "nftables" else ()
        if left := [chain.name for chain in chains if owned(chain.table, chain.name)]:
            who = leftover(OTHER_MODE.format("iptables"))
            said.append(f"{tool(self.family)}: {len(left)} chains, such as {left[0]}: {who}")
        if mode != "ipvs" and '"kube-ipvs0"' in self.node.snapshot.files.get("ip-addr.json", ""):
            said.append(f"interface kube-ipvs0: {leftover(OTHER_MODE.format('ipvs'))}")
        return said
