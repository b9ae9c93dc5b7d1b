"""A node: a network namespace with one real kube-proxy of one version and mode."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from testbed import DEADLINE, GATEWAY, NODE_IPS, Testbed, ip, until
from variants import Variant, document

from kubewire.dataplane.versions import Version
from kubewire.snapshot.execute import run
from kubewire.snapshot.model import NodeSnapshot
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


def lacks(modes: Sequence[str]) -> str:
    """What this machine has not that these modes need, and how to mend it; "" if nothing."""
    if "ipvs" not in modes:
        return ""
    asked = [run(argv, timeout=DEADLINE) for argv in (("ipvsadm", "-Sn"), ("ipset", "save"))]
    told = "\n".join(outcome.err for outcome in asked if outcome.code)
    return told and f"mode ipvs can't run here: {told}\n  run it in a VM, as make lab-ipvs makes one"


class Node:
    """A network namespace with one real kube-proxy of one version and mode."""

    def __init__(self, bed: Testbed, number: int, version: str, mode: str, binary: Path) -> None:
        self.bed, self.mode, self.binary = bed, mode, binary
        self.version = Version.parse(version)
        self.name = f"v{self.version.major}-{self.version.minor}-{self.version.patch}-{mode}"
        self.label = f"{self.version} {mode}"
        self.prefix = ("nsenter", f"--net=/run/netns/{self.name}", "--")
        self._process: subprocess.Popen[bytes] | None = None
        self._base: Mapping[str, str] = {}
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        veth = f"v{number}"
        ip([f"link add {veth} type veth peer name eth0 netns {self.name}", f"link set {veth} master br0 up"])
        ips = [ip for internal, external in NODE_IPS.values() for ip in (*internal, *external)]
        own = [
            f"addr add {ip}/{'128' if ':' in ip else '32'} dev eth0{' nodad' if ':' in ip else ''}"
            for ip in ips
        ]
        own += ["link add cni0 type bridge", "link set cni0 up"]  # nft's iif wants it to be there
        address = f"addr add 172.18.1.{number}/16 dev eth0"
        ip(
            ["link set lo up", address, "link set eth0 up", *own, f"route add default via {GATEWAY}"],
            self.name,
        )

    def start(self, variant: Variant, *, clean: bool = True) -> None:
        """Run kube-proxy with this configuration in place of a former one, on empty tables if `clean`."""
        self.stop()
        self.variant, self.clean = variant, clean
        for command in (*CLEAN, *(CLEAN_IPVS if self.mode == "ipvs" else ())) if clean else ():
            run([*self.prefix, *command.split()], timeout=DEADLINE)
        for server in variant.foreign:
            run([*self.prefix, "ipvsadm", "-A", "-t", server, "-s", "rr"], timeout=DEADLINE)
        config = self.bed.work / f"{self.name}.yaml"
        config.write_text(yaml.safe_dump(document(variant, self.version, self.mode), sort_keys=False))
        for left in reversed(range(ATTEMPTS)):
            try:
                self._run(config)
                break
            except RuntimeError as error:
                text = self._log()
                if not left or "too many open files" not in text:
                    raise RuntimeError(f"{error} with {variant.name}:\n{text[-3000:]}") from error
                time.sleep(5)  # others hold all inotify instances of this machine
        self._base = self.snapshot().files

    def _run(self, config: Path) -> None:
        with (self.bed.work / f"{self.name}.log").open("wb") as log:
            argv = ["ip", "netns", "exec", self.name, str(self.binary), "--config", str(config)]
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        until(self.label, lambda: self._synced() and all(self.dumps().values()), alive=self._process)

    def _synced(self) -> bool:
        """Whether kube-proxy has its first Services and endpoints, so that its own settings are made."""
        return "Caches are synced" in self._log()

    def _log(self) -> str:
        return (self.bed.work / f"{self.name}.log").read_text(errors="replace")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def dumps(self) -> dict[str, str]:
        """What the mode's checks read, and nothing else."""
        return {
            name: run([*self.prefix, *argv], timeout=DEADLINE).out for name, argv in DUMPS[self.mode].items()
        }

    def quick(self, dumps: Mapping[str, str]) -> NodeSnapshot:
        """The node as these dumps show it; the rest as it was when kube-proxy started."""
        return NodeSnapshot(self.name, {**self._base, **dumps})

    def snapshot(self) -> NodeSnapshot:
        """The node as the product collects it."""
        mark = secrets.token_hex(16)
        outcome = run([*self.prefix, "sh", "-c", SCRIPT, "kubewire", mark], timeout=DEADLINE)
        sections, whole = split_sections(outcome.out, mark)
        if not whole:
            raise RuntimeError(f"{self.label}: {outcome.err}")
        return node_snapshot(self.name, sections, "")

    def gave_up(self) -> bool:
        """Whether kube-proxy itself says that it could not write its rules, or is no more."""
        ended = self._process is None or self._process.poll() is not None
        return ended or "Sync failed" in self._log()

    def log(self) -> str:
        """The end of kube-proxy's log from its last error on."""
        lines = self._log().splitlines()
        last = max((n for n, line in enumerate(lines) if line[:1] in ("E", "F")), default=len(lines))
        return "\n".join(line[:300] for line in lines[last : last + 12])
