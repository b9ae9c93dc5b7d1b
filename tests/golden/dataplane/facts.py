"""Prints facts.json of the network namespace it runs in."""

import json
import socket
import struct
from pathlib import Path


def nfacct() -> bool:
    """Whether the kernel creates an nfacct counter on request (nfnetlink_acct: subsystem 7, message 0)."""
    name = b"kubewire_probe\0"
    attribute = struct.pack("=HH", 4 + len(name), 1) + name
    attribute += b"\0" * (-len(attribute) % 4)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        netlink.bind((0, 0))

        def call(kind: int, flags: int) -> int:
            body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0) + attribute
            netlink.send(struct.pack("=IHHII", 16 + len(body), 7 << 8 | kind, flags, 1, 0) + body)
            return struct.unpack_from("=i", netlink.recv(4096), 16)[0]

        created = call(0, 0x1 | 0x4 | 0x400) == 0
        if created:
            call(3, 0x1 | 0x4)
        return created


def sysctl(name: str) -> int:
    return int(Path("/proc/sys/net", name).read_text())


facts = {"tcp_be_liberal": sysctl("netfilter/nf_conntrack_tcp_be_liberal"), "nfacct": nfacct()}
print(json.dumps(facts))
