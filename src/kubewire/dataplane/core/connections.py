"""conntrack's entries of UDP and SCTP, as a snapshot has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from msgspec import Struct

from kubewire.dataplane.core.objects import canonical
from kubewire.dataplane.core.snapshot import CONNTRACK, Snapshot

_LINE = re.compile(
    r"^(?:ipv[46] +\d+ +)?(udp|sctp) +\d+ +(\d{1,9}) (?:[A-Z_]{1,32} )?"
    r"src=(\S{1,64}) dst=(\S{1,64}) sport=(\d{1,5}) dport=(\d{1,5}) ([^\n]{0,200}?)"
    r"src=(\S{1,64}) dst=\S{1,64} sport=(\d{1,5}) dport=\d{1,5}\b[^\n]{0,200}",
    re.MULTILINE,
)
Tuple = tuple[str, int]
"""An address and a port."""


class Entry(Struct, frozen=True):
    """A client's socket, the destination that it sends to, and where conntrack translates that to.

    `seconds`: how long without a packet until it is forgotten; `text` is the line as it was printed.
    """

    protocol: str
    seconds: int
    client: Tuple
    destination: Tuple
    target: Tuple
    replied: bool
    text: str


def read_entries(text: str) -> Iterator[Entry]:
    """The entries of /proc/net/nf_conntrack or `conntrack -L`, one by one; other lines are passed over."""
    for match in _LINE.finditer(text):
        protocol, seconds, source, to, sport, dport, state, target, tport = match.groups()
        try:
            client, destination = (_plain(source), int(sport)), (_plain(to), int(dport))
            bound = (_plain(target), int(tport))
        except ValueError:
            continue
        replied = "[UNREPLIED]" not in state
        yield Entry(protocol, int(seconds), client, destination, bound, replied, match.group())


@lru_cache(maxsize=4096)
def _plain(address: str) -> str:
    """An address as the objects have it: /proc/net/nf_conntrack prints IPv6 in full."""
    return canonical(address)


def bound(snapshot: Snapshot, node: str, protocol: str, client: str, destination: Tuple) -> list[Entry]:
    """The node's entries of a client's address to a destination, as a trace starts with them."""
    texts = (each.files.get(CONNTRACK, "") for each in snapshot.nodes if each.name == node)
    return [
        entry
        for text in texts
        for entry in read_entries(text)
        if entry.protocol == protocol and entry.client[0] == client and entry.destination == destination
    ]
