"""One node's configuration, version and facts from a snapshot, and the dataplane expected from them."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kubewire.core.errors import DefinitionError, LabError
from kubewire.dataplane.core.cluster import ClusterState
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.model import Dataplane
from kubewire.dataplane.core.registry import Mode
from kubewire.dataplane.core.snapshot import NodeSnapshot

Generator = Callable[[ClusterState, ProxyConfig, NodeFacts, Version, IpFamily], Dataplane]


class Inputs(Struct, frozen=True):
    """A node with everything that its rules depend on."""

    snapshot: NodeSnapshot
    config: ProxyConfig
    facts: NodeFacts
    version: Version


def expected_dataplane(node: Inputs, cluster: ClusterState, family: IpFamily) -> Dataplane:
    """What kube-proxy must have written on the node in its mode."""
    return _generator(node.config.mode)(cluster, node.config, node.facts, node.version, family)


def _generator(mode: Mode) -> Generator:
    """The mode's module; the other modes' modules are not loaded."""
    match mode:
        case "iptables":
            from kubewire.dataplane.iptables.expected import expected_iptables

            return expected_iptables
        case "nftables":
            from kubewire.dataplane.nftables.expected import expected_nftables

            return expected_nftables
        case "ipvs":
            from kubewire.dataplane.ipvs.expected import expected_ipvs

            return expected_ipvs


def read_inputs(node: NodeSnapshot, cluster: ClusterState) -> Inputs:
    """Read one node's files. Raises LabError naming the file that is missing or invalid."""
    files = node.files
    for name in ("kube-proxy.yaml", "kube-proxy-version"):
        if not files.get(name, "").strip():
            raise LabError(
                node.errors.get(name) or node.errors.get("node") or "the file is missing or empty", where=name
            )
    config = ProxyConfig.parse(files["kube-proxy.yaml"])
    name = config.hostname_override or node.name
    facts, addresses = node.json("facts.json", dict), node.json("ip-addr.json", list)
    try:
        built = NodeFacts.build(cluster.node(name), facts, addresses)
    except (TypeError, ValueError, AttributeError) as error:
        raise LabError(f"not as expected: {error}", where="facts.json, ip-addr.json") from error
    try:
        version = Version.parse(files["kube-proxy-version"]).gated(config.feature_gates)
    except DefinitionError as error:
        raise LabError(error.what, where="kube-proxy-version") from error
    return Inputs(node, config, built, version)
