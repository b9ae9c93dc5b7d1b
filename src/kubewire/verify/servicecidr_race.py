"""A race at kube-proxy's start with its watch of the ServiceCIDRs, told apart from other faults."""

from __future__ import annotations

from collections.abc import Iterable

from kubewire.dataplane.core.findings import Check, adds_up

RULE = "nftables.cluster-ips"
HINT = (
    "a kube-proxy that first syncs before it has the ServiceCIDRs leaves out just this rule until its next "
    "full sync, within an hour; started again, it writes it"
)


def unlisted_networks(checks: Iterable[Check]) -> list[str]:
    """The nodes that differ in one thing only: no rule drops what goes to cluster IPs that no Service has.

    This happens if kube-proxy first syncs before it has listed the ServiceCIDRs: their arrival forces
    no full sync, so the rule comes with the next, within an hour (pkg/proxy/nftables/proxier.go, 1.33 to
    1.37: OnServiceCIDRsChanged). A kube-proxy that never writes the rule lacks it after a fresh start, too.
    """
    failed = [check for check in checks if check.status == "failed" and not adds_up(check)]
    return sorted(
        {check.node for check in failed if _is_the_rule(check)}
        - {check.node for check in failed if not _is_the_rule(check)}
    )


def _is_the_rule(check: Check) -> bool:
    return check.id == RULE and " drop " in check.expected and check.observed == "(missing)"
