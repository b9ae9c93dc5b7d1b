"""Makes the nfacct counters that kube-proxy's rules name, in the network namespace it runs in."""

import socket
import struct

for name in (b"ct_state_invalid_dropped_pkts\0", b"localhost_nps_accepted_pkts\0"):
    attribute = struct.pack("=HH", 4 + len(name), 1) + name
    attribute += b"\0" * (-len(attribute) % 4)
    body = struct.pack("=BBH", socket.AF_UNSPEC, 0, 0) + attribute
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        netlink.bind((0, 0))
        netlink.send(struct.pack("=IHHII", 16 + len(body), 7 << 8, 0x1 | 0x4 | 0x400, 1, 0) + body)
        if error := struct.unpack_from("=i", netlink.recv(4096), 16)[0]:
            raise OSError(-error, name.decode())
