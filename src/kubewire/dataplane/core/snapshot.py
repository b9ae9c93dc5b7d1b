"""A snapshot in memory: everything that was observed, as text, without I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubewire.core.errors import LabError
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.shape import check_cluster

if TYPE_CHECKING:
    from kubewire.dataplane.core.cluster import ClusterState

DUMPS = {
    "iptables-save.txt": "iptables-save",
    "ip6tables-save.txt": "ip6tables-save",
    "ipset-save.txt": "ipset save",
    "ipvsadm-save.txt": "ipvsadm -Sn",
    "nft-ip.json": "nft -j list table ip kube-proxy",
    "nft-ip6.json": "nft -j list table ip6 kube-proxy",
    "ip-addr.json": "ip -j addr",
}
"""Files that a command on the node prints, each with its command."""
CONNTRACK = "conntrack.txt"
"""conntrack's entries of UDP and SCTP, as /proc/net/nf_conntrack prints them."""
CUT = "# cut"
"""How the last line of a conntrack.txt begins of which the rest is missing."""
IPTABLES_FILES: dict[IpFamily, str] = {"ipv4": "iptables-save.txt", "ipv6": "ip6tables-save.txt"}
NFT_FILES: dict[IpFamily, str] = {"ipv4": "nft-ip.json", "ipv6": "nft-ip6.json"}
NFT_FOREIGN = "nft-foreign.json"
"""Optional: every nft table that is neither kube-proxy's nor shown by iptables-save, of all families, as one
`nft -j` document. The object of a table that is not in it whole has the reason as `unread`.
"""
PROXY_STATUS = "kube-proxy-status.json"
"""Optional: kube-proxy's state, health, sync times, last error (`kubewire.dataplane.proxy_status`)."""
NODE_NETWORK = "node-network.json"
"""Optional: what the lab's provider set up on the node (`kubewire.dataplane.node_network.NodeNetwork`)."""
NODE_FILES = (
    "kube-proxy.yaml",
    "kube-proxy-version",
    "facts.json",
    *DUMPS,
    NFT_FOREIGN,
    "ip-route.json",
    CONNTRACK,
    PROXY_STATUS,
    NODE_NETWORK,
)


def dump_file(mode: str, family: IpFamily) -> str:
    """The dump that checking a family in that mode needs."""
    return (NFT_FILES if mode == "nftables" else IPTABLES_FILES)[family]


class NodeSnapshot(Struct, frozen=True):
    """One node's files by name (see NODE_FILES); a file that was not taken is absent from `files`.

    `errors` maps a file to why its dump could not be taken (the tool's exit code and stderr).
    """

    name: str
    files: Mapping[str, str]
    errors: Mapping[str, str] = {}

    def json(self, name: str, kind: type) -> Any:
        """An optional JSON file, None when it is absent; raises LabError for one that can't be used."""
        if name not in self.files:
            return None
        try:
            value = json.loads(self.files[name])
        except (ValueError, RecursionError) as error:
            raise LabError(f"not JSON: {error}", where=name) from error
        if not isinstance(value, kind):
            raise LabError(f"not a JSON {kind.__name__}", where=name)
        return value


class Snapshot(Struct, frozen=True, dict=True):
    """The folder of the snapshot contract, read whole.

    `cluster` is the v1 List of services, endpointslices, nodes, servicecidrs (and pods) of all namespaces;
    `meta` is snapshot.json (schema, lab, provider, kubernetes, mode, time, tool versions), {} when absent.
    """

    cluster: Mapping[str, Any]
    nodes: tuple[NodeSnapshot, ...]
    meta: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        """Raise LabError if `cluster` is no such List."""
        check_cluster(self.cluster)

    @cached_property
    def state(self) -> ClusterState:
        """What the dataplane needs of `cluster`, read once; raises LabError where it has no items."""
        from kubewire.dataplane.core.cluster import ClusterState

        return ClusterState.from_list(self.cluster)
