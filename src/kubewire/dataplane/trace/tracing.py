"""A packet traced through the dataplane of a snapshot: pure; what can't be evaluated ends a path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from kubewire.core.errors import DefinitionError, LabError
from kubewire.dataplane.core.connections import bound
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.objects import with_port
from kubewire.dataplane.core.packet import OUTSIDE, Address, Packet
from kubewire.dataplane.core.pods import Pod, find_node, find_pod, read_pods
from kubewire.dataplane.core.routing import LOOPBACK
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.core.translate import address_and_port
from kubewire.dataplane.trace.journey import Network
from kubewire.dataplane.trace.later_packets import with_replies
from kubewire.dataplane.trace.observe import view_of
from kubewire.dataplane.trace.walk import Path, Step

PROTOCOLS = ("tcp", "udp", "sctp")
_SOCKETS, _UNREAD = 3, 5
_TIES = (
    "iptables and nft chains of equal priority disagree here: the kernel runs first what was registered "
    "last, which a snapshot does not tell; this trace runs nft first"
)


@dataclass(frozen=True, slots=True)
class Target:
    """Where the client wants to go."""

    address: Address
    port: int
    protocol: str

    @property
    def family(self) -> IpFamily:
        return "ipv6" if self.address.version == 6 else "ipv4"


@dataclass(frozen=True, slots=True)
class Start:
    """A client: `who` in words, the node that gets its packet first, and by which interface.

    `interface` "" means that a process on the node itself sends it.
    """

    who: str
    node: str
    address: Address
    interface: str = ""


@dataclass(frozen=True, slots=True)
class Trace:
    """All paths of one packet; their chances add up to 1. `remarks` name what the snapshot doesn't show."""

    start: Start
    target: Target
    paths: tuple[Path, ...]
    remarks: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether some path depends on something that a trace does not model."""
        return any(path.outcome is not None and path.outcome.fate == "refused" for path in self.paths)


def trace(snapshot: Snapshot, source: str, target: str, node: str = "") -> Trace:
    """Trace the first packet of a new connection, and the reply to it where it arrives.

    `source` is `pod/[NAMESPACE/]NAME`, `node/NAME`, `external` or `external/ADDRESS`; `target` is
    `ADDRESS:PORT[/PROTOCOL]`; `node` is where a packet from outside comes in, by default the node that has
    the target's address, else the last one. Raises DefinitionError for an invalid call and
    LabError where a dump that is needed is missing or incomplete.
    """
    goal = parse_target(target)
    pods = [
        pod
        for pod in read_pods(snapshot.cluster)
        if pod.addresses and pod.node and pod.phase not in ("Succeeded", "Failed")
    ]
    pods.sort(key=lambda pod: pod.name)
    network = network_of(snapshot, pods, goal.family)
    start = find_start(network, pods, source, goal, node)
    found, steps = trace_from(network, start, goal), tuple(_bound(snapshot, start, goal))
    return replace(found, paths=tuple(replace(path, steps=(*steps, *path.steps)) for path in found.paths))


def _bound(snapshot: Snapshot, start: Start, target: Target) -> Iterator[Step]:
    """What conntrack has decided for the client's sockets already: only a new one meets the rules."""
    to = (str(target.address), target.port)
    if target.protocol == "tcp":
        return
    found = bound(snapshot, start.node, target.protocol, str(start.address), to)
    for entry in found[:_SOCKETS]:
        where = "that address itself, untranslated," if entry.target == to else with_port(*entry.target)
        text = (
            f"a client socket (port {entry.client[1]}) is bound to {where} by conntrack for {entry.seconds} s"
        )
        yield Step(start.node, "conntrack", text, "its packets go there, whatever the rules say")
    if len(found) > _SOCKETS:
        yield Step(start.node, "conntrack", f"and {len(found) - _SOCKETS} more sockets of this client")


def trace_from(network: Network, start: Start, target: Target) -> Trace:
    """The same for a client that need not be in the cluster's objects; a network serves many traces."""
    view = network.nodes[start.node]
    packet = Packet(start.address, target.address, target.protocol, target.port, start.interface)
    paths, other = (
        network.arrive(start.node, packet, nft_first=first)
        if start.interface
        else network.send(start.node, packet, nft_first=first)
        for first in (True, len(view.rules()) < 2)
    )
    same = [(p.chance, p.outcome) for p in other] == [(p.chance, p.outcome) for p in paths]
    answered = tuple(after for path in paths for after in with_replies(network, path))
    nodes = dict.fromkeys((start.node, *(hook.node for path in paths for hook in path.hooks)))
    unread = [
        f"{node}: {each}, so packets may be dropped there"
        for node in nodes
        for rules in network.nodes[node].rules()
        for each in rules.unread
    ]
    return Trace(start, target, answered, (*(() if same else (_TIES,)), *unread[:_UNREAD]))


def parse_target(text: str) -> Target:
    """`10.96.0.1:443`, `[fd00::1]:53/udp`. Raises DefinitionError for anything else."""
    where, _, protocol = text.partition("/")
    try:
        address, port = address_and_port(where)
    except ValueError:
        port = None
    if port is None or (protocol or "tcp") not in PROTOCOLS:
        raise DefinitionError(
            f"--to {text}: not an address and port",
            hint="as: --to 10.96.0.1:443, --to 10.96.0.10:53/udp, --to [fd00:10:96::1]:443",
        )
    return Target(address, port, protocol or "tcp")


def find_start(network: Network, pods: Sequence[Pod], source: str, target: Target, node: str) -> Start:
    """The client that `source` names. Raises DefinitionError, or LabError where the snapshot lacks it."""
    kind, _, name = source.partition("/")
    if kind == "external":
        return _outside(network, name, target, find_node(node, network.nodes) if node else "")
    if node:
        raise DefinitionError("--node is for --from external only", hint="a pod and a node say it themselves")
    if kind == "node" and name:
        return _on_node(network, find_node(name, network.nodes), target)
    if kind == "pod" and name:
        pod = find_pod(name, pods)
        if pod.node not in network.nodes:
            raise LabError(f"pod {pod.name} is on a node that this snapshot lacks", where=pod.node)
        return _on_node(network, pod.node, target, pod.name) if pod.host else _pod(network, pod, target)
    raise DefinitionError(
        f"--from {source}: not a client", hint="as: pod/httpbin, node/worker, external, external/198.51.100.7"
    )


def _outside(network: Network, address: str, target: Target, node: str) -> Start:
    try:
        client = ip_address(address or OUTSIDE[target.family])
    except ValueError as error:
        raise DefinitionError(f"--from external/{address}: {error}") from error
    _same_family(client, target)
    owner = network.node_with(target.address)
    view = network.nodes[node or (owner.name if owner else list(network.nodes)[-1])]
    route = view.routing.lookup(client)
    device = route.device if route else ""
    if device in ("", LOOPBACK):
        others = [e.device for e in view.routing.addresses if e.device != LOOPBACK]
        if not others:
            raise LabError("it has no interface to come in by", where=view.name)
        device = others[0]
    return Start("a client outside", view.name, client, device)


def _on_node(network: Network, node: str, target: Target, pod: str = "") -> Start:
    routing = network.nodes[node].routing
    route = routing.lookup(target.address)
    address = routing.source_for(target.address, route) if route else None
    own = (e.address for e in routing.addresses if e.interface.version == target.address.version)
    address = address or next(own, None)
    if address is None:
        raise LabError(f"it has no {target.family} address", where=node)
    return Start(f"pod {pod}, in the node's network" if pod else "a process on the node", node, address)


def _pod(network: Network, pod: Pod, target: Target) -> Start:
    address = next((a for a in pod.addresses if a.version == target.address.version), None)
    if address is None:
        raise DefinitionError(f"pod {pod.name} has no {target.family} address, as {target.address} has")
    route = network.nodes[pod.node].routing.lookup(address)
    if route is None or route.gateway is not None or route.kind != "unicast":
        raise LabError(
            f"there is no route to pod {pod.name} ({address}), so its interface is not known", where=pod.node
        )
    return Start(f"pod {pod.name}", pod.node, address, route.device)


def _same_family(client: Address, target: Target) -> None:
    if client.version != target.address.version:
        raise DefinitionError(f"{client} and {target.address} are of different address families")


def network_of(snapshot: Snapshot, pods: Sequence[Pod], family: IpFamily) -> Network:
    """A snapshot's nodes and those pods that have addresses of their own.

    Raises LabError for a node whose addresses or routes are missing.
    """
    views = {node.name: view_of(node, family) for node in snapshot.nodes}
    own = (pod for pod in pods if not pod.host)
    return Network(views, {address: (pod.name, pod.node) for pod in own for address in pod.addresses})
