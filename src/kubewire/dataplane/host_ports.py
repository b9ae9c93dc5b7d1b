"""Pods' host ports: the rules of the table nat that the CNI plugin portmap writes for them. Pure.

Source: containernetworking/plugins 1.9, plugins/meta/portmap/portmap_iptables.go, and pkg/utils/utils.go for
the chain's name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from itertools import groupby
from typing import TYPE_CHECKING

from kubewire.dataplane.core.pods import HostPort, Pod

if TYPE_CHECKING:
    from kubewire.dataplane.core.packet import Address

TOP, MARK, MASQUERADE = (f"CNI-HOSTPORT-{name}" for name in ("DNAT", "SETMARK", "MASQ"))
_LONGEST, _PORTS_A_RULE = 28, 15


def chain_of(network: str, pod: Pod) -> str:
    """The chain of a pod whose UID is its container's id in that CNI network."""
    digest = hashlib.sha512(f"{network}{pod.identity}".encode()).hexdigest()
    return f"CNI-DN-{digest}"[:_LONGEST]


def rules(network: str, pod: Pod, address: Address, cidr: str) -> tuple[str, ...]:
    """As iptables-save prints them, those of the pod's own chain last and in their order; none where no host
    port is for this family. `cidr` has the pod's address: it is its node's.
    """
    own = tuple(
        rule
        for port in pod.host_ports
        for rule in _own(chain_of(network, pod), port, address, cidr)
        if not port.address or ip_address(port.address).version == address.version
    )
    return (*_shared(network, pod), *own) if own else ()


def found(wanted: Sequence[str], saved: Sequence[str]) -> tuple[str, ...]:
    """Those of `wanted` that the lines of a table have, and all rules of the pod's own chain."""
    chain = wanted[-1].split()[1]
    shared = [rule for rule in wanted if not rule.startswith(f"-A {chain} ")]
    return (
        *(rule for rule in shared if rule in saved),
        *(line for line in saved if line.startswith(f"-A {chain} ")),
    )


def _shared(network: str, pod: Pod) -> Iterator[str]:
    for hook in ("PREROUTING", "OUTPUT"):
        yield f"-A {hook} -m addrtype --dst-type LOCAL -j {TOP}"
    yield f'-A POSTROUTING -m comment --comment "CNI portfwd requiring masquerade" -j {MASQUERADE}'
    yield f"-A {MASQUERADE} -m mark --mark 0x2000/0x2000 -j MASQUERADE"
    yield f'-A {MARK} -m comment --comment "CNI portfwd masquerade mark" -j MARK --set-xmark 0x2000/0x2000'
    comment = f'dnat name: \\"{network}\\" id: \\"{pod.identity}\\"'
    for protocol, ports in groupby(
        sorted(pod.host_ports, key=lambda port: port.protocol), lambda port: port.protocol
    ):
        numbers = [str(port.number) for port in ports]
        for start in range(0, len(numbers), _PORTS_A_RULE):
            some = ",".join(numbers[start : start + _PORTS_A_RULE])
            yield (
                f'-A {TOP} -p {protocol} -m comment --comment "{comment}" -m multiport --dports {some}'
                f" -j {chain_of(network, pod)}"
            )


def _own(chain: str, port: HostPort, address: Address, cidr: str) -> Iterator[str]:
    at = ip_address(port.address) if port.address else None
    to = f" -d {at}/{at.max_prefixlen}" if at and not at.is_unspecified else ""
    match = f"-p {port.protocol} -m {port.protocol} --dport {port.number}"
    for source in (str(ip_network(cidr)), *(("127.0.0.1/32",) if address.version == 4 else ())):
        yield f"-A {chain} -s {source}{to} {match} -j {MARK}"
    host = f"[{address}]" if address.version == 6 else str(address)
    yield f"-A {chain}{to} {match} -j DNAT --to-destination {host}:{port.target}"
