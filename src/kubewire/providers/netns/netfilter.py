"""What kube-proxy asks of netfilter, tried piece by piece in a temporary network namespace.

Nothing here changes the host's own rules. What would make the kernel load a module is for the caller to
leave out (`modules.states`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from kubewire.core.processes import run
from kubewire.providers.netns.capabilities import PATIENCE, in_throwaway

MOST_TABLES = 200
OLDEST_NFT = (1, 0, 1)
"""What knftables accepts (sigs.k8s.io/knftables, nftables.go): kube-proxy 1.31 and later."""
OLDEST_KERNEL = (5, 13)
"""For mode nftables (NFTablesKubeProxyKernelVersion, pkg/util/kernel/constants.go)."""


@dataclass(frozen=True)
class Trial:
    """Input of a tool in parts that each work alone; `whole` joins any of them to what the tool reads."""

    argv: tuple[str, ...]
    parts: Mapping[str, str]
    whole: Callable[[Iterable[str]], str]

    def refused(self) -> str:
        """The error of each part that is refused, by name; one error where every part is; else ""."""
        error = in_throwaway(self.argv, self.whole(self.parts.values()))
        if not error:
            return ""
        singly = {name: in_throwaway(self.argv, self.whole([part])) for name, part in self.parts.items()}
        told = [f"{name}: {why}" for name, why in singly.items() if why]
        return "; ".join(told) if len(told) < len(self.parts) else error


def _restore(rules: Iterable[str]) -> str:
    """Rules, each behind its table's name, as iptables-restore reads them."""
    tables: dict[str, list[str]] = {}
    for rule in rules:
        table, _, text = rule.partition(" ")
        tables.setdefault(table, []).append(text)
    blocks = ("\n".join([f"*{t}", ":KUBE-TRY - [0:0]", *lines, "COMMIT"]) for t, lines in tables.items())
    return "\n".join([*blocks, ""])


IPTABLES = Trial(
    ("iptables-restore",),
    {
        "comment": "nat -A KUBE-TRY -m comment --comment try -j RETURN",
        "statistic": "nat -A KUBE-TRY -m statistic --mode random --probability 0.5 -j RETURN",
        "addrtype": "nat -A KUBE-TRY -m addrtype --dst-type LOCAL -j RETURN",
        "recent (session affinity)": "nat -A KUBE-TRY -m recent --name try --rcheck --seconds 1 --reap "
        "-j RETURN",
        "mark and MARK": "nat -A KUBE-TRY -m mark ! --mark 0x4000/0x4000 -j MARK --set-xmark 0x4000/0x4000",
        "DNAT": "nat -A KUBE-TRY -p tcp -m tcp -j DNAT --to-destination 10.244.0.2:80",
        "MASQUERADE --random-fully": "nat -A POSTROUTING -j MASQUERADE --random-fully",
        "conntrack": "filter -A FORWARD -m conntrack --ctstate INVALID -j DROP",
        "REJECT": "filter -A KUBE-TRY -j REJECT --reject-with icmp-port-unreachable",
    },
    _restore,
)
NFTABLES = Trial(
    ("nft", "-f", "-"),
    {
        "concatenated map": "map verdicts { type ipv4_addr . inet_proto . inet_service : verdict; }\n"
        "chain services { ip daddr . meta l4proto . th dport vmap @verdicts; }",
        "fib": "chain local { fib daddr type local ip daddr != 127.0.0.0/8 return; }",
        "numgen": "chain balance { numgen random mod 2 vmap { 0 : return, 1 : return }; }",
        "dynamic set (session affinity)": "set clients { type ipv4_addr; flags dynamic,timeout; timeout 3h; }"
        "\nchain affinity { ip saddr @clients return; update @clients { ip saddr }; }",
        "dnat": "chain endpoint { meta l4proto tcp dnat to 10.244.0.2:80; }",
        "masquerade": "chain nat { type nat hook postrouting priority srcnat; "
        "meta mark & 0x4000 != 0 meta mark set mark xor 0x4000 masquerade fully-random; }",
        "ct": "chain states { ct state new,invalid return; }",
        "reject": "chain refuse { reject; }",
    },
    lambda parts: "\n".join(["table ip kube-try {", *parts, "}", ""]),
)
_COUNTER = r"""
import os, socket, struct, sys
NEW, NAME = 7 << 8, b"kube-try\0"
attribute = struct.pack("=HH", 4 + len(NAME), 1) + NAME.ljust(12, b"\0")
body = bytes(4) + attribute
try:
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
    kernel.settimeout(10)
    kernel.send(struct.pack("=IHHII", 16 + len(body), NEW, 0x405, 1, 0) + body)
    error, = struct.unpack_from("=i", kernel.recv(4096), 16)
except OSError as refused:
    sys.exit(f"no counter: {refused}")
if error:
    sys.exit("no counter: " + os.strerror(-error))
os.execvp("iptables-restore", ["iptables-restore"])
"""
"""Makes an nfacct counter by netlink, as kube-proxy does (pkg/proxy/util/nfacct), then the rule with it."""
_COUNTED = "*filter\n-A FORWARD -m nfacct --nfacct-name kube-try -j DROP\nCOMMIT\n"


def counters_refused() -> str:
    """Why a rule with an nfacct counter is refused, though the counter can be made: kube-proxy of 1.31 and
    later then writes such rules (k/k#142068). "" where it works, or where it has no counters.
    """
    refused = in_throwaway((sys.executable, "-I", "-c", _COUNTER), _COUNTED)
    return "" if refused.startswith("no counter") else refused


def version_of(text: str) -> tuple[int, ...]:
    """The first dotted number in a version's text, () without one: `nftables v1.0.6 (…)` → (1, 0, 6)."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(map(int, found[0].split("."))) if found else ()


def unread_tables() -> list[str]:
    """The nft tables of this network namespace that nft can't list, each with the reason (k/k#136786).

    Reads only. It needs CAP_NET_ADMIN.
    """
    nft = ("nft", "-j", "list", "ruleset")
    why = _read_error(nft)
    if not why:
        return []
    tables = run(("nft", "list", "tables"), timeout=PATIENCE).out
    names = re.findall(r"^table (\S+) (\S+)$", tables, re.MULTILINE)
    return list(_unread(names)) or [why]


def _unread(names: Iterable[tuple[str, str]]) -> Iterator[str]:
    for family, name in list(names)[:MOST_TABLES]:
        if why := _read_error(("nft", "-j", "list", "table", family, name)):
            yield f"table {family} {name}: {why}"


def _read_error(argv: tuple[str, ...]) -> str:
    done = run(("sh", "-c", 'exec "$@" >/dev/null', "sh", *argv), timeout=PATIENCE)
    if done.code == 0:
        return ""
    ended = f"ended by signal {-done.code}" if done.code < 0 else f"exit {done.code}"
    return " ".join(done.err.split())[:300] or ended
