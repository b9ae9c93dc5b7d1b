"""Each node's network as the sandbox set it up: declare it, compare it, and repair differences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kubewire.dataplane.core.iproute import local_addresses
from kubewire.dataplane.node_network import NodeNetwork
from kubewire.providers import masquerade, node_network
from kubewire.providers.base import Change
from kubewire.providers.netns import entry, topology
from kubewire.providers.netns.agent_config import POD_NETWORK
from kubewire.providers.netns.plan import NODE_SYSCTLS
from kubewire.providers.node_network import Mend, Seen

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab
    from kubewire.providers.netns.state import SandboxState

BRIDGE = "br0"


def declared(lab: Lab) -> dict[str, NodeNetwork]:
    """By node, what the sandbox and the node agent write into its network namespace."""
    return {
        node.name: NodeNetwork(
            links=("lo", "eth0"),
            addresses={"eth0": tuple(map(str, node.interfaces))},
            routes=(
                *(f"{interface.network} dev eth0" for interface in node.interfaces),
                *(f"default via {gateway.ip}" for gateway in topology.gateways(lab)),
            ),
            sysctls=NODE_SYSCTLS,
            masquerade=masquerade.declared(map(str, lab.pod_subnet)),
            pod_gateways=True,
            port_network=POD_NETWORK,
        )
        for node in topology.nodes(lab)
    }


def hint(lab: Lab, state: SandboxState, only: str = "", *, check: bool = False) -> list[Change]:
    """Restore every node's (or `only` one's) links, addresses, routes to the nodes' network and out of it,
    sysctls and chain policies, and before all nodes' the bridge; with `check` only name the differences.
    """
    outside = entry.sandbox_prefix(state)
    bridge = [] if only else bridge_mends(lab, node_network.links(outside, lab.name))
    changes = node_network.carry_out(bridge, outside, lab.name, check=check)
    for index, (name, wanted) in enumerate(declared(lab).items()):
        if only not in ("", name):
            continue
        prefix = entry.node_prefix(state, name)
        calls = mends(index, name, wanted, node_network.look(prefix, name, wanted))
        changes += node_network.carry_out(calls, prefix, name, outside=outside, check=check)
    return changes


def bridge_mends(lab: Lab, links: Mapping[str, Mapping[str, Any]]) -> list[Mend]:
    """The calls, in order, that restore the bridge, its addresses, and its nodes' ends on it, from the
    sandbox's own links by name, as `ip -j address` prints them. A missing end is made with its node's eth0.
    """
    bridge = links.get(BRIDGE)
    there = {f"{a['local']}/{a['prefixlen']}" for a in local_addresses(bridge or {})}
    calls = []
    if not bridge:
        calls.append(Mend(("ip", "link", "add", BRIDGE, "type", "bridge"), f"bridge {BRIDGE} made again"))
    for gateway in map(str, topology.gateways(lab)):
        if gateway not in there:
            nodad = ("nodad",) if ":" in gateway else ()
            add = ("ip", "address", "replace", gateway, "dev", BRIDGE, *nodad)
            calls.append(Mend(add, f"address {gateway} put back on {BRIDGE}"))
    for index, _ in enumerate(topology.nodes(lab)):
        end = links.get(f"veth-{index}")
        if end and (end.get("master") != BRIDGE or "UP" not in end["flags"]):
            calls.append(Mend(_on_bridge(index), f"link veth-{index} put back on {BRIDGE}"))
    if not bridge or "UP" not in bridge["flags"]:
        text = f"bridge {BRIDGE} set up again" if bridge else ""
        calls.append(Mend(("ip", "link", "set", BRIDGE, "up"), text))
    return calls


def mends(index: int, name: str, wanted: NodeNetwork, seen: Seen) -> list[Mend]:
    """The calls, in order, that restore the lab's `index`-th node to what the sandbox set up. As there, one
    end of a new link is on the bridge, and the other is the node's eth0.
    """
    link = f"veth-{index}"
    add = ("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
    new = (Mend(add, "link eth0 made again", outside=True), Mend(_on_bridge(index), outside=True))
    return node_network.mends(wanted, seen, new)


def _on_bridge(index: int) -> tuple[str, ...]:
    return ("ip", "link", "set", f"veth-{index}", "master", BRIDGE, "up")
