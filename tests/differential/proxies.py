"""A node: a network namespace with one real kube-proxy of one version and mode."""

from __future__ import annotations

import secrets
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import yaml
from places import Place
from testbed import GATEWAY, NODE_IPS, WORK, until
from variants import Variant, document

from kubewire.core.processes import Outcome
from kubewire.dataplane.core.features import Version
from kubewire.dataplane.core.snapshot import NodeSnapshot
from kubewire.snapshot.node import SCRIPT, node_snapshot, split_sections

IPTABLES = {"iptables-save.txt": ("iptables-save",), "ip6tables-save.txt": ("ip6tables-save",)}
DUMPS = {
    "iptables": IPTABLES,
    "ipvs": {
        **IPTABLES,
        "ipset-save.txt": ("ipset", "save"),
        "ipvsadm-save.txt": ("ipvsadm", "-Sn"),
        "ip-addr.json": ("ip", "-j", "addr"),
    },
    "nftables": {
        f"nft-{family}.json": ("nft", "-j", "list", "table", family, "kube-proxy") for family in ("ip", "ip6")
    },
}
CLEAN = ("nft flush ruleset", "sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=0")
CLEAN_IPVS = (
    "ipvsadm -C",
    "ipset destroy",
    "ip link del kube-ipvs0",
    "sysctl -qw net.ipv4.conf.all.arp_ignore=0 net.ipv4.conf.all.arp_announce=0",
)
ATTEMPTS = 12
RUN = """log=$1; shift; exec 3<&0 2>/dev/null
"$@" >"$log" 2>&1 & proxy=$!; echo $proxy >"$log.pid"
{ read -r _; kill $proxy; } <&3 >/dev/null 2>&1 &
wait $proxy"""
"""Runs kube-proxy until its input ends: SSH carries no signals."""
IDLE = """read -r pid <"{log}.pid"; last=-9
while read -r stat <"/proc/$pid/stat"; do
  set -- $stat; now=$((${{14}} + ${{15}} + ${{16}} + ${{17}}))
  [ $((now - last)) -lt 4 ] && break
  last=$now; sleep 0.7
done 2>/dev/null"""
"""Waits until kube-proxy and what it runs use less than 40 ms of 0.7 s, or it ended: a sync is over."""


class Look(NamedTuple):
    """What the mode's checks read of a node, and whether kube-proxy could not write its rules or ended."""

    dumps: dict[str, str]
    gave_up: bool


def lacks(modes: Sequence[str]) -> str:
    """What this machine has not that these modes need, and how to mend it; "" if nothing."""
    if "ipvs" not in modes:
        return ""
    asked = [Place().run(argv) for argv in (("ipvsadm", "-Sn"), ("ipset", "save"))]
    told = "\n".join(outcome.err for outcome in asked if outcome.code)
    return told and f"mode ipvs can't run here: {told}\n  run it in a VM, as make lab-ipvs makes one"


class Node:
    """A network namespace with one real kube-proxy of one version and mode."""

    def __init__(self, place: Place, number: int, version: str, mode: str, binary: Path) -> None:
        self.place, self.mode, self.binary = place, mode, place.binary(binary)
        self.version = Version.parse(version)
        self.name = f"v{self.version.major}-{self.version.minor}-{self.version.patch}-{mode}"
        self.label = f"{self.version} {mode}"
        self.prefix = ("nsenter", f"--net=/run/netns/{self.name}", "--")
        self._process: subprocess.Popen[bytes] | None = None
        self._base: Mapping[str, str] = {}
        self._log = WORK / f"{self.name}.log"
        self._mark = secrets.token_hex(16)
        place.do(("ip", "netns", "add", self.name))
        veth = f"v{number}"
        add = f"link add {veth} type veth peer name eth0 netns {self.name}"
        self._ip([add, f"link set {veth} master br0 up"])
        ips = [ip for internal, external in NODE_IPS.values() for ip in (*internal, *external)]
        own = [
            f"addr add {ip}/{'128' if ':' in ip else '32'} dev eth0{' nodad' if ':' in ip else ''}"
            for ip in ips
        ]
        own += ["link add cni0 type bridge", "link set cni0 up"]  # nft's iif wants it to be there
        address = f"addr add 172.18.1.{number}/16 dev eth0"
        route = f"route add default via {GATEWAY}"
        self._ip(["link set lo up", address, "link set eth0 up", *own, route], *self.prefix)

    def start(self, variant: Variant, *, clean: bool = True) -> None:
        """Run kube-proxy with this configuration in place of a former one, on empty tables if `clean`."""
        self.stop()
        self.variant, self.clean = variant, clean
        for command in (*CLEAN, *(CLEAN_IPVS if self.mode == "ipvs" else ())) if clean else ():
            self._run(command.split())
        for server in variant.foreign:
            self._run(("ipvsadm", "-A", "-t", server, "-s", "rr"))
        config = WORK / f"{self.name}.yaml"
        self.place.write(config, yaml.safe_dump(document(variant, self.version, self.mode), sort_keys=False))
        for left in reversed(range(ATTEMPTS)):
            try:
                self._start(config)
                break
            except RuntimeError as error:
                text = self._logged()
                if not left or "too many open files" not in text:
                    raise RuntimeError(f"{error} with {variant.name}:\n{text[-3000:]}") from error
                time.sleep(5)  # others hold all inotify instances of this machine
        self._base = self.snapshot().files

    def _start(self, config: Path) -> None:
        self.stop()
        argv = ["ip", "netns", "exec", self.name, str(self.binary), "--config", str(config)]
        words = self.place.argv(["sh", "-c", RUN, "sh", str(self._log), *argv])
        self._process = subprocess.Popen(words, stdin=subprocess.PIPE)
        until(
            self.label,
            lambda: self._synced() and all(self.look().dumps.values()),
            alive=self._process,
            pause=self.place.pause,
        )

    def _synced(self) -> bool:
        """Whether kube-proxy has its first Services and endpoints, so that its own settings are made."""
        return "Caches are synced" in self._logged()

    def _logged(self) -> str:
        return self.place.run(("cat", str(self._log))).out

    def stop(self) -> None:
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def look(self) -> Look:
        """What the mode's checks read, and nothing else, by one command: an SSH session takes its time."""
        commands = {**DUMPS[self.mode], "failed": ("grep", "-c", "Sync failed", str(self._log))}
        mark = self._mark
        takes = [
            f"echo {mark} out {name}; {shlex.join(argv)}; printf '\\n%s\\n' \"{mark} err {name} $?\""
            for name, argv in commands.items()
        ]
        script = "\n".join([IDLE.format(log=self._log), *takes] if self.place.emulated else takes)
        sections, _ = split_sections(self._run(("sh", "-c", script)).out, mark)
        dumps = {name: section.out for name, section in sections.items()}
        failed = dumps.pop("failed", "").strip() != "0"
        return Look(dumps, failed or self._process is None or self._process.poll() is not None)

    def quick(self, dumps: Mapping[str, str]) -> NodeSnapshot:
        """The node as these dumps show it; the rest as it was when kube-proxy started."""
        return NodeSnapshot(self.name, {**self._base, **dumps})

    def snapshot(self) -> NodeSnapshot:
        """The node as the product collects it."""
        outcome = self._run(("sh", "-c", SCRIPT, "kubewire", self._mark))
        sections, whole = split_sections(outcome.out, self._mark)
        if not whole:
            raise RuntimeError(f"{self.label}: {outcome.err}")
        return node_snapshot(self.name, sections, "")

    def log(self) -> str:
        """The end of kube-proxy's log from its last error on."""
        lines = self._logged().splitlines()
        last = max((n for n, line in enumerate(lines) if line[:1] in ("E", "F")), default=len(lines))
        return "\n".join(line[:300] for line in lines[last : last + 12])

    def _run(self, words: Sequence[str]) -> Outcome:
        return self.place.run([*self.prefix, *words])

    def _ip(self, commands: Iterable[str], *prefix: str) -> None:
        self.place.do([*prefix, "ip", "-batch", "-"], "\n".join(commands) + "\n")
