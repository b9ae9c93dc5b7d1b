"""The plan of a sandbox: plain data, built outside by pure functions, executed by PID 1."""

from __future__ import annotations

from msgspec import Struct

from kubewire.core.processes import SYSTEM_PATH
from kubewire.core.timeouts import inherited

RUN = "/run/kubewire"
LOGS = f"{RUN}/logs"
AGENT = f"{RUN}/agent"
NODE_SYSCTLS = {
    "net.ipv4.ip_forward": "1",
    "net.ipv6.conf.all.disable_ipv6": "0",
    "net.ipv6.conf.default.disable_ipv6": "0",
    "net.ipv6.conf.all.forwarding": "1",
    "net.ipv6.conf.default.accept_dad": "0",
}
"""Written in each node's network namespace; those of IPv6 where the kernel has it."""


def component_environment() -> dict[str, str]:
    """The environment of every component."""
    return {"HOME": f"{RUN}/home", "TMPDIR": f"{RUN}/scratch", "PATH": SYSTEM_PATH, **inherited()}


class Check(Struct, frozen=True):
    """A URL that answers 200 once a component is ready. Paths name PEM files inside the sandbox."""

    url: str
    authority: str = ""
    client: str = ""


class Component(Struct, frozen=True):
    """A supervised process on `node` ("" for the sandbox itself), started once all of `after` succeeds.

    It counts as running once `ready` succeeds. `cleanup` removes what it leaves, before a clean restart.
    """

    name: str
    argv: tuple[str, ...]
    node: str = ""
    env: dict[str, str] = {}
    after: tuple[Check, ...] = ()
    ready: Check | None = None
    cleanup: tuple[str, ...] = ()


class File(Struct, frozen=True):
    """A file to write inside the sandbox, or with `node` in that node's own /run."""

    path: str
    content: str
    mode: int = 0o600
    node: str = ""


class NodePlan(Struct, frozen=True):
    """A node's namespaces: its name, eth0's addresses with prefix length, and its default gateways."""

    name: str
    addresses: tuple[str, ...]
    gateways: tuple[str, ...]


class Plan(Struct, frozen=True):
    """A complete sandbox. `endpoints` are the targets of the host's kubectl port, in order of preference."""

    lab: str
    rootful: bool
    bridge: tuple[str, ...]
    nodes: tuple[NodePlan, ...]
    files: tuple[File, ...]
    components: tuple[Component, ...]
    endpoints: tuple[tuple[str, int], ...]


def namespace_path(node: str) -> str:
    """The path at which a node's network namespace is pinned; `ip netns` lists it by the node's name."""
    return f"/run/netns/{node}"


def pin_path(node: str, kind: str) -> str:
    """The path at which a node's mount (`mnt`) or hostname (`uts`) namespace is pinned in the sandbox."""
    return f"{RUN}/ns/{node}.{kind}"


def node_entry(node: str, root: str = "") -> tuple[str, ...]:
    """The argv prefix that enters a node; `root` is the path of the sandbox's file system."""
    return (
        f"--net={root}{namespace_path(node)}",
        f"--mount={root}{pin_path(node, 'mnt')}",
        f"--uts={root}{pin_path(node, 'uts')}",
    )
