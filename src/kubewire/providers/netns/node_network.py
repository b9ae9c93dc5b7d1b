"""Each node's network as the sandbox set it up: declare it, compare it, and repair differences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kubewire.dataplane.node_network import NodeNetwork
from kubewire.providers import masquerade, node_network
from kubewire.providers.base import Change
from kubewire.providers.netns import entry, topology
from kubewire.providers.netns.plan import NODE_SYSCTLS
from kubewire.providers.node_network import Mend, Seen

if TYPE_CHECKING:
    from kubewire.lab.schema import Lab
    from kubewire.providers.netns.state import SandboxState


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
        )
        for node in topology.nodes(lab)
    }


def hint(lab: Lab, state: SandboxState, only: str = "", *, check: bool = False) -> list[Change]:
    """Restore every node's (or `only` one's) links, addresses, routes to the nodes' network and out of it,
    sysctls and chain policies; with `check` only name the differences.
    """
    changes = []
    for index, (name, wanted) in enumerate(declared(lab).items()):
        if only not in ("", name):
            continue
        prefix = entry.node_prefix(state, name)
        for call in mends(index, name, wanted, node_network.look(prefix, name, wanted)):
            if not check:
                node_network.apply(entry.sandbox_prefix(state) if call.outside else prefix, name, call)
            if call.text:
                changes.append(Change(name, call.text))
    return changes


def mends(index: int, name: str, wanted: NodeNetwork, seen: Seen) -> list[Mend]:
    """The calls, in order, that restore the lab's `index`-th node to what the sandbox set up. As there, one
    end of a new link is on the bridge, and the other is the node's eth0.
    """
    link = f"veth-{index}"
    add = ("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
    on_bridge = ("ip", "link", "set", link, "master", "br0", "up")
    new = (Mend(add, "link eth0 made again", outside=True), Mend(on_bridge, outside=True))
    return node_network.mends(wanted, seen, new)
