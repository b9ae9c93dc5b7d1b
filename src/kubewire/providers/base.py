"""The interface of a provider; everything after the cluster's creation uses only this."""

from __future__ import annotations

import difflib
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from msgspec import Struct

from kubewire.core.errors import DefinitionError

if TYPE_CHECKING:
    from kubewire.core.leftovers import Leftover
    from kubewire.core.progress import Progress
    from kubewire.dataplane.node_network import NodeNetwork
    from kubewire.lab.schema import Lab

NAME_PATTERN = "[a-z][a-z0-9-]{0,39}"
POLL = 5.0
"""Seconds between two checks of a lab that isn't a process on this machine."""
Phase = Literal["absent", "starting", "ready", "failed", "dead"]
GONE: tuple[Phase, ...] = ("absent", "dead")
"""Phases of a lab that no longer runs."""


class NodeHandle(Struct, frozen=True):
    """A node and the argv prefix that runs a command on it (`[*prefix, "iptables", "-L"]`)."""

    name: str
    role: Literal["control-plane", "worker"]
    prefix: tuple[str, ...]
    internal_ips: tuple[str, ...]


class Entry(NamedTuple):
    """A command that replaces this process."""

    argv: list[str]
    environment: dict[str, str]


class NodeRecord(Struct, frozen=True):
    """A node as a provider's state file has it: its name, its role, its addresses when last looked at."""

    name: str
    role: str
    ips: tuple[str, ...]


class Change(Struct, frozen=True):
    """One change that `up` made, or would make: where (a node or the lab's name), what, and why.

    `before` and `after` are the texts that --diff compares. `anew`: the cluster is new and empty. `reported`:
    it happened before, and `up` only reports it. `afresh`: the node starts anew, and gets all it had written.
    """

    where: str
    what: str
    why: str = ""
    before: str = ""
    after: str = ""
    anew: bool = False
    reported: bool = False
    afresh: bool = False


class Status(Struct, frozen=True):
    """A lab's state. `components` maps each supervised component to a description of its state."""

    name: str
    phase: Phase
    provider: str = ""
    kubernetes: str = ""
    reason: str = ""
    components: dict[str, str] = {}
    pod_limits: str = ""
    """A description of the limits of one pod."""


class Finding(Struct, frozen=True):
    """One line of `doctor`: with `missing`, labs in mode iptables and nftables can't run on this machine."""

    name: str
    state: Literal["ok", "missing", "note"]
    detail: str
    hint: str = ""


class Provider(ABC):
    """Creates nodes and runs commands on them. All methods raise KubewireError subclasses.

    Everything specific to a provider is declared in its class. Its module and this one must be light to
    import, since `kubewire exec` imports them.
    """

    name: ClassVar[str]
    rank: ClassVar[int] = 0
    """The position in the order that `auto` tries, lowest first; 0: only chosen by name."""
    why: ClassVar[str] = ""
    """Why `auto` chose it, as half a sentence."""
    not_real: ClassVar[str] = ""
    """A sentence for reports: which components its labs replace."""
    lab_bytes: ClassVar[int] = 2560 << 20
    """Memory of a lab of three nodes."""
    embedded: ClassVar[bool] = False
    """Its labs need only kubewire and OS packages: they run in a VM and on the hosts of a nightly."""
    uses_binaries: ClassVar[bool] = False
    """Its nodes run Kubernetes binaries of this machine's cache; kube-proxy's version may differ."""
    installs_tools: ClassVar[bool] = False
    """Its nodes have their own tools, and `install_tools` adds those that a lab asks for."""
    shares_names: ClassVar[bool] = False
    """Lab names must be unique among all state folders of this machine."""
    builds_images: ClassVar[bool] = False
    """`build_image` builds images for its nodes."""

    def why_not_here(self) -> str:
        """Why no lab of this provider can run on this machine; "" if labs can. Fast."""
        return ""

    def why_in_vm(self, lab: Lab) -> str:
        """What this lab needs and this kernel can't provide, so that it needs a VM; else ""."""
        return ""

    def lacks_for(self, mode: str) -> str:
        """What labs in that mode lack and no package provides; "" if nothing."""
        return ""

    def missing_packages(self, modes: Iterable[str], tools: Iterable[str]) -> list[str]:
        """The OS packages that this machine lacks for labs in these modes with these `tools`."""
        return []

    def require_possible(self, lab: Lab) -> None:
        """Raise HostError, before any download, for what neither a package nor a download can fix."""

    def explained(self, why: str, lab: Lab) -> str:
        """The first line that `up` prints for a new lab, from the reason why this provider was chosen."""
        return why

    def lab_problems(self, data: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        """Errors in a lab file that names this provider: (message, key at fault)."""
        return ()

    def rendered(self, lab: Lab) -> str:
        """The lab as the underlying tool's configuration, for `render`; DefinitionError if there is none."""
        raise DefinitionError(f"provider {self.name} has no configuration of its own to render")

    def prefetch_plan(self, lab: Lab) -> Iterable[str]:
        """The downloads and builds that `prefetch` will do, one a line."""
        return ()

    def prefetch(self, lab: Lab, progress: Progress) -> list[str]:
        """Get everything that `up` will need, except OS packages; one line for each."""
        return []

    def build_image(
        self, version: str, *, overlay: Path | None, output: Path | None, fresh: bool, progress: Progress
    ) -> str:
        """Build a node image; a sentence about the result."""
        raise NotImplementedError

    def findings(self) -> Iterable[Finding]:
        """The findings for `doctor`."""
        return ()

    @abstractmethod
    def preflight(self, lab: Lab) -> None:
        """Raise HostError naming everything this machine lacks for this lab."""

    @abstractmethod
    def up(self, lab: Lab, *, check: bool = False, keep: bool = False) -> list[Change]:
        """Create or reconcile the cluster; the changes. `check` only plans.

        `keep` leaves what a failed creation created, if the provider supports it.
        """

    def commit(self, name: str) -> None:
        """The lab is ready: from now on it outlives its owner."""

    def abandon(self, name: str) -> None:
        """Its owner failed or was interrupted: remove a lab that isn't ready and doesn't end by itself."""

    @abstractmethod
    def down(self, name: str) -> bool:
        """Remove the lab and all that belongs to it; False if there was nothing."""

    @abstractmethod
    def status(self, name: str) -> Status:
        """The lab's state, for `status` and `list`."""

    def wait_until_gone(self, name: str) -> None:
        """Return when the lab has ended, at once for one that doesn't exist."""
        while self.status(name).phase not in GONE:
            time.sleep(POLL)

    @abstractmethod
    def nodes(self, name: str) -> tuple[NodeHandle, ...]:
        """Every node of a running lab, control planes first."""

    def entry(self, node: NodeHandle, command: Sequence[str], prompt: str = "") -> Entry:
        """The program that replaces this process for `exec` and `shell`; DefinitionError if unknown."""
        shown = {"PS1": f"{prompt} \\w # "} if prompt else {}
        return Entry([*node.prefix, *command], {**os.environ, **shown})

    def install_tools(self, node: str, tools: Sequence[str]) -> None:
        """Install tools on a node, by their commands; HostError with alternatives."""
        raise NotImplementedError

    @abstractmethod
    def restart_kube_proxy(self, name: str, node: str) -> None:
        """Restart that node's kube-proxy after removing all its rules (`kube-proxy --cleanup`)."""

    @abstractmethod
    def repair_network(self, name: str, node: str, *, check: bool = False) -> list[Change]:
        """Restore what `node_networks` declares on that node, pod routes, and routes to the other nodes' pod
        CIDRs. `check` only compares.
        """

    def node_networks(self, lab: Lab) -> Mapping[str, NodeNetwork]:
        """By node, what it wrote into the nodes' network namespaces: `verify` checks it."""
        return {}

    @abstractmethod
    def pod_prefix(self, name: str, namespace: str, pod: str) -> tuple[str, ...]:
        """The argv prefix that runs a command in that pod's network namespace."""

    @abstractmethod
    def external_prefix(self, name: str) -> tuple[str, ...]:
        """The argv prefix of a client outside the cluster that can reach the nodes' addresses."""

    @abstractmethod
    def kubeconfig(self, name: str) -> Path:
        """An admin kubeconfig that works on this machine, mode 0600."""

    def garbage(self) -> list[Leftover]:
        """What crashes left of its labs that no longer run."""
        return []

    def left_alone(self) -> list[str]:
        """Labs whose processes can't be seen from here, and why: `gc` leaves them alone."""
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
