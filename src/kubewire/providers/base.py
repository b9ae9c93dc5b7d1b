"""What a provider of nodes must offer; everything after the cluster's creation sees only this."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from kubewire.core.errors import DefinitionError

if TYPE_CHECKING:
    from kubewire.core.leftovers import Leftover
    from kubewire.lab.schema import Lab

Phase = Literal["absent", "starting", "ready", "failed", "dead"]


@dataclass(frozen=True)
class NodeHandle:
    """A node and the argv prefix that runs a command on it (`[*prefix, "iptables", "-L"]`)."""

    name: str
    role: Literal["control-plane", "worker"]
    prefix: tuple[str, ...]
    internal_ips: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """One thing that `up` did, or would do: where (a node or the lab's name), what, and why.

    `before` and `after` are the texts that --diff compares. `anew`: the cluster is a new one, with nothing in
    it. `reported`: it happened before, and `up` only tells it.
    """

    where: str
    what: str
    why: str = ""
    before: str = ""
    after: str = ""
    anew: bool = False
    reported: bool = False


@dataclass(frozen=True)
class Status:
    """How a lab is now. `components` maps each supervised component to its state, for people."""

    name: str
    phase: Phase
    provider: str = ""
    kubernetes: str = ""
    reason: str = ""
    components: dict[str, str] = field(default_factory=dict)
    pod_limits: str = ""
    """What one pod may use at most, for people."""


class Provider(Protocol):
    """Makes nodes and says how to run a command on them. All methods raise KubewireError subclasses."""

    name: str

    def preflight(self, lab: Lab) -> None:
        """Raise HostError naming everything this machine lacks for this lab."""

    def up(self, lab: Lab, *, check: bool = False, keep: bool = False) -> list[Change]:
        """Make or reconcile the cluster; an empty list means nothing was to be done. `check` only plans.

        `keep` leaves what a failed creation made, where the provider can.
        """

    def commit(self, name: str) -> None:
        """The lab is ready: from now on it outlives its maker."""

    def abandon(self, name: str) -> None:
        """Its maker failed or was interrupted: remove a lab that isn't ready and doesn't vanish by itself."""

    def down(self, name: str) -> bool:
        """Remove the lab and all that belongs to it; False if there was nothing."""

    def status(self, name: str) -> Status:
        """The lab's state, for `status` and `list`."""

    def nodes(self, name: str) -> tuple[NodeHandle, ...]:
        """Every node of a running lab, control planes first."""

    def restart_kube_proxy(self, name: str, node: str) -> None:
        """Start that node's kube-proxy afresh after removing all it had written (`kube-proxy --cleanup`)."""

    def repair_routes(self, name: str, node: str, *, check: bool = False) -> list[Change]:
        """Bring back pod routes and routes to the other nodes' pod CIDRs on that node. `check` only looks."""

    def pod_prefix(self, name: str, namespace: str, pod: str) -> tuple[str, ...]:
        """The argv prefix that runs a command in that pod's network namespace."""

    def garbage(self) -> list[Leftover]:
        """What crashes left of labs that no longer live."""

    def external_prefix(self, name: str) -> tuple[str, ...]:
        """The argv prefix of a client outside the cluster that can reach the nodes' addresses."""

    def kubeconfig(self, name: str) -> Path:
        """An admin kubeconfig that works from the host, mode 0600."""


def find_node(lab: str, wanted: str, nodes: Sequence[NodeHandle]) -> NodeHandle:
    """The node by its full name or without the lab's; DefinitionError (exit 2) that lists the nodes."""
    for node in nodes:
        if wanted in (node.name, node.name.removeprefix(f"{lab}-")):
            return node
    short = [node.name.removeprefix(f"{lab}-") for node in nodes]
    near = difflib.get_close_matches(wanted, short, n=1)
    raise DefinitionError(
        f"lab {lab} has no node {wanted!r}" + (f"; did you mean {near[0]}?" if near else ""),
        mend=f"its nodes: {', '.join(short)}",
    )
