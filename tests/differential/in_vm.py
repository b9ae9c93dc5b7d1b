"""A place for kube-proxies in a VM whose kernel has ip_vs (`--host vm`); all else runs on this machine.

Under emulation whatever runs in the guest takes many times as long, and only kube-proxy and the tools that
dump what it wrote need its kernel.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from places import Place
from testbed import GATEWAY, WORK
from variants import KUBECONFIG

from kubewire.binaries.catalog import KUBE_PROXY, Artifact
from kubewire.binaries.fetchplan import Need
from kubewire.core import progress
from kubewire.hosts.vm import machine
from kubewire.hosts.vm.parts import prepare
from kubewire.hosts.vm.state import CACHE_HOME

NAME = "differential"
API = "6443"
MUX = ("-S", str(WORK / "ssh"))
BRIDGE = f"""
set -e
mkdir -p {WORK}
ip link add br0 type bridge
ip addr add {GATEWAY}/16 dev br0
ip link set br0 up
sysctl -qw net.ipv4.conf.br0.route_localnet=1
iptables -t nat -A PREROUTING -d {GATEWAY} -p tcp --dport {API} -j DNAT --to 127.0.0.1:{API}
"""
"""The guest sees the apiserver at the nodes' gateway; SSH carries it there."""


def needs(versions: Iterable[str]) -> list[Need]:
    """What lies on the guest's disk."""
    return [(Artifact("kubernetes", version), (KUBE_PROXY,)) for version in versions]


def guest(versions: Iterable[str]) -> Place:
    """A VM of this sandbox's own, which ends with it; its parts are in the cache, and the bed is made."""
    os.environ["XDG_STATE_HOME"] = str(WORK / "state")
    vm = machine.ensure(NAME, prepare(needs(versions)), progress.emit)
    client, *rest = vm.ssh
    forward = ("-M", "-N", "-f", "-o", "ExitOnForwardFailure=yes", "-R", f"{API}:127.0.0.1:{API}")
    subprocess.run([client, *MUX, *forward, *rest], check=True)
    place = Place((client, *MUX, *rest), Path(CACHE_HOME, "kubewire", "bin"))
    place.do(("sh", "-c", BRIDGE))
    for path in (Path(KUBECONFIG), WORK / "ca.crt"):
        place.write(path, path.read_text())
    return place
