"""A sandbox with one real control plane and a network namespace for each real kube-proxy.

Everything here runs as PID 1 of namespaces of its own (see `enter`), so that all of it dies with it.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from places import DEADLINE
from variants import KUBECONFIG

from kubewire.cluster.api import Api, ApiError
from kubewire.providers.netns.certificates import Authority, signing_key

GATEWAY = "172.18.0.1"
# Each node's InternalIPs, then its ExternalIPs; node-d has no IPv6.
NODE_IPS = {
    "node-a": (("172.20.0.10", "fd00:20::10"), ()),
    "node-b": (("172.20.0.11", "fd00:20::11"), ()),
    "node-c": (("172.20.0.12",), ("fd00:20::12",)),
    "node-d": (("172.20.0.13",), ()),
}
ZONES = {"node-a": "zone-a", "node-b": "zone-b", "node-d": "zone-a"}
WORK = Path("/run/work")


def enter(arguments: Sequence[str]) -> int:
    """Become this program with these arguments, as PID 1 of a sandbox that ends with this process."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    unshare = ["unshare", *user, "-n", "-m", "-p", "-i", "-f", "--kill-child", "--mount-proc"]
    return os.execvp("unshare", [*unshare, sys.executable, str(Path(__file__).parent), *arguments])


def furnish() -> None:
    """Give the sandbox that this process runs in what a bed needs: its own /run, loopback and a bridge."""
    for command in (
        "mount --make-rprivate /",
        "mount -t tmpfs tmpfs /run",
        f"mkdir /run/netns {WORK}",
        "mount --make-shared /run",
        "ip link set lo up",
        "ip link add br0 type bridge",
        f"ip addr add {GATEWAY}/16 dev br0",
        "ip link set br0 up",
    ):
        subprocess.run(command.split(), check=True)
    os.chdir(WORK)


class Testbed:
    """etcd, kube-apiserver and the nodes; their files lie in the sandbox's own /run."""

    __test__ = False

    def __init__(self, etcd: Path, apiserver: Path) -> None:
        self._write_pki()
        self._start(
            "etcd",
            [etcd, "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=error"]
            + [f"--{kind}-client-urls=http://127.0.0.1:2379" for kind in ("listen", "advertise")]
            + ["--listen-peer-urls=http://127.0.0.1:2380"],
        )
        self._start("kube-apiserver", [apiserver, *_API_FLAGS])
        self.api = Api(Path(KUBECONFIG), timeout=DEADLINE)
        until("kube-apiserver", lambda: self.api.find("/api/v1/namespaces/default/services/kubernetes"))
        self.pool = ThreadPoolExecutor(6)

    def _write_pki(self) -> None:
        authority = Authority("differential")
        pair = authority.issue("kube-apiserver", hosts=(GATEWAY, "10.96.0.1", "127.0.0.1"), server=True)
        token = secrets.token_hex(16)
        for name, content in (
            ("ca.crt", authority.certificate),
            ("api.crt", pair.certificate),
            ("api.key", pair.key),
            ("sa.key", signing_key()),
            ("tokens", f"{token},admin,1,system:masters\n"),
        ):
            Path(name).write_text(content)
        server = {"server": f"https://{GATEWAY}:6443", "certificate-authority": str(WORK / "ca.crt")}
        Path(KUBECONFIG).write_text(
            yaml.safe_dump(
                {
                    "clusters": [{"name": "c", "cluster": server}],
                    "users": [{"name": "u", "user": {"token": token}}],
                    "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                    "current-context": "x",
                }
            )
        )

    def _start(self, name: str, argv: Iterable[Any]) -> None:
        with Path(f"{name}.log").open("wb") as log:
            subprocess.Popen([str(word) for word in argv], stdout=log, stderr=log)

    def add_nodes(self) -> None:
        """The nodes that kube-proxies claim to run on: two zones, a node without one, a node without IPv6."""
        for number, (name, (internal, external)) in enumerate(NODE_IPS.items(), 1):
            cidrs = [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"][: 1 if name == "node-d" else 2]
            zone = {"topology.kubernetes.io/zone": ZONES[name]} if name in ZONES else {}
            self.api.post(
                "/api/v1/nodes",
                {
                    "metadata": {"name": name, "labels": zone},
                    "spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs},
                },
            )
            addresses = [{"type": "InternalIP", "address": ip} for ip in internal]
            addresses += [{"type": "ExternalIP", "address": ip} for ip in external]
            hostname = {"type": "Hostname", "address": name}
            self.api.patch(f"/api/v1/nodes/{name}/status", {"status": {"addresses": [*addresses, hostname]}})

    def service_cidr(self, *, extra: bool) -> None:
        """Have a second ServiceCIDR or not; kube-proxy looks at them when it starts."""
        path = "/apis/networking.k8s.io/v1/servicecidrs"
        there = self.api.find(f"{path}/extra")
        if extra and there is None:
            body = {"metadata": {"name": "extra"}, "spec": {"cidrs": ["10.97.0.0/24", "fd00:10:97::/112"]}}
            self.api.post(path, body)
        elif there is not None and not extra:
            self.api.delete(f"{path}/extra")

    def map(self, work: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
        """A few at a time, in order; the first error is raised."""
        return list(self.pool.map(work, items))


_API_FLAGS = (
    "--etcd-servers=http://127.0.0.1:2379",
    "--service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112",
    "--tls-cert-file=api.crt",
    "--tls-private-key-file=api.key",
    "--service-account-key-file=sa.key",
    "--service-account-signing-key-file=sa.key",
    "--service-account-issuer=https://kubernetes.default.svc",
    "--token-auth-file=tokens",
    f"--advertise-address={GATEWAY}",
    "--authorization-mode=RBAC",
    "--disable-admission-plugins=ServiceAccount",
    "--enable-priority-and-fairness=false",
)


def until(
    what: str,
    holds: Callable[[], Any],
    *,
    alive: subprocess.Popen[bytes] | None = None,
    pause: float = 0.1,
) -> None:
    end = time.monotonic() + DEADLINE
    while True:
        try:
            if holds():
                return
        except ApiError:
            pass
        if time.monotonic() > end or (alive is not None and alive.poll() is not None):
            raise RuntimeError(f"{what} does not come up")
        time.sleep(pause)
