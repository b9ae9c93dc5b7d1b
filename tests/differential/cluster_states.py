"""Hypothesis strategies for cluster states: every Service feature that leaves a trace in the dataplane.

A state maps a slot (a Service's fixed identity: name, addresses, node ports) to its API objects, the Service
first, then its EndpointSlices. Slots are few, so that one state changes the Services of the one before.
What upstream leaves open is not generated: two Services with one address and port, endpoints that two slices
describe differently.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

Object = dict[str, Any]
State = Mapping[int, Sequence[Object]]
IPV4, IPV6 = "IPv4", "IPv6"
NODES = ("node-a", "node-b", "node-c", "node-d")
NODE_IP = "172.20.0.11"  # node-b's, and an external IP of one Service
ZONES = ("zone-a", "zone-b")
ON_THE_NODE = 1  # the slot of a Service with an external IP that a node has
LARGE = 100  # the slot of a Service with more than 1000 endpoints

# Names that look like chains, flags, comments; names of the greatest lengths. The last one makes a printed
# name of more than 128 bytes, which nftables mode can't take before 1.37 (kubernetes PR 139516).
NAMES = (
    ("default", "httpbin"),
    ("default", "a"),
    ("default", "svc-j"),
    ("default", "kube-svc-freKB6wnwyjlkthc".lower()),
    ("kube-system", "kube-dns"),
    ("n" * 30, "x-" + "s" * 40),
    ("kube-mark-masq", "accept"),
    ("a-j-drop", "to-destination-10-0-0-1"),
    ("n" * 63, "s" * 63),
)
RANGES = (
    *("203.0.113.0/25", "203.0.113.128/25", "172.20.0.0/24", "10.0.0.0/8", "0.0.0.0/0"),
    *("2001:db8:1::/48", "fd00:20::/64", "::/0", "198.51.100.7/32", " 192.0.2.72/29 "),
)
# What kube-proxy selects Services and slices by.
LABELS: tuple[dict[str, str], ...] = (
    {"service.kubernetes.io/service-proxy-name": "another"},
    {"service.kubernetes.io/headless": ""},
)
TOPOLOGY = ("topology-mode", "topology-aware-hints")
PORT_NAMES = ("http", "p", "dns-tcp", "x" * 15, "j-accept", "0a")


class Limits(NamedTuple):
    """What some kube-proxy can't take, or a slow machine.

    `longest`: names beyond 128 bytes; `overlapping`: source ranges inside others; `portless`: slice ports
    without a number; `many`: more than three Services, and a thousand endpoints.
    """

    longest: bool = True
    overlapping: bool = True
    portless: bool = True
    many: bool = True

    @property
    def left_out(self) -> tuple[str, ...]:
        """The rows of the coverage table that the run does without."""
        ranges = ("overlapping source ranges", "a source range of all addresses")
        return (
            *(() if self.longest else ("the longest names",)),
            *(() if self.overlapping else ranges),
            *(() if self.portless else ("a slice port without number",)),
            *(() if self.many else ("more than 1000 endpoints", "changed: across 1000 endpoints")),
        )


class Port(NamedTuple):
    name: str
    protocol: str
    number: int
    node_port: int


@st.composite
def states(draw: DrawFn, limits: Limits) -> State:
    """Two to six Services, now and then a large one; or up to three."""
    slots = range(len(NAMES) if limits.longest else len(NAMES) - 1)
    fewest, most = (2, 6) if limits.many else (1, 3)
    chosen = draw(st.sets(st.sampled_from(slots), min_size=fewest, max_size=most))
    state = {slot: draw(service(slot, limits)) for slot in sorted(chosen)}
    return state | ({LARGE: draw(large())} if limits.many and draw(st.integers(0, 4)) == 3 else {})


@st.composite
def sequences(draw: DrawFn, limits: Limits) -> list[State]:
    """A state and up to two others, each with one Service of the former changed, added or gone.

    Two in a large cluster, where iptables mode leaves chains behind.
    """
    state = draw(states(limits))
    steps = [state]
    for _ in range(2 if LARGE in state else draw(st.integers(0, 2))):
        slot = draw(st.sampled_from(range(len(NAMES) - 1)))
        kept = {key: objects for key, objects in state.items() if key != slot}
        change = draw(st.sampled_from(("endpoints", "service", "remove")))
        if change == "endpoints" and slot in state:
            head = state[slot][0]
            kept[slot] = [head, *draw(slices(slot, ports_of(head), limits, hinted=draw(st.booleans())))]
        elif change != "remove":
            kept[slot] = draw(service(slot, limits))
        state = kept
        steps.append(state)
    return steps


def ports_of(item: Object) -> list[Port]:
    ports = item["spec"].get("ports", ())
    return [Port(p.get("name", ""), p["protocol"], p["port"], p.get("nodePort", 0)) for p in ports]


@st.composite
def ports(draw: DrawFn, slot: int) -> list[Port]:
    keys = draw(
        st.lists(
            st.tuples(st.sampled_from(("TCP", "UDP", "SCTP")), st.sampled_from((80, 53, 1, 443, 65535))),
            min_size=1,
            max_size=3,
            unique=True,
        )
    )
    named = len(keys) > 1 or draw(st.booleans())
    names = draw(st.permutations(PORT_NAMES)) if named else ("",)
    shared = len({number for _, number in keys}) == 1 < len(keys)
    base = 30000 + 10 * slot
    return [
        Port(names[index], protocol, number, base if shared else base + index)
        for index, (protocol, number) in enumerate(keys)
    ]


@st.composite
def service(draw: DrawFn, slot: int, limits: Limits) -> list[Object]:
    """A Service and its slices."""
    namespace, name = NAMES[slot]
    kind = draw(
        st.sampled_from(
            ("ClusterIP", "ClusterIP", "NodePort", "LoadBalancer", "LoadBalancer", "Headless", "ExternalName")
        )
    )
    item: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
    }
    spec: Object = {"type": "ClusterIP" if kind == "Headless" else kind}
    item["spec"] = spec
    chosen = draw(ports(slot))
    node_ports = kind == "NodePort" or (kind == "LoadBalancer" and draw(st.integers(0, 3)) > 0)
    spec["ports"] = [
        {"name": p.name, "protocol": p.protocol, "port": p.number}
        | ({"nodePort": p.node_port} if node_ports else {})
        for p in chosen
    ]
    if kind == "ExternalName":
        spec["externalName"] = "elsewhere.example"
    else:
        families = draw(st.sampled_from(([IPV4], [IPV4], [IPV6], [IPV4, IPV6], [IPV6, IPV4])))
        spec["ipFamilies"] = families
        spec["ipFamilyPolicy"] = "RequireDualStack" if len(families) == 2 else "SingleStack"
        own = {IPV4: f"10.96.9.{slot + 1}", IPV6: f"fd00:10:96::9{slot + 1:02x}"}
        spec["clusterIPs"] = ["None"] if kind == "Headless" else [own[family] for family in families]
        spec["clusterIP"] = spec["clusterIPs"][0]
        draw(policies(slot, kind, node_ports, item, limits))
        draw(metadata(item["metadata"]))
    return [item, *draw(slices(slot, chosen, limits, hinted=draw(st.booleans())))]


@st.composite
def policies(draw: DrawFn, slot: int, kind: str, node_ports: bool, item: Object, limits: Limits) -> None:
    """Everything that says which traffic a Service takes and where it goes; written into the Service."""
    spec = item["spec"]
    local = st.sampled_from(("Cluster", "Cluster", "Local"))
    spec["internalTrafficPolicy"] = draw(local)
    external = kind in ("NodePort", "LoadBalancer")
    if kind != "Headless" and draw(st.integers(0, 2)) == 0:
        third = NODE_IP if slot == ON_THE_NODE else f"198.51.100.{slot + 10}"
        pool = (f"192.0.2.{slot + 10}", f"2001:db8::{slot + 10:x}", third)
        spec["externalIPs"] = draw(st.lists(st.sampled_from(pool), min_size=1, max_size=3, unique=True))
        external = True
    if external:
        spec["externalTrafficPolicy"] = draw(local)
    if draw(st.integers(0, 2)) == 0:
        seconds = draw(st.sampled_from((1, 600, 10800, 86400)))
        spec["sessionAffinity"] = "ClientIP"
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": seconds}}
    distribution = draw(st.sampled_from((None, None, "PreferClose", "PreferSameZone", "PreferSameNode")))
    if distribution:
        spec["trafficDistribution"] = distribution
    if kind == "LoadBalancer":
        spec["allocateLoadBalancerNodePorts"] = node_ports
        if spec["externalTrafficPolicy"] == "Local":
            spec["healthCheckNodePort"] = 31500 + slot
        known = RANGES if limits.overlapping else [r for r in RANGES if not r.endswith("/0")]
        ranges = draw(st.lists(st.sampled_from(known), max_size=3, unique=True))
        if ranges:
            spec["loadBalancerSourceRanges"] = ranges
        entries: list[Object] = [{"ip": f"192.0.2.{slot + 100}"}, {"ip": f"192.0.2.{slot + 120}"}]
        entries += [{"ip": f"2001:db8::{slot + 100:x}"}, {"hostname": "lb.example"}]
        entries.append({"ip": f"192.0.2.{slot + 10}"})  # an external IP too
        chosen = draw(st.lists(st.sampled_from(entries), max_size=3, unique_by=str))
        modes = [draw(st.sampled_from((None, "VIP", "Proxy"))) for _ in chosen]
        item["status"] = {
            "loadBalancer": {
                "ingress": [
                    entry | ({"ipMode": mode} if mode and "ip" in entry else {})
                    for entry, mode in zip(chosen, modes, strict=True)
                ]
            }
        }


@st.composite
def metadata(draw: DrawFn, item: Object) -> None:
    """Annotations and labels that kube-proxy reads."""
    mode = draw(st.sampled_from(("Auto", "Disabled", "disabled", "")))
    keys = draw(st.sampled_from(((), (), ("topology-mode",), ("topology-aware-hints",), TOPOLOGY)))
    if keys:
        item["annotations"] = {f"service.kubernetes.io/{key}": mode for key in keys}
    item["labels"] = dict(draw(st.sampled_from(({},) * 10 + LABELS)))


@st.composite
def slices(draw: DrawFn, slot: int, wanted: Sequence[Port], limits: Limits, *, hinted: bool) -> list[Object]:
    """Up to three slices; `hinted`: every endpoint has topology hints, as the controller writes them."""
    namespace, name = NAMES[slot]
    taken: set[str] = set()
    made: list[Object] = []
    for index in range(draw(st.integers(0, 3))):
        family = draw(st.sampled_from((IPV4, IPV4, IPV6)))
        count = draw(st.integers(0, 4))
        endpoints = [draw(endpoint(slot, family, taken, hinted=hinted)) for _ in range(count)]
        if made and made[-1]["addressType"] == family and draw(st.integers(0, 5)) == 0:
            endpoints += made[-1]["endpoints"][:1]  # the same endpoint in two slices
            target = made[-1]["ports"]
        else:
            kept = draw(st.lists(st.sampled_from(wanted), min_size=1, unique=True)) if wanted else []
            shift = draw(st.sampled_from((0, 0, 8000)))
            target = [
                {"name": p.name, "protocol": p.protocol, "port": (p.number + shift) % 65536 or 1}
                for p in kept
            ]
            if draw(st.integers(0, 7)) == 7:
                target = [*target, {"name": "unknown", "protocol": "TCP", "port": 9999}]
            if limits.portless and target and draw(st.integers(0, 11)) == 11:
                del target[0]["port"]
        made.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": f"{name[:40]}-{index}-{family[2:].lower()}",
                    "namespace": namespace,
                    "labels": {
                        "kubernetes.io/service-name": name,
                        **draw(st.sampled_from(({},) * 18 + LABELS)),
                    },
                },
                "addressType": family,
                "ports": target,
                "endpoints": endpoints,
            }
        )
        if draw(st.integers(0, 19)) == 19:
            made[-1] |= {"addressType": "FQDN", "endpoints": [{"addresses": ["elsewhere.example"]}]}
    return made


@st.composite
def endpoint(draw: DrawFn, slot: int, family: str, taken: set[str], *, hinted: bool) -> Object:
    host = draw(st.integers(2, 120).filter(lambda number: f"{family}{number}" not in taken))
    taken.add(f"{family}{host}")
    address = f"10.244.{slot + 1}.{host}" if family == IPV4 else f"fd00:10:244:{slot + 1}::{host:x}"
    item: Object = {"addresses": [address]}
    ready, serving, terminating = draw(
        st.sampled_from(
            (
                (None, None, None),
                (True, True, False),
                (True, None, None),
                (False, False, False),
                (False, True, True),
                (False, False, True),
                (False, None, True),
            )
        )
    )
    conditions = {"ready": ready, "serving": serving, "terminating": terminating}
    item["conditions"] = {key: value for key, value in conditions.items() if value is not None}
    node = draw(st.sampled_from((*NODES, None)))
    if node:
        item["nodeName"] = node
    if hinted or draw(st.integers(0, 7)) == 7:
        zones = draw(st.lists(st.sampled_from(ZONES), min_size=1, max_size=2, unique=True))
        item["hints"] = {"forZones": [{"name": zone} for zone in zones]}
        if hinted and draw(st.integers(0, 3)):
            item["hints"]["forNodes"] = [{"name": node or draw(st.sampled_from(NODES))}]
    return item


def zone_probe() -> list[Object]:
    """A Service that shows whether a kube-proxy knows its node's zone."""
    hints = [{"forZones": [{"name": zone}]} for zone in ZONES]
    return _plain_service(
        "zone-probe",
        "10.96.9.201",
        [{"addresses": [f"10.244.99.{n}"], "hints": hint} for n, hint in enumerate(hints, 1)],
        annotations={"service.kubernetes.io/topology-mode": "Auto"},
    )


@st.composite
def large(draw: DrawFn) -> list[Object]:
    """A Service with about, or more than, 1000 endpoints: kube-proxy's large-cluster mode."""
    count = draw(st.integers(995, 1040))
    addresses = [f"10.245.{number // 200}.{number % 200 + 1}" for number in range(count)]
    return _plain_service("large", "10.96.9.200", [{"addresses": [ip]} for ip in addresses])


def _plain_service(
    name: str, address: str, endpoints: list[Object], annotations: Object | None = None
) -> list[Object]:
    """A ClusterIP Service in IPv4, its endpoints in slices of 500."""
    meta = {"name": name, "namespace": "default"}
    port = {"name": "http", "protocol": "TCP", "port": 80}
    spec = {"type": "ClusterIP", "clusterIP": address, "ports": [port]}
    head = {"apiVersion": "v1", "kind": "Service", "metadata": {**meta, "annotations": annotations or {}}}
    labels = {"kubernetes.io/service-name": name}
    return [
        {**head, "spec": spec},
        *(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**meta, "name": f"{name}-{start}", "labels": labels},
                "addressType": IPV4,
                "ports": [port],
                "endpoints": endpoints[start : start + 500],
            }
            for start in range(0, len(endpoints), 500)
        ),
    ]
