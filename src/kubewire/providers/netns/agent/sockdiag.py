"""The listening TCP ports of the calling thread's network namespace, queried over netlink.

Reading /proc/net/tcp walks the hash of established connections, tens of milliseconds on a big machine;
inet_diag returns one state at once. Source: include/uapi/linux/{netlink,sock_diag,inet_diag}.h.
"""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_REQUEST_DUMP = 0x301
_TCP_LISTEN = 10
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI48x")
_SOURCE_PORT = struct.Struct(">H")
_PORT_OFFSET = 4


def listening_ports() -> set[int]:
    """Ports of both families; from /proc if the kernel has no inet_diag."""
    try:
        return _dump(socket.AF_INET) | _dump(socket.AF_INET6)
    except OSError:
        tables = (Path("/proc/thread-self/net", name) for name in ("tcp", "tcp6"))
        return set[int]().union(*(parse(table.read_text()) for table in tables if table.exists()))


def parse(table: str) -> set[int]:
    """The ports in state LISTEN in the text of /proc/net/tcp or tcp6."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {
        int(row[1].rpartition(":")[2], 16) for row in rows if len(row) > 3 and int(row[3], 16) == _TCP_LISTEN
    }


def _dump(family: int) -> set[int]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_SOCK_DIAG) as link:
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 1 << _TCP_LISTEN)
        header = _HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 1, 0)
        link.settimeout(2)
        link.send(header + request)
        ports: set[int] = set()
        while True:
            data = link.recv(65_536)
            offset = 0
            while offset < len(data):
                length, kind, *_ = _HEADER.unpack_from(data, offset)
                if kind == _NLMSG_DONE:
                    return ports
                if kind == _NLMSG_ERROR:
                    number = -struct.unpack_from("=i", data, offset + _HEADER.size)[0]
                    raise OSError(number, os.strerror(number))
                ports.add(_SOURCE_PORT.unpack_from(data, offset + _HEADER.size + _PORT_OFFSET)[0])
                offset += (length + 3) & ~3
