"""Expected and observed dataplanes of a node: the engine as a library.

Pure functions of text and plain objects, without I/O. Addresses, ports and rules are the strings that the
tools print; times are seconds, marks integers. Errors are `kubewire.core.errors.LabError` (an
input can't be read) and `DefinitionError` (the call is invalid); both have `what`, `where` and `hint`.

| name | what it is |
|---|---|
| `ClusterState.from_list` | Services, EndpointSlices, Nodes, ServiceCIDRs from a v1 List |
| `ProxyConfig.from_mapping` | a KubeProxyConfiguration, with kube-proxy's own defaults |
| `NodeFacts.build` | a Node, its addresses and the kernel's settings that rules depend on |
| `Version.parse` | the kube-proxy's version: rules differ from patch to patch |
| `expected_iptables`, `expected_ipvs`, `expected_nftables` | a family's expected `Dataplane` |
| `parse_iptables_save`, `parse_nft_json`, `parse_ipset_save`, `parse_ipvsadm_save` | the observed one |
| `check_snapshot` | a whole `Snapshot`: one `Check` for each statement, `Note`s for the rest |
| `explain_service` | a Service's path on a node, each object with its reason |

Sources upstream: pkg/proxy/{iptables,ipvs,nftables}/proxier.go of kubernetes/kubernetes; every expected
object's `Origin` names its own. `docs/library.md` has an example.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubewire.dataplane.check import check_snapshot as check_snapshot
    from kubewire.dataplane.core.cluster import ClusterState as ClusterState
    from kubewire.dataplane.core.config import ProxyConfig as ProxyConfig
    from kubewire.dataplane.core.facts import NodeFacts as NodeFacts
    from kubewire.dataplane.core.features import Version as Version
    from kubewire.dataplane.core.findings import Check as Check
    from kubewire.dataplane.core.findings import Note as Note
    from kubewire.dataplane.core.model import Dataplane as Dataplane
    from kubewire.dataplane.core.model import Origin as Origin
    from kubewire.dataplane.core.snapshot import NodeSnapshot as NodeSnapshot
    from kubewire.dataplane.core.snapshot import Snapshot as Snapshot
    from kubewire.dataplane.explain_service import explain_service as explain_service
    from kubewire.dataplane.iptables.expected import expected_iptables as expected_iptables
    from kubewire.dataplane.iptables.observed import parse_iptables_save as parse_iptables_save
    from kubewire.dataplane.ipvs.expected import expected_ipvs as expected_ipvs
    from kubewire.dataplane.ipvs.ipset import parse_ipset_save as parse_ipset_save
    from kubewire.dataplane.ipvs.ipvsadm import parse_ipvsadm_save as parse_ipvsadm_save
    from kubewire.dataplane.nftables.expected import expected_nftables as expected_nftables
    from kubewire.dataplane.nftables.observed import parse_nft_json as parse_nft_json

_MODULES = {
    "Check": "core.findings",
    "ClusterState": "core.cluster",
    "Dataplane": "core.model",
    "NodeFacts": "core.facts",
    "NodeSnapshot": "core.snapshot",
    "Note": "core.findings",
    "Origin": "core.model",
    "ProxyConfig": "core.config",
    "Snapshot": "core.snapshot",
    "Version": "core.features",
    "expected_iptables": "iptables.expected",
    "expected_ipvs": "ipvs.expected",
    "expected_nftables": "nftables.expected",
    "explain_service": "explain_service",
    "check_snapshot": "check",
    "parse_ipset_save": "ipvs.ipset",
    "parse_iptables_save": "iptables.observed",
    "parse_ipvsadm_save": "ipvs.ipvsadm",
    "parse_nft_json": "nftables.observed",
}
__all__ = [*_MODULES]  # noqa: PLE0604 - the names


def __getattr__(name: str) -> Any:
    """Load modules on demand: a command waits only for the parts that it needs."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
