"""What a provider of nodes must offer; everything after the cluster's creation sees only this."""

from __future__ import annotations

import difflib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from kubewire.core.errors import DefinitionError

if TYPE_CHECKING:
    from kubewire.core.leftovers import Leftover
    from kubewire.core.progress import Progress
    from kubewire.lab.schema import Lab

NAME_PATTERN = "[a-z][a-z0-9-]{0,39}"
POLL = 5.0
"""Seconds between two looks at a lab that isn't one process of this machine."""
Phase = Literal["absent", "starting", "ready", "failed", "dead"]
GONE: tuple[Phase, ...] = ("absent", "dead")
"""Nothing of it runs any more, if anything is left."""


@dataclass(frozen=True)
class NodeHandle:
    """A node and the argv prefix that runs a command on it (`[*prefix, "iptables", "-L"]`)."""

    name: str
    role: Literal["control-plane", "worker"]
    prefix: tuple[str, ...]
    internal_ips: tuple[str, ...]


class Entry(NamedTuple):
    """A command as this process becomes it."""

    argv: list[str]
    environment: dict[str, str]


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


@dataclass(frozen=True)
class Finding:
    """One line of `doctor`: `missing` keeps labs in mode iptables and nftables from running here."""

    name: str
    state: Literal["ok", "missing", "note"]
    detail: str
    hint: str = ""


class Provider(ABC):
    """Makes nodes and says how to run a command on them. All methods raise KubewireError subclasses.

    All that is special about a provider is said here; its module and this one are light to import, since
    `kubewire exec` passes through.
    """

    name: ClassVar[str]
    rank: ClassVar[int] = 0
    """Where it stands in the order in which `auto` asks, lowest first; 0: it is taken only by its name."""
    why: ClassVar[str] = ""
    """In half a sentence, what `auto` says where it takes it."""
    not_real: ClassVar[str] = ""
    """A sentence for reports on what its labs only imitate."""
    lab_bytes: ClassVar[int] = 2560 << 20
    """Memory of a lab of three nodes."""
    embedded: ClassVar[bool] = False
    """Its labs need nothing but kubewire and OS packages: they run in a VM and on the hosts of a nightly."""
    uses_binaries: ClassVar[bool] = False
    """Its nodes run the Kubernetes binaries of this machine's cache, kube-proxy and control plane apart."""
    installs_tools: ClassVar[bool] = False
    """Its nodes have their own tools, and `install_tools` adds what a lab asks for."""
    shares_names: ClassVar[bool] = False
    """Labs of all state folders of this machine must differ in their names."""
    builds_images: ClassVar[bool] = False
    """`build_image` makes images for its nodes."""

    def why_not_here(self) -> str:
        """What keeps every lab of it from running on this machine; "" if nothing does. Quick."""
        return ""

    def why_in_vm(self, lab: Lab) -> str:
        """What this lab needs that this kernel has no way to have, so that a VM must bring it; else ""."""
        return ""

    def lacks_for(self, mode: str) -> str:
        """What no package mends for labs in that mode; "" if nothing."""
        return ""

    def missing_packages(self, modes: Iterable[str], tools: Iterable[str]) -> list[str]:
        """The OS packages that labs in these modes, with these of a lab's `tools`, still need here."""
        return []

    def require_possible(self, lab: Lab) -> None:
        """Raise HostError for what neither a package nor a download mends, before anything is fetched."""

    def explained(self, why: str, lab: Lab) -> str:
        """The first line that `up` prints of a new lab, from why this provider was chosen."""
        return why

    def lab_problems(self, data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """What is wrong with a lab's file that names this provider: (message, key to blame)."""
        return ()

    def rendered(self, lab: Lab) -> str:
        """The lab in the form of the tool below, for `render`; DefinitionError where there is none."""
        raise DefinitionError(f"provider {self.name} has no configuration of its own to render")

    def prefetch_plan(self, lab: Lab) -> Iterable[str]:
        """What `prefetch` is about to do, a line each."""
        return ()

    def prefetch(self, lab: Lab, progress: Progress) -> list[str]:
        """Get all that `up` will need, besides OS packages; a line for each thing that is there then."""
        return []

    def build_image(
        self, version: str, *, overlay: Path | None, output: Path | None, fresh: bool, progress: Progress
    ) -> str:
        """Make a node image; a sentence on what is where."""
        raise NotImplementedError

    def findings(self) -> Iterable[Finding]:
        """What `doctor` tells of it."""
        return ()

    @abstractmethod
    def preflight(self, lab: Lab) -> None:
        """Raise HostError naming everything this machine lacks for this lab."""

    @abstractmethod
    def up(self, lab: Lab, *, check: bool = False, keep: bool = False) -> list[Change]:
        """Make or reconcile the cluster; an empty list means nothing was to be done. `check` only plans.

        `keep` leaves what a failed creation made, where the provider can.
        """

    def commit(self, name: str) -> None:
        """The lab is ready: from now on it outlives its maker."""

    def abandon(self, name: str) -> None:
        """Its maker failed or was interrupted: remove a lab that isn't ready and doesn't vanish by itself."""

    @abstractmethod
    def down(self, name: str) -> bool:
        """Remove the lab and all that belongs to it; False if there was nothing."""

    @abstractmethod
    def status(self, name: str) -> Status:
        """The lab's state, for `status` and `list`."""

    def wait_until_gone(self, name: str) -> None:
        """Return when the lab lives no more, at once for one that there isn't."""
        while self.status(name).phase not in GONE:
            time.sleep(POLL)

    @abstractmethod
    def nodes(self, name: str) -> tuple[NodeHandle, ...]:
        """Every node of a running lab, control planes first."""

    def entry(self, node: NodeHandle, command: Sequence[str], prompt: str = "") -> Entry:
        """What this process becomes for `exec` and `shell`; DefinitionError for an unknown command."""
        shown = {"PS1": f"{prompt} \\w # "} if prompt else {}
        return Entry([*node.prefix, *command], {**os.environ, **shown})

    def install_tools(self, node: str, tools: Sequence[str]) -> None:
        """Install tools on a node, by their commands; HostError with the ways out."""
        raise NotImplementedError

    @abstractmethod
    def restart_kube_proxy(self, name: str, node: str) -> None:
        """Start that node's kube-proxy afresh after removing all it had written (`kube-proxy --cleanup`)."""

    @abstractmethod
    def repair_routes(self, name: str, node: str, *, check: bool = False) -> list[Change]:
        """Bring back pod routes and routes to the other nodes' pod CIDRs on that node. `check` only looks."""

    @abstractmethod
    def pod_prefix(self, name: str, namespace: str, pod: str) -> tuple[str, ...]:
        """The argv prefix that runs a command in that pod's network namespace."""

    @abstractmethod
    def external_prefix(self, name: str) -> tuple[str, ...]:
        """The argv prefix of a client outside the cluster that can reach the nodes' addresses."""

    @abstractmethod
    def kubeconfig(self, name: str) -> Path:
        """An admin kubeconfig that works from the host, mode 0600."""

    def garbage(self) -> list[Leftover]:
        """What crashes left of its labs that no longer live."""
        return []

    def left_alone(self) -> list[str]:
        """Why labs can't be judged from here, so that `gc` leaves them alone."""
        return []


def tool_command(tool: str) -> str:
    """The command of one of a lab's `tools`."""
    return {"nftables": "nft"}.get(tool, tool)


def find_node(lab: str, wanted: str, nodes: Sequence[NodeHandle]) -> NodeHandle:
    """The node by its full name or without the lab's; DefinitionError (exit 2) that lists the nodes."""
    for node in nodes:
        if wanted in (node.name, node.name.removeprefix(f"{lab}-")):
            return node
    short = [node.name.removeprefix(f"{lab}-") for node in nodes]
    near = difflib.get_close_matches(wanted, short, n=1)
    raise DefinitionError(
        f"lab {lab} has no node {wanted!r}" + (f"; did you mean {near[0]}?" if near else ""),
        hint=f"its nodes: {', '.join(short)}",
    )
