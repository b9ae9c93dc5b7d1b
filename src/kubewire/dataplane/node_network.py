"""What a lab's provider set up in its nodes' network namespaces beside kube-proxy, and checking it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from kubewire.core.errors import LabError
from kubewire.core.serialization import decode
from kubewire.dataplane import host_ports
from kubewire.dataplane.core.findings import FAMILIES, Check, IpFamily, Place
from kubewire.dataplane.core.iproute import ADDRESSES, ROUTES, WRONG, local_addresses
from kubewire.dataplane.core.pods import Pod, read_pods
from kubewire.dataplane.core.snapshot import IPTABLES_FILES, NODE_NETWORK, NodeSnapshot, Snapshot
from kubewire.dataplane.iptables import names

if TYPE_CHECKING:
    from kubewire.dataplane.core.packet import Address

PREFIX = "node."
DECLARED, LINK, ADDRESS, ROUTE, SYSCTL, MASQUERADE, HOST_PORT = (
    f"{PREFIX}{kind}" for kind in ("network", "link", "address", "route", "sysctl", "masquerade", "host-port")
)
_COUNTERS = re.compile(r"^\[\d+:\d+\] ", re.MULTILINE)
_WHY = "the lab's provider set it up so; `kubewire up` puts it back"


def nat_lines(saved: str) -> list[str]:
    """The lines of the table nat in iptables-save's output, without counters."""
    _, _, rest = _COUNTERS.sub("", f"\n{saved}").partition("\n*nat\n")
    return [line.rstrip() for line in rest.partition("\nCOMMIT")[0].splitlines()]


class Masquerade(Struct, frozen=True):
    """A chain of the table nat: exactly these rules, and one `jump` to it, as iptables-save prints them."""

    family: IpFamily
    chain: str
    rules: tuple[str, ...]
    jump: str

    def found(self, saved: str) -> tuple[tuple[str, ...], int]:
        """The chain's rules in iptables-save's output, and how many jumps to it there are."""
        lines = nat_lines(saved)
        return tuple(line for line in lines if line.startswith(f"-A {self.chain} ")), lines.count(self.jump)


class NodeNetwork(Struct, frozen=True):
    """What the provider wrote into one node's network namespace: node-network.json of a snapshot.

    `links` are up. `addresses` maps a link to its addresses with prefix length. `routes` are
    `CIDR via ADDRESS` or `CIDR dev LINK`, with `default` for the default route. `pod_gateways`: the host's
    end of each pod's veth pair has the first address of the node's pod CIDRs, as the CNI plugin ptp does it.
    `unknown`: why it isn't known what the pod network writes, so that `masquerade` and the gateways are left
    out. `port_network`: the CNI network in which the plugin portmap maps pods' host ports, with a pod's UID
    as the container's id; "" where that isn't known.
    """

    links: tuple[str, ...] = ()
    addresses: dict[str, tuple[str, ...]] = {}
    routes: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    masquerade: tuple[Masquerade, ...] = ()
    pod_gateways: bool = False
    unknown: str = ""
    port_network: str = ""


def check_node_networks(snapshot: Snapshot) -> list[Check]:
    """Each node against its node-network.json; nodes that no provider of ours made have none: one skipped
    check. A dump that is missing or not understood skips what it would show, with the reason.
    """
    if not any(NODE_NETWORK in node.files for node in snapshot.nodes):
        why = f"the snapshot has no {NODE_NETWORK}: it doesn't tell what a provider set up on the nodes"
        return [Place("", "", "").skip(DECLARED, NODE_NETWORK, why)]
    checks: list[Check] = []
    pods = [pod for pod in read_pods(snapshot.cluster) if pod.networked]
    for node in snapshot.nodes:
        here = [pod for pod in pods if pod.node == node.name]
        try:
            checks += list(_checks(snapshot, node, here))
        except WRONG as error:
            checks.append(Place("", node.name, "").skip(DECLARED, ADDRESSES, f"not understood: {error!r}"))
    return checks


def _checks(snapshot: Snapshot, node: NodeSnapshot, pods: Sequence[Pod]) -> Iterator[Check]:
    """`pods` are those on that node that have a network of their own."""
    place, cidrs = Place("", node.name, ""), _pod_cidrs(snapshot, node.name)
    try:
        declared = decode(node.files[NODE_NETWORK].encode(), NodeNetwork)
    except KeyError:
        yield place.skip(DECLARED, NODE_NETWORK, f"the node has no {NODE_NETWORK}")
        return
    except (ValueError, RecursionError) as error:
        yield place.skip(DECLARED, NODE_NETWORK, f"not understood: {error}")
        return
    links, routes = _entries(node, ADDRESSES), _entries(node, ROUTES)
    if links is None:
        yield place.skip(LINK, ADDRESSES, _missing(node, ADDRESSES))
    else:
        yield from _links(place, declared, links)
    if routes is None:
        yield place.skip(ROUTE, ROUTES, _missing(node, ROUTES))
    else:
        seen = {text for route in routes for text in route_texts(route)}
        for wanted in declared.routes:
            found = "\n".join(sorted(text for text in seen if text.split(" ")[0] == wanted.split(" ")[0]))
            actual = wanted if wanted in seen else found or "(no such route)"
            yield Place("", node.name, _family(wanted)).check(ROUTE, wanted, _WHY, wanted, actual)
    if declared.pod_gateways and links is not None and routes is not None:
        yield from _gateways(place, pods, cidrs, links, routes)
    yield from _sysctls(place, declared, node)
    for masquerade in declared.masquerade:
        yield from _masquerade(node, masquerade)
    if declared.port_network:
        yield from _host_ports(node, pods, cidrs, declared.port_network)
    if declared.unknown:
        yield place.skip(DECLARED, "pod network", declared.unknown)


def _entries(node: NodeSnapshot, file: str) -> list[dict[str, Any]] | None:
    """The objects of an `ip -j` dump, None where there is no such dump."""
    try:
        found = node.json(file, list)
    except LabError:
        return None
    return None if found is None else [entry for entry in found if isinstance(entry, dict) and entry]


def _missing(node: NodeSnapshot, file: str) -> str:
    return node.errors.get(file) or f"the snapshot has no {file} that can be read"


def _links(place: Place, declared: NodeNetwork, links: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    by_name = {str(link.get("ifname")): link for link in links}
    for name in declared.links:
        link = by_name.get(name)
        state = "is up" if "UP" in (link or {}).get("flags", ()) else "is down"
        actual = f"{name} {state}" if link else f"there is no link {name}"
        yield place.check(LINK, name, _WHY, f"{name} is up", actual)
    for name, wanted in declared.addresses.items():
        yield from _on_link(place, name, wanted, by_name.get(name, {}), _WHY)


def _on_link(
    place: Place, name: str, wanted: Iterable[str], link: Mapping[str, Any], why: str
) -> Iterator[Check]:
    there = [f"{info['local']}/{info.get('prefixlen')}" for info in local_addresses(link)]
    for address in wanted:
        actual = address if address in there else "\n".join(there) or "(no address)"
        yield Place("", place.node, _family(address)).check(
            ADDRESS, f"{address} dev {name}", why, address, actual
        )


def _gateways(
    place: Place,
    pods: Iterable[Pod],
    cidrs: Iterable[str],
    links: Sequence[Mapping[str, Any]],
    routes: Sequence[Mapping[str, Any]],
) -> Iterator[Check]:
    """Of the links that a local pod's host route leads to; a route that is missing has a check of its own."""
    by_name = {str(link.get("ifname")): link for link in links}
    devices = {str(route.get("dst")): str(route.get("dev")) for route in routes}
    gateways = [ip_network(cidr)[1] for cidr in cidrs]
    for pod in pods:
        for ip in pod.addresses:
            link = devices.get(str(ip), "")
            if link.startswith("veth") and link in by_name:
                wanted = [f"{g}/{g.max_prefixlen}" for g in gateways if g.version == ip_network(ip).version]
                why = f"it is the gateway of {pod.name} (the CNI plugin ptp); `kubewire up` puts it back"
                yield from _on_link(place, link, wanted, by_name[link], why)


def _pod_cidrs(snapshot: Snapshot, node: str) -> Sequence[str]:
    return next((each.pod_cidrs for each in snapshot.state.nodes if each.name == node), ())


def _host_ports(
    node: NodeSnapshot, pods: Iterable[Pod], cidrs: Sequence[str], network: str
) -> Iterator[Check]:
    why = "portmap of the CNI plugins writes so for the pod's hostPort; `kubewire up` puts it back"
    for pod in pods:
        for ip, cidr in pod_addresses(pod, cidrs):
            wanted = host_ports.rules(network, pod, ip, cidr)
            family = FAMILIES[ip.version == 6]
            saved = node.files.get(IPTABLES_FILES[family])
            if not wanted:
                continue
            place, label = Place("", node.name, family), f"{names.tool(family)} nat: host ports of {pod.name}"
            if saved is None:
                yield place.skip(HOST_PORT, label, _missing(node, IPTABLES_FILES[family]))
            else:
                there = host_ports.found(wanted, nat_lines(saved))
                expected, actual = "\n".join(wanted), "\n".join(there) or "(no rule)"
                yield place.check(HOST_PORT, label, why, expected, actual)


def pod_addresses(pod: Pod, cidrs: Iterable[str]) -> Iterator[tuple[Address, str]]:
    """Each address with the one of its node's pod CIDRs that has it."""
    for ip in pod.addresses:
        yield from ((ip, cidr) for cidr in cidrs if ip in ip_network(cidr))


def route_texts(route: Mapping[str, Any]) -> Iterator[str]:
    """A route of `ip -j route` as `NodeNetwork.routes` has it."""
    if route.get("type", "unicast") == "unicast":
        yield (
            f"{route.get('dst')} via {route['gateway']}"
            if "gateway" in route
            else (f"{route.get('dst')} dev {route.get('dev')}")
        )


def _sysctls(place: Place, declared: NodeNetwork, node: NodeSnapshot) -> Iterator[Check]:
    try:
        facts = node.json("facts.json", dict) or {}
    except LabError:
        facts = {}
    found = facts.get("sysctls")
    found = found if isinstance(found, dict) else {}
    unknown = []
    for name, wanted in declared.sysctls.items():
        if name in found:
            value = str(found[name])[:64]
            yield place.check(SYSCTL, name, _WHY, f"{name} = {wanted}", f"{name} = {value}")
        elif not (facts.get("ipv6") == "absent" and name.startswith("net.ipv6.")):
            unknown.append(name)
    if unknown:
        yield place.skip(SYSCTL, "facts.json", f"facts.json does not tell {', '.join(unknown)}")


def _masquerade(node: NodeSnapshot, wanted: Masquerade) -> Iterator[Check]:
    place, tool = Place("", node.name, wanted.family), names.tool(wanted.family)
    label, file = f"{tool} nat {wanted.chain}", IPTABLES_FILES.get(wanted.family, "iptables-save.txt")
    saved = node.files.get(file)
    if saved is None or "'nat' is incompatible" in saved.replace("`", "'"):
        why = node.errors.get(file) or f"the snapshot has no {file} that shows the table nat"
        yield place.skip(MASQUERADE, label, why)
        return
    rules, jumps = wanted.found(saved)
    why = "what pods send out of the cluster leaves with the node's address (kindnetd masq.go); "
    why += "`kubewire up` puts it back"
    expected, actual = "\n".join(wanted.rules), "\n".join(rules) or "(no rule)"
    yield place.check(MASQUERADE, label, why, expected, actual)
    actual = "\n".join([wanted.jump] * jumps) or "(no such rule)"
    yield place.check(MASQUERADE, f"{tool} nat POSTROUTING -j {wanted.chain}", why, wanted.jump, actual)


def _family(text: str) -> IpFamily:
    return FAMILIES[":" in text]
