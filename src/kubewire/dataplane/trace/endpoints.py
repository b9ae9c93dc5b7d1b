"""Where a traced packet starts and where it goes: `pod/x`, `node/y`, `external`; `10.96.0.1:443/tcp`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from kubewire.core.errors import DefinitionError
from kubewire.dataplane.core.findings import IpFamily
from kubewire.dataplane.core.packet import Address
from kubewire.dataplane.core.pods import Pod
from kubewire.dataplane.core.translate import address_and_port

OUTSIDE: dict[IpFamily, str] = {"ipv4": "203.0.113.77", "ipv6": "2001:db8:ffff::77"}
"""An address of a client outside, from the networks reserved for documentation (RFC 5737, RFC 3849)."""
PROTOCOLS = ("tcp", "udp", "sctp")


@dataclass(frozen=True, slots=True)
class Target:
    """Where the client wants to go."""

    address: Address
    port: int
    protocol: str

    @property
    def family(self) -> IpFamily:
        return "ipv6" if self.address.version == 6 else "ipv4"


def parse_target(text: str) -> Target:
    """`10.96.0.1:443`, `[fd00::1]:53/udp`. Raises DefinitionError for anything else."""
    where, _, protocol = text.partition("/")
    try:
        address, port = address_and_port(where)
    except ValueError:
        port = None
    if port is None or (protocol or "tcp") not in PROTOCOLS:
        raise DefinitionError(
            f"--to {text}: not an address and port",
            hint="as: --to 10.96.0.1:443, --to 10.96.0.10:53/udp, --to [fd00:10:96::1]:443",
        )
    return Target(address, port, protocol or "tcp")


def find_pod(wanted: str, pods: Iterable[Pod]) -> Pod:
    """By name, `namespace/name`, or the first of a Deployment by its name. Raises DefinitionError."""
    pods = list(pods)
    for fits in (
        lambda name: wanted in (name, name.partition("/")[2]),
        lambda name: name.startswith(f"{wanted}-") or name.partition("/")[2].startswith(f"{wanted}-"),
    ):
        if found := [pod for pod in pods if fits(pod.name)]:
            return found[0]
    raise DefinitionError(
        f"there is no pod {wanted!r}{_near(wanted, [pod.name for pod in pods])}",
        hint="the pods: " + (", ".join(pod.name for pod in pods) or "none"),
    )


def find_node(wanted: str, names: Iterable[str]) -> str:
    """A node by its full name or by the part behind the lab's. Raises DefinitionError."""
    names = list(names)
    found = [name for name in names if name == wanted] or [n for n in names if n.endswith(f"-{wanted}")]
    if len(found) != 1:
        raise DefinitionError(
            f"there is no node {wanted!r}{_near(wanted, names)}", hint=f"the nodes: {', '.join(names)}"
        )
    return found[0]


def _near(wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    return f"; did you mean {near[0]}?" if near else ""
