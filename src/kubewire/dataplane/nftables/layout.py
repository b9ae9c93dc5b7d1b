"""Where kube-proxy's nftables table hooks into the kernel: base chains and their jumps, by generation.

Source: nftablesBaseChains and nftablesJumpChains in pkg/proxy/nftables/proxier.go of v1.29.6 to v1.37.2.
"""

from __future__ import annotations

from kubewire.dataplane.core.model import Chain, Hook
from kubewire.dataplane.nftables.builder import Builder, NftFeatures, fixed

BaseChain = tuple[str, str, str, int]
Jump = tuple[str, str, str]

_NAT_CHAINS: tuple[BaseChain, ...] = (
    ("nat-prerouting", "nat", "prerouting", -100),
    ("nat-output", "nat", "output", -100),
    ("nat-postrouting", "nat", "postrouting", 100),
)
_NAT_JUMPS: tuple[Jump, ...] = (
    ("services", "nat-output", ""),
    ("services", "nat-prerouting", ""),
    ("masquerading", "nat-postrouting", ""),
)
_ENDPOINT_JUMPS: tuple[Jump, ...] = (
    ("nodeport-endpoints-check", "filter-input", "ct state new"),
    ("service-endpoints-check", "filter-input", "ct state new"),
    ("service-endpoints-check", "filter-forward", "ct state new"),
    ("service-endpoints-check", "filter-output", "ct state new"),
)
_OLDEST: tuple[tuple[BaseChain, ...], tuple[Jump, ...]] = (
    tuple((f"filter-{hook}", "filter", hook, -101) for hook in ("input", "forward", "output")),
    (
        *(("endpoints-check", f"filter-{hook}", "ct state new") for hook in ("input", "forward", "output")),
        ("forward", "filter-forward", ""),
        *(("firewall-check", f"filter-{hook}", "ct state new") for hook in ("input", "output", "forward")),
    ),
)
_BEFORE_DNAT: tuple[tuple[BaseChain, ...], tuple[Jump, ...]] = (
    (
        *((f"filter-{h}", "filter", h, -110) for h in ("prerouting", "input", "forward", "output")),
        ("filter-output-post-dnat", "filter", "output", -90),
    ),
    (
        *_ENDPOINT_JUMPS,
        ("firewall-check", "filter-prerouting", "ct state new"),
        ("firewall-check", "filter-output", "ct state new"),
        ("cluster-ips-check", "filter-forward", "ct state new"),
        ("cluster-ips-check", "filter-output-post-dnat", "ct state new"),
    ),
)
_NEWEST: tuple[tuple[BaseChain, ...], tuple[Jump, ...]] = (
    (
        ("filter-prerouting-pre-dnat", "filter", "prerouting", -110),
        ("filter-output-pre-dnat", "filter", "output", -110),
        *((f"filter-{hook}", "filter", hook, 0) for hook in ("input", "forward", "output")),
    ),
    (
        *_ENDPOINT_JUMPS,
        ("firewall-check", "filter-prerouting-pre-dnat", "ct state new"),
        ("firewall-check", "filter-output-pre-dnat", "ct state new"),
        ("cluster-ips-check", "filter-forward", "ct state new"),
        ("cluster-ips-check", "filter-output", "ct state new"),
    ),
)


def is_leftover(chain: Chain) -> bool:
    """Whether some version of kube-proxy writes that base chain, with no rules but these.

    A newer kube-proxy recreates only its own base chains, so others may stay until the table is removed.
    """
    hook = chain.hook
    if hook is None or hook.policy != "accept":
        return False
    return any(
        (chain.name, hook.type, hook.name, hook.priority) in bases
        and {rule.text for rule in chain.rules()}
        <= {f"{match} jump {target}".lstrip() for target, source, match in jumps if source == chain.name}
        for bases, jumps in (_OLDEST, _BEFORE_DNAT, _NEWEST)
    )


def add_base_chains(b: Builder, generation: NftFeatures) -> None:
    """Add the base chains of that generation, and the chains that they jump to."""
    layout = _NEWEST if generation.pre_dnat_chains else _BEFORE_DNAT
    bases, jumps = layout if generation.cluster_ips else _OLDEST
    for name, kind, hook, priority in (*bases, *_NAT_CHAINS):
        why = f"{name} is where the kernel's {hook} hook enters kube-proxy's table"
        b.chain(name, fixed("nftables.base-chain", why), Hook(hook, kind, priority, "accept"))
    for target, source, match in (*jumps, *_NAT_JUMPS):
        why = f"packets at {source} must pass {target}"
        b.rule(source, f"{match} jump {target}".lstrip(), fixed("nftables.jump", why))
        b.chain(target, fixed("nftables.chain", f"{source} jumps to it"))
