"""A packet's path from start to end, hook by hook and node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from kubewire.core.errors import LabError
from kubewire.dataplane.core.facts import LOCALNET
from kubewire.dataplane.core.localhost import Listener
from kubewire.dataplane.core.packet import SURE, Address, NotModelled, Packet
from kubewire.dataplane.core.routing import LOOPBACK, Routing
from kubewire.dataplane.trace.hooks import SOURCE_HOOKS, Base, Rules, in_order
from kubewire.dataplane.trace.walk import Budget, Path, Step, Visited, Walker

_BALANCED = {"INPUT": 98, "OUTPUT": -98}
"""The priority at which IPVS takes packets (ip_vs_ops4 in net/netfilter/ipvs/ip_vs_core.c)."""
Servers = Mapping[tuple[str, Address, int], tuple[tuple[Address, int, int], ...]]
"""Virtual servers by protocol, address and port; each with its real servers' addresses, ports, weights."""


@dataclass(frozen=True)
class NodeView:
    """One node as it was observed. The sysctls and `listeners` are None where the
    snapshot doesn't have them.

    `rules` gives what each tool shows, nft first; it raises LabError for a dump that can't be used. `strict`:
    a rule that can't be evaluated ends a path; otherwise it counts as one that doesn't match. `servers` gives
    IPVS's, none where it does nothing; `listeners` are the node's sockets.
    """

    name: str
    routing: Routing
    rules: Callable[[], tuple[Rules, ...]]
    forwards: bool | None = None
    route_localnet: bool | None = None
    strict: bool = True
    servers: Callable[[], Servers] = dict
    listeners: tuple[Listener, ...] | None = None


@dataclass(frozen=True)
class Network:
    """The nodes of a snapshot by name, and by address each pod's name and node.

    All that is followed shares the `budget`; without one each packet has its own at each base chain.
    """

    nodes: Mapping[str, NodeView]
    pods: Mapping[Address, tuple[str, str]] = field(default_factory=dict)
    budget: Budget | None = None

    def send(self, node: str, packet: Packet, *, nft_first: bool = True) -> list[Path]:
        """All paths of a packet that a process on a node sends.

        `nft_first`: of chains of equal priority nft's run before iptables'.
        """
        return _Visit(self, self.nodes[node], nft_first).send(Path(SURE, packet))

    def arrive(self, node: str, packet: Packet, *, nft_first: bool = True) -> list[Path]:
        """All paths of a packet that comes into a node by its `in_interface`."""
        return _Visit(self, self.nodes[node], nft_first).arrive(Path(SURE, packet))

    def node_with(self, address: Address) -> NodeView | None:
        """The node that has the address on one of its interfaces other than lo."""
        found = ((node, node.routing.device_of(address)) for node in self.nodes.values())
        return next((node for node, device in found if device and device != LOOPBACK), None)


@dataclass(frozen=True)
class _Visit:
    """What happens to a packet on one node; `before` are the visits that led here, as node and packet."""

    network: Network
    view: NodeView
    nft_first: bool
    before: tuple[tuple[str, Packet], ...] = ()

    def send(self, path: Path) -> list[Path]:
        return _each(self._route(path), lambda p: _each(self._hook("OUTPUT", p), self._post))

    def arrive(self, path: Path) -> list[Path]:
        packet = path.packet
        if packet.destination.is_loopback and packet.in_interface != LOOPBACK:
            path = self._localnet(path, f"{packet.destination} came in by {packet.in_interface}")
        after = _each([path], lambda p: self._hook("PREROUTING", p))
        return _each(_each(after, self._route), self._deliver_or_forward)

    def _deliver_or_forward(self, path: Path) -> list[Path]:
        if path.packet.out_interface == LOOPBACK:
            path = replace(path, packet=replace(path.packet, out_interface=""))
            return _each(self._hook("INPUT", path), self._deliver)
        if self.view.forwards is False:
            return [path.end("dropped", f"{self.view.name} does not forward packets", self.view.name)]
        return _each(self._hook("FORWARD", path), self._post)

    def _deliver(self, path: Path) -> list[Path]:
        packet, name = path.packet, self.view.name
        known = packet.protocol in ("tcp", "udp") and self.view.strict
        if self.view.listeners is None or not known:
            return [path.end("delivered", f"a process on {name}, if one listens on {packet.to}", name)]
        address = str(packet.destination)
        found = (e for e in self.view.listeners if e.takes(packet.protocol, address, packet.port))
        listener = next(found, None)
        if listener is None:
            return [path.end("rejected", f"no process on {name} listens on {packet.to}", name)]
        return [path.end("delivered", f"{listener.owner} on {name}, which listens on {packet.to}", name)]

    def _post(self, path: Path) -> list[Path]:
        packet = path.packet
        out = packet.out_interface
        if packet.source.is_loopback and packet.source.version == 4 and out != LOOPBACK:
            path = self._localnet(path, f"{packet.source} would leave by {out}")
        return _each(_each([path], lambda p: self._hook("POSTROUTING", p)), self._leave)

    def _leave(self, path: Path) -> list[Path]:
        """Back in through lo, to a pod, to the next node, or out of sight."""
        packet, name = path.packet, self.view.name
        if packet.out_interface == LOOPBACK:
            back = replace(path, packet=replace(packet, in_interface=LOOPBACK, out_interface=""))
            return self.arrive(back)
        route = self.view.routing.lookup(packet.destination)
        hop = packet.destination if route is None else route.next_hop(packet.destination)
        pod, home = self.network.pods.get(packet.destination, ("", ""))
        if home == name and hop == packet.destination:
            return [path.end("delivered", f"pod {pod} on {name}", name)]
        following = self.network.node_with(hop)
        if following is None:
            lost = f", though pod {pod} lives on {home}" if pod else ""
            return [path.end("left", f"{name} by {packet.out_interface} to {hop}{lost}", name)]
        came = Packet(packet.source, packet.destination, packet.protocol, packet.port)
        here = (name, came)
        if here in self.before:
            way = " → ".join([*(node for node, _ in self.before), name])
            return [path.end("unreachable", f"it goes round in a circle: {way}", name)]
        entering = replace(came, in_interface=following.routing.device_of(hop))
        try:
            following.rules()
        except LabError as error:
            return [path.end("refused", str(error), following.name)]
        visit = _Visit(self.network, following, self.nft_first, (*self.before, here))
        return visit.arrive(replace(path, packet=entering))

    def _hook(self, hook: str, path: Path) -> list[Path]:
        """Through all base chains of a hook. A process's packet of a new destination is routed again, which
        the later chains of OUTPUT don't see: they get the device of the hook's begin (nf_hook_state).
        """
        paths = [replace(path, hooks=(*path.hooks, Visited(self.view.name, hook, path.packet)))]
        tools = self.view.rules()
        balanced = _BALANCED.get(hook) if self.view.servers() else None
        for base in in_order(tools if self.nft_first else tools[::-1], hook):
            if balanced is not None and base.priority > balanced:
                balanced, paths = None, _each(paths, self._balance)
            paths = _each(paths, partial(self._through, base))
        if balanced is not None:
            paths = _each(paths, self._balance)
        if hook == "FORWARD":
            return paths
        if hook in SOURCE_HOOKS:
            return [replace(p, packet=replace(p.packet, source_set=True)) for p in paths]
        paths = [replace(p, packet=replace(p.packet, destination_set=True)) for p in paths]
        if hook != "OUTPUT":
            return paths
        first = path.packet.destination
        return _each(paths, lambda p: [p] if p.packet.destination == first else self._route(p))

    def _balance(self, path: Path) -> list[Path]:
        """IPVS picks a real server; what then leaves this host or goes to a pod comes into OUTPUT again.

        Source: ip_vs_nat_xmit in net/netfilter/ipvs/ip_vs_xmit.c.
        """
        packet = path.packet
        reals = self.view.servers().get((packet.protocol, packet.destination, packet.port))
        if reals is None:
            return [path]
        total = sum(weight for _, _, weight in reals)
        if not total:
            return [path.end("rejected", f"virtual server {packet.to} has no real server", self.view.name)]
        paths = []
        for address, port, weight in reals:
            to = packet.translated(address, port)
            step = Step(
                self.view.name, "ipvs", f"virtual server {packet.to}", f"destination {packet.to} → {to.to}"
            )
            chosen = replace(path.then(step, to), chance=path.chance * weight / total)
            if self.view.routing.is_local(address):
                paths.append(chosen)
                continue
            sent = replace(chosen, packet=replace(to, in_interface=""))
            paths += _each(_each(self._route(sent), lambda p: self._hook("OUTPUT", p)), self._post)
        return paths

    def _through(self, base: Base, path: Path) -> list[Path]:
        budget = self.network.budget or Budget()
        return Walker(self.view.name, self.view.routing, self.view.strict, budget).through(base, path)

    def _route(self, path: Path) -> list[Path]:
        """The routing decision: `out_interface` is set, lo for what is for this node."""
        name, destination = self.view.name, path.packet.destination
        try:
            route = self.view.routing.lookup(destination)
        except NotModelled as error:
            return [path.end("refused", str(error), name)]
        if route is None:
            return [path.end("unreachable", f"{name} has no route to {destination}", name)]
        path = path.then(Step(name, "route", route.text), replace(path.packet, out_interface=route.device))
        if route.kind in ("unicast", "local"):
            return [path]
        return [path.end("dropped" if route.kind == "blackhole" else "rejected", route.text, name)]

    def _localnet(self, path: Path, what: str) -> Path:
        """Loopback addresses stay on lo unless route_localnet is set."""
        if self.view.route_localnet is False:
            return path.end("dropped", f"{what}, and {LOCALNET} is 0", self.view.name)
        if self.view.route_localnet is None:
            return path.then(Step(self.view.name, "kernel", f"{LOCALNET} is not known", "taken as 1"))
        return path


def _each(paths: list[Path], go_on: Callable[[Path], list[Path]]) -> list[Path]:
    """Go on with the paths that have not ended."""
    return [after for path in paths for after in ([path] if path.outcome else go_on(path))]
