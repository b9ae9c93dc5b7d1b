"""An engine that is wrong in one named way differs from the recorded kube-proxies: the oracle has teeth."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest
from msgspec.structs import replace

from kubewire.dataplane.check import check_snapshot
from kubewire.dataplane.core import endpoints as core_endpoints
from kubewire.dataplane.core.cluster import ServicePort
from kubewire.dataplane.core.config import ProxyConfig
from kubewire.dataplane.core.endpoints import Categorized, Endpoint
from kubewire.dataplane.core.facts import NodeFacts
from kubewire.dataplane.core.model import Hook
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.dataplane.iptables import expected as iptables
from kubewire.dataplane.iptables import names as iptables_names
from kubewire.dataplane.iptables import service as iptables_service
from kubewire.dataplane.nftables import expected as nftables
from kubewire.dataplane.nftables import fixed, layout
from kubewire.dataplane.nftables import names as nft_names
from kubewire.dataplane.nftables import service as nftables_service
from recorded import folder_of, load

BOTH = ("iptables", "nftables")
GENERATORS = {"iptables": iptables, "nftables": nftables}
ENDPOINTS = {"iptables": iptables, "nftables": core_endpoints}
"""Where each mode's engine finds the endpoints of a port."""
Patch = pytest.MonkeyPatch
Ports = tuple[ServicePort, ...]


def subject(mode: str, version: str = "v1.37.2") -> Snapshot:
    """One node with the default configuration."""
    whole = load(folder_of(f"{version}-{mode}"))
    return Snapshot(whole.cluster, tuple(node for node in whole.nodes if node.name == "default"))


def failed(snapshot: Snapshot) -> set[str]:
    return {
        check.id.partition(".")[2] for check in check_snapshot(snapshot).checks if check.status == "failed"
    }


def ports(patch: Patch, mode: str, **changes: Any) -> None:
    """Every service port with these fields changed."""
    module = GENERATORS[mode]
    real = module.service_ports

    def changed(*args: Any) -> Ports:
        return tuple(replace(port, **changes) for port in real(*args))

    patch.setattr(module, "service_ports", changed)


def endpoints(patch: Patch, mode: str, change: Callable[[tuple[Endpoint, ...]], Any]) -> None:
    module = ENDPOINTS[mode]
    real = module.endpoints_for
    patch.setattr(module, "endpoints_for", lambda *args: tuple(change(real(*args))))


def wrong_hash(patch: Patch, mode: str) -> None:
    """Names hashed from the upper-case protocol."""
    if mode == "iptables":
        patch.setattr(iptables_names, "seed", lambda port: port.name + port.protocol)
    else:
        real = nft_names.hashed
        patch.setattr(nft_names, "hashed", lambda name: real(name.replace("/tcp/", "/TCP/")))


def endpoint_order(patch: Patch, mode: str) -> None:
    """Endpoints by number instead of by text."""
    endpoints(patch, mode, lambda found: sorted(found, key=lambda e: (int(ip_address(e.ip)), e.port)))


def rounding(patch: Patch, mode: str) -> None:
    """Probabilities as they are, not as the kernel keeps them."""
    patch.setattr(iptables_names, "probability", lambda share: f"{1 / share:.11f}")


def missing_hairpin(patch: Patch, mode: str) -> None:
    if mode == "iptables":
        real = iptables_service._Work.endpoint_rules
        patch.setattr(iptables_service._Work, "endpoint_rules", lambda self, *e: list(real(self, *e))[1:])
    else:
        endpoints(patch, mode, lambda found: [replace(e, is_local=False) for e in found])


def wrong_mark(patch: Patch, mode: str) -> None:
    patch.setattr(ProxyConfig, "mark", property(lambda self: 0x8000))


def port_swapped(patch: Patch, mode: str) -> None:
    """DNAT to the Service's port, not to the endpoint's."""
    module = ENDPOINTS[mode]
    real = module.endpoints_for

    def swapped(cluster: Any, port: ServicePort, *args: Any) -> tuple[Endpoint, ...]:
        return tuple(replace(e, port=port.port) for e in real(cluster, port, *args))

    patch.setattr(module, "endpoints_for", swapped)


def affinity_ignored(patch: Patch, mode: str) -> None:
    ports(patch, mode, sticky_seconds=None)


def local_as_cluster(patch: Patch, mode: str) -> None:
    ports(patch, mode, external_policy_local=False)


def internal_local_as_cluster(patch: Patch, mode: str) -> None:
    ports(patch, mode, internal_policy_local=False)


def terminating_used(patch: Patch, mode: str) -> None:
    """Terminating endpoints counted as ready ones."""
    endpoints(patch, mode, lambda found: [replace(e, ready=e.ready or e.serving) for e in found])


def node_port_missing(patch: Patch, mode: str) -> None:
    ports(patch, mode, node_port=0)


def hints_ignored(patch: Patch, mode: str) -> None:
    none: frozenset[str] = frozenset()
    endpoints(patch, mode, lambda found: [replace(e, zone_hints=none, node_hints=none) for e in found])


def source_ranges_ignored(patch: Patch, mode: str) -> None:
    ports(patch, mode, source_ranges=())


def wrong_mask(patch: Patch, mode: str) -> None:
    """Affinity by the client's network instead of its address."""
    patch.setattr(iptables_service.NodeContext, "mask", property(lambda self: "255.255.255.0"))


def wrong_priority(patch: Patch, mode: str) -> None:
    """Filter chains behind DNAT at another priority."""

    def moved(name: str, kind: str, priority: int, policy: str) -> Hook:
        return Hook(name, kind, priority + 1 if kind == "filter" else priority, policy)

    patch.setattr(layout, "Hook", moved)


def dropped_instead_of_refused(patch: Patch, mode: str) -> None:
    """A Service without endpoints treated like one without local endpoints."""
    if mode == "iptables":
        real = iptables_service._Work.refusal

        def refusal(self: Any, ip: str, number: int) -> Any:
            rule = real(self, ip, number)
            return replace(rule, text=rule.text.replace(self.around.reject, "DROP"))

        patch.setattr(iptables_service._Work, "refusal", refusal)
    else:
        real_element = nftables_service.Builder.element

        def element(
            self: Any, name: str, key: str, origin: Any, *, value: str = "", comment: str = ""
        ) -> None:
            real_element(
                self, name, key, origin, value=value.replace("goto reject-chain", "drop"), comment=comment
            )

        patch.setattr(nftables_service.Builder, "element", element)


def source_address_kept(patch: Patch, mode: str) -> None:
    """Nobody's cluster IP traffic masqueraded."""
    real = ProxyConfig.detector
    patch.setattr(ProxyConfig, "detector", lambda *args: replace(real(*args), implemented=False))


def everyones_node_ports(patch: Patch, mode: str) -> None:
    """nodePortAddresses taken to select nothing."""
    patch.setattr(NodeFacts, "node_port_ips", lambda *args: ())


def static_masquerade(patch: Patch, mode: str) -> None:
    """Masqueraded ports that are not random."""
    if mode == "iptables":
        real = iptables._ordered
        patch.setattr(iptables, "_ordered", lambda *rules: real(*map(_plain, rules)))
    else:
        real_rule = fixed.Builder.rule

        def rule(self: Any, chain: str, text: str, *args: Any, **kwargs: Any) -> None:
            real_rule(self, chain, text.replace(" fully-random", ""), *args, **kwargs)

        patch.setattr(fixed.Builder, "rule", rule)


def _plain(rule: Any) -> Any:
    return replace(rule, text=rule.text.replace(" --random-fully", ""))


def unready_used(patch: Patch, mode: str) -> None:
    """The endpoints of a Service all taken, ready or not."""

    def everything(found: tuple[Endpoint, ...], *args: Any) -> Categorized:
        local = tuple(e for e in found if e.is_local)
        return Categorized(found, local, found, bool(found))

    patch.setattr(ENDPOINTS[mode], "categorize", everything)


# Each sabotage with the modes it can happen in, and a check that must fail in each.
SABOTAGES: tuple[tuple[Callable[[Patch, str], None], dict[str, str]], ...] = (
    (wrong_hash, dict.fromkeys(BOTH, "services.dispatch")),
    (endpoint_order, {"iptables": "order", "nftables": "service.balancing"}),
    (rounding, {"iptables": "service.probability"}),
    (missing_hairpin, dict.fromkeys(BOTH, "extra")),
    (wrong_mark, {"iptables": "mark-masq", "nftables": "masquerading"}),
    (port_swapped, {"iptables": "endpoint.dnat", "nftables": "service.balancing"}),
    (affinity_ignored, dict.fromkeys(BOTH, "extra")),
    (local_as_cluster, dict.fromkeys(BOTH, "service.external")),
    (internal_local_as_cluster, dict.fromkeys(BOTH, "services.dispatch")),
    (terminating_used, {"iptables": "service.probability", "nftables": "service.balancing"}),
    (node_port_missing, dict.fromkeys(BOTH, "extra")),
    (hints_ignored, {"iptables": "service.probability", "nftables": "service.balancing"}),
    (source_ranges_ignored, dict.fromkeys(BOTH, "extra")),
    (wrong_mask, {"iptables": "affinity"}),
    (wrong_priority, {"nftables": "base-chain"}),
    (dropped_instead_of_refused, dict.fromkeys(BOTH, "no-endpoints")),
    (source_address_kept, dict.fromkeys(BOTH, "extra")),
    (everyones_node_ports, {"nftables": "extra"}),
    (static_masquerade, {"iptables": "postrouting", "nftables": "masquerading"}),
    (unready_used, {"iptables": "service.probability", "nftables": "service.balancing"}),
)
CASES = [
    pytest.param(sabotage, mode, check, id=f"{sabotage.__name__}-{mode}")
    for sabotage, caught in SABOTAGES
    for mode, check in caught.items()
]


@pytest.mark.parametrize("mode", BOTH)
def test_unharmed_it_agrees(mode: str) -> None:
    assert failed(subject(mode)) == set()


@pytest.mark.parametrize(("sabotage", "mode", "check"), CASES)
def test_a_wrong_engine_differs(
    sabotage: Callable[[Patch, str], None], mode: str, check: str, monkeypatch: Patch
) -> None:
    sabotage(monkeypatch, mode)
    found = failed(subject(mode))
    assert {check, "table"} <= found


def test_each_mode_has_its_twelve() -> None:
    for mode in BOTH:
        assert sum(mode in caught for _, caught in SABOTAGES) >= 12
