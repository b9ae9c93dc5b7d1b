"""Address families to skip: no Service uses them and kube-proxy has programmed them on no node."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.findings import FAMILIES, IpFamily
from kubewire.dataplane.core.snapshot import IPTABLES_FILES, NFT_FILES, NodeSnapshot, dump_file
from kubewire.dataplane.iptables.observed import parse_iptables_save
from kubewire.dataplane.node import Inputs

OF_KUBELET = ("KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT", "KUBE-FIREWALL")
NOTHING_THERE = ("No such file or directory", "not supported")
"""Errors of the tools for a missing table, and for a family that the kernel lacks."""


def unused_families(
    cluster: ClusterState, nodes: Sequence[NodeSnapshot], read: Mapping[str, Inputs]
) -> tuple[IpFamily, ...]:
    """The families to skip. A node whose facts say that it has IPv6 must have been programmed.

    `read` has the inputs of those nodes that have them.
    """
    return tuple(
        family
        for family in FAMILIES
        if not any(service.cluster_ips.get(family) for service in cluster.services)
        and not any(_is_served(node, read.get(node.name), family) for node in nodes)
    )


def _is_served(node: NodeSnapshot, inputs: Inputs | None, family: IpFamily) -> bool:
    """Whether kube-proxy programs the family on the node, or may do so: what isn't understood counts."""
    if inputs is not None:
        if inputs.facts.leaves_out(family, inputs.version):
            return False
        error = node.errors.get(dump_file(inputs.config.mode, family), "")
        if inputs.facts.ipv6 or (error and not any(words in error for words in NOTHING_THERE)):
            return True
    return _has_chains(node, family) or _has_table(node, family) or _has_ipvs(node, family)


def _has_chains(node: NodeSnapshot, family: IpFamily) -> bool:
    dump = parse_iptables_save(node.files.get(IPTABLES_FILES[family], ""), family)
    names = (chain.name for chain in dump.chains)
    kube = any(name.startswith("KUBE-") and name not in OF_KUBELET for name in names)
    return kube or bool(node.files.get(IPTABLES_FILES[family], "").strip() and dump.problems)


def _has_table(node: NodeSnapshot, family: IpFamily) -> bool:
    text = node.files.get(NFT_FILES[family], "").strip()
    try:
        return bool(text) and '"kube-proxy"' in json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return True


def _has_ipvs(node: NodeSnapshot, family: IpFamily) -> bool:
    """Virtual servers or kube-proxy's sets of the family."""
    if not any(node.files.get(name) for name in ("ipvsadm-save.txt", "ipset-save.txt")):
        return False
    from kubewire.dataplane.ipvs.ipset import parse_ipset_save
    from kubewire.dataplane.ipvs.ipvsadm import parse_ipvsadm_save

    servers = parse_ipvsadm_save(node.files.get("ipvsadm-save.txt", "")).servers
    sets = parse_ipset_save(node.files.get("ipset-save.txt", "")).sets
    families = {item.family for item in sets if item.name.startswith("KUBE-")}
    return family in families.union(server.family for server in servers)
