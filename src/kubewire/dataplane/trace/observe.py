"""What a trace needs of one node's part of a snapshot: its rules, addresses, routes and sysctls."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any

from msgspec.structs import replace

from kubewire.core.errors import LabError
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.facts import FORWARDING, LOCALNET
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.localhost import listeners_of
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.routing import Routing
from kubewire.dataplane.core.snapshot import IPTABLES_FILES, NFT_FILES, NFT_FOREIGN, NodeSnapshot, dump_file
from kubewire.dataplane.iptables.names import owned
from kubewire.dataplane.iptables.observed import parse_iptables_save
from kubewire.dataplane.ipvs.ipset import parse_ipset_save
from kubewire.dataplane.ipvs.names import owned as owned_in_ipvs
from kubewire.dataplane.ipvs.observed import IPSET, IPVSADM, read_ipvs
from kubewire.dataplane.nftables.observed import parse_foreign_tables, parse_nft_json
from kubewire.dataplane.trace.hooks import IptablesRules, NftRules, Rules
from kubewire.dataplane.trace.journey import NodeView, Servers


def view_of(node: NodeSnapshot, family: IpFamily) -> NodeView:
    """One node as it was observed; its rules are read when they are first asked for.

    Raises LabError without addresses or routes.
    """
    return view_with(node, family, cache(lambda: _rules(node, family)), cache(lambda: _servers(node, family)))


def view_with(
    node: NodeSnapshot,
    family: IpFamily,
    rules: Callable[[], tuple[Rules, ...]],
    servers: Callable[[], Servers],
) -> NodeView:
    """The same with these rules and virtual servers."""
    sysctls, facts = _sysctls(node), node.json("facts.json", dict)
    return NodeView(
        node.name,
        Routing.parse(_needed(node, "ip-addr.json"), _needed(node, "ip-route.json")),
        rules,
        forwards=sysctls.get(FORWARDING[family]),
        route_localnet=sysctls.get(LOCALNET),
        servers=servers,
        listeners=listeners_of(facts or {}),
    )


def _rules(node: NodeSnapshot, family: IpFamily) -> tuple[Rules, ...]:
    """What the dumps show, nft first; the one that kube-proxy's mode writes must be there."""
    mode = _mode(node)
    _needed(node, dump_file(mode, family))
    rules: list[Rules] = []
    nft: list[Dataplane] = []
    if mode == "nftables":
        file = NFT_FILES[family]
        nft.append(_whole(parse_nft_json(_needed(node, file), family), node, file))
    others = (NFT_FOREIGN, *(() if mode == "nftables" else (NFT_FILES[family],)))
    texts = ((node.files.get(file, "").strip(), file) for file in others)
    nft += [parse_foreign_tables(text, family, file) for text, file in texts if text]
    if any(each.chains or each.problems for each in nft):
        rules.append(NftRules(*nft))
    if text := node.files.get(IPTABLES_FILES[family], "").strip():
        tables = _whole(parse_iptables_save(text, family), node, IPTABLES_FILES[family])
        if mode == "ipvs":
            tables = read_ipvs(node.files, node.errors).beside(tables, family)
        rules.append(IptablesRules(with_sets(tables, node), owned_in_ipvs if mode == "ipvs" else owned))
    return tuple(rules)


def with_sets(tables: Dataplane, node: NodeSnapshot) -> Dataplane:
    """A node's iptables rules with the ipsets that they may look something up in."""
    if tables.sets:
        return tables
    return replace(tables, sets=parse_ipset_save(node.files.get(IPSET, "")).sets)


def _servers(node: NodeSnapshot, family: IpFamily) -> Servers:
    """The virtual servers of a node in ipvs mode."""
    if _mode(node) != "ipvs":
        return {}
    for name in (IPSET, IPVSADM):
        _needed(node, name)
    return servers_of(read_ipvs(node.files, node.errors).servers, family)


def servers_of(dataplane: Dataplane, family: IpFamily) -> Servers:
    """A family's virtual servers by address; those of a firewall mark are left out."""
    return {
        (server.protocol, ip_address(server.address), server.port): tuple(
            (ip_address(real.address), real.port, real.weight) for real in server.servers
        )
        for server in dataplane.servers
        if server.family == family and server.address
    }


def _mode(node: NodeSnapshot) -> str:
    try:
        return ProxyConfig.parse(_needed(node, "kube-proxy.yaml")).mode
    except LabError as error:
        raise LabError(error.what, where=f"{node.name}: kube-proxy.yaml", hint=error.hint) from error


def _whole(dataplane: Dataplane, node: NodeSnapshot, name: str) -> Dataplane:
    """The dump; only rules may be not understood, which the trace rejects where it reaches them."""
    blurred = sum(not rule.understood for chain in dataplane.chains for rule in chain.rules())
    if len(dataplane.problems) > blurred:
        problem = dataplane.problems[0]
        raise LabError(
            f"{problem.where}: {problem.text}: {problem.why}",
            where=f"{node.name}: {name}",
            hint="a trace needs a dump that is whole and understood: take the snapshot again",
        )
    return dataplane


def _needed(node: NodeSnapshot, name: str) -> str:
    text = node.files.get(name, "")
    if not text.strip():
        why = node.errors.get(name) or "the file is missing or empty"
        raise LabError(why, where=f"{node.name}: {name}", hint="a trace can't do without it")
    return text


def _sysctls(node: NodeSnapshot) -> dict[str, bool]:
    """The sysctls that facts.json knows, as on or off."""
    try:
        facts: Mapping[str, Any] = json.loads(node.files.get("facts.json") or "{}")
        found = {name: str(value) != "0" for name, value in (facts.get("sysctls") or {}).items()}
        if "route_localnet" in facts:
            found[LOCALNET] = str(facts["route_localnet"]) != "0"
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise LabError(f"not as expected: {error}", where=f"{node.name}: facts.json") from error
    return found
