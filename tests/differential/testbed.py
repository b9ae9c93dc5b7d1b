"""A sandbox with one real control plane and a network namespace for each real kube-proxy.

Everything here runs as PID 1 of namespaces of its own (see `enter`), so that all of it dies with it.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from variants import KUBECONFIG, Variant, document

from kubewire.dataplane.versions import Version
from kubewire.kubernetes.api import Api, ApiError
from kubewire.netns.certificates import Authority, signing_key
from kubewire.snapshot.execute import run
from kubewire.snapshot.model import NodeSnapshot
from kubewire.snapshot.node import SCRIPT, node_snapshot, split_sections

GATEWAY = "172.18.0.1"
NODE_IPS = {
    name: (f"172.20.0.{number}", f"fd00:20::{number}")
    for name, number in (("node-a", 10), ("node-b", 11), ("node-c", 12))
}
DUMPS = {
    "iptables": {"iptables-save.txt": ("iptables-save",), "ip6tables-save.txt": ("ip6tables-save",)},
    "nftables": {
        f"nft-{family}.json": ("nft", "-j", "list", "table", family, "kube-proxy") for family in ("ip", "ip6")
    },
}
Object = dict[str, Any]
Key = tuple[str, str, str]
REFUSED = (400, 422)
ATTEMPTS = 12


def enter(arguments: Sequence[str]) -> int:
    """Become this program with these arguments, as PID 1 of a sandbox that ends with this process."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    unshare = ["unshare", *user, "-n", "-m", "-p", "-i", "-f", "--kill-child", "--mount-proc"]
    return os.execvp("unshare", [*unshare, sys.executable, str(Path(__file__).parent), *arguments])


class Testbed:
    """etcd, kube-apiserver and the nodes; their files lie in the sandbox's own /run."""

    __test__ = False

    def __init__(self, etcd: Path, apiserver: Path) -> None:
        self.work = Path("/run/work")
        self._prepare()
        self._write_pki()
        self._start(
            "etcd",
            [etcd, "--data-dir=etcd", "--unsafe-no-fsync", "--log-level=error"]
            + [f"--{kind}-client-urls=http://127.0.0.1:2379" for kind in ("listen", "advertise")]
            + ["--listen-peer-urls=http://127.0.0.1:2380"],
        )
        self._start("kube-apiserver", [apiserver, *_API_FLAGS])
        self.api = Api(Path(KUBECONFIG), timeout=30)
        _until("kube-apiserver", lambda: self.api.find("/api/v1/namespaces/default/services/kubernetes"))
        self.pool = ThreadPoolExecutor(6)

    def _prepare(self) -> None:
        for command in (
            "mount --make-rprivate /",
            "mount -t tmpfs tmpfs /run",
            "mkdir /run/netns /run/work",
            "mount --make-shared /run",
            "ip link set lo up",
            "ip link add br0 type bridge",
            f"ip addr add {GATEWAY}/16 dev br0",
            "ip link set br0 up",
        ):
            subprocess.run(command.split(), check=True)
        os.chdir(self.work)

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
        server = {"server": f"https://{GATEWAY}:6443", "certificate-authority": str(self.work / "ca.crt")}
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
        """The Node objects that kube-proxies claim to run on: two zones, and one node without."""
        for number, (name, ips) in enumerate(NODE_IPS.items(), 1):
            cidrs = [f"10.244.{number}.0/24", f"fd00:10:244:{number}::/64"]
            zone = {"topology.kubernetes.io/zone": f"zone-{name[-1]}"} if name != "node-c" else {}
            self.api.post(
                "/api/v1/nodes",
                {
                    "metadata": {"name": name, "labels": zone},
                    "spec": {"podCIDR": cidrs[0], "podCIDRs": cidrs},
                },
            )
            addresses = [{"type": "InternalIP", "address": ip} for ip in ips]
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
        _ip([f"link add {veth} type veth peer name eth0 netns {self.name}", f"link set {veth} master br0 up"])
        own = [f"addr add {ip}/32 dev eth0" for ip, _ in NODE_IPS.values()]
        own += [f"addr add {ip}/128 dev eth0 nodad" for _, ip in NODE_IPS.values()]
        own += ["link add cni0 type bridge", "link set cni0 up"]  # nft's iif wants it to be there
        address = f"addr add 172.18.1.{number}/16 dev eth0"
        _ip(
            ["link set lo up", address, "link set eth0 up", *own, f"route add default via {GATEWAY}"],
            self.name,
        )

    def start(self, variant: Variant) -> None:
        """Run kube-proxy with this configuration in an empty namespace, in place of a former one."""
        self.stop()
        self.variant = variant
        run([*self.prefix, "nft", "flush", "ruleset"], timeout=30)
        run([*self.prefix, "sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_be_liberal=0"], timeout=30)
        config = self.bed.work / f"{self.name}.yaml"
        config.write_text(yaml.safe_dump(document(variant, self.version, self.mode), sort_keys=False))
        for left in reversed(range(ATTEMPTS)):
            try:
                self._run(config)
                break
            except RuntimeError as error:
                text = (self.bed.work / f"{self.name}.log").read_text(errors="replace")
                if not left or "too many open files" not in text:
                    raise RuntimeError(f"{error} with {variant.name}:\n{text[-3000:]}") from error
                time.sleep(5)  # others hold all inotify instances of this machine
        self._base = self.snapshot().files

    def _run(self, config: Path) -> None:
        with (self.bed.work / f"{self.name}.log").open("wb") as log:
            argv = ["ip", "netns", "exec", self.name, str(self.binary), "--config", str(config)]
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        _until(self.label, lambda: all(self.dumps().values()), alive=self._process)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def dumps(self) -> dict[str, str]:
        """What the mode's checks read, and nothing else."""
        return {name: run([*self.prefix, *argv], timeout=60).out for name, argv in DUMPS[self.mode].items()}

    def quick(self, dumps: Mapping[str, str]) -> NodeSnapshot:
        """The node as these dumps show it; the rest as it was when kube-proxy started."""
        return NodeSnapshot(self.name, {**self._base, **dumps})

    def snapshot(self) -> NodeSnapshot:
        """The node as the product collects it."""
        mark = secrets.token_hex(16)
        outcome = run([*self.prefix, "sh", "-c", SCRIPT, "kubewire", mark], timeout=60)
        sections, whole = split_sections(outcome.out, mark)
        if not whole:
            raise RuntimeError(f"{self.label}: {outcome.err}")
        return node_snapshot(self.name, sections, "")

    def gave_up(self) -> bool:
        """Whether kube-proxy itself says that it could not write its rules."""
        return "Sync failed" in (self.bed.work / f"{self.name}.log").read_text(errors="replace")

    def log(self) -> str:
        """The end of kube-proxy's log from its last error on."""
        lines = (self.bed.work / f"{self.name}.log").read_text(errors="replace").splitlines()
        last = max((n for n, line in enumerate(lines) if line[:1] in ("E", "F")), default=len(lines))
        return "\n".join(line[:300] for line in lines[last : last + 12])


class Refused(Exception):  # noqa: N818
    """The API does not take an object."""


class Cluster:
    """The cluster's Services and EndpointSlices, brought from one state to the next by the fewest calls."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self._there: dict[Key, Object] = {}
        self._namespaces = {"default", "kube-system"}

    def become(self, objects: Iterable[Object]) -> None:
        """Have exactly these objects; the API decides what may be changed and what must be made anew."""
        wanted = {(o["kind"], o["metadata"]["namespace"], o["metadata"]["name"]): o for o in objects}
        for namespace in {key[1] for key in wanted} - self._namespaces:
            self.bed.api.post("/api/v1/namespaces", {"metadata": {"name": namespace}})
            self._namespaces.add(namespace)
        gone = [key for key in self._there if key not in wanted]
        changed = [key for key, item in wanted.items() if self._there.get(key) != item]
        self.bed.map(self._delete, gone)
        refusals = self.bed.map(lambda key: self._write(key, wanted[key]), changed)
        if refused := [text for text in refusals if text]:
            raise Refused(refused[0])

    def _delete(self, key: Key) -> None:
        self.bed.api.delete(_path(key))
        del self._there[key]

    def _write(self, key: Key, item: Object) -> str:
        """Why the API refused the object; "" when it is there now."""
        path = _path(key)
        try:
            if key in self._there and not self._update(path, item):
                self._delete(key)
            if key not in self._there:
                self.bed.api.post(path.rpartition("/")[0], item)
            self._there[key] = {}
            if "status" in item:
                self.bed.api.patch(f"{path}/status", {"status": item["status"]})
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            return error.what
        self._there[key] = item
        return ""

    def _update(self, path: str, item: Object) -> bool:
        there = self.bed.api.get(path)
        meta = {**item["metadata"], "resourceVersion": there["metadata"]["resourceVersion"]}
        try:
            self.bed.api.put(path, {**item, "metadata": meta})
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            return False
        return True


def _path(key: Key) -> str:
    kind, namespace, name = key
    if kind == "Service":
        return f"/api/v1/namespaces/{namespace}/services/{name}"
    return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices/{name}"


def _ip(commands: Iterable[str], netns: str = "") -> None:
    argv = ["ip", *(["-netns", netns] if netns else []), "-batch", "-"]
    subprocess.run(argv, input="\n".join(commands) + "\n", text=True, check=True)


def _until(
    what: str, holds: Callable[[], Any], *, alive: subprocess.Popen[bytes] | None = None, seconds: float = 90
) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except ApiError:
            pass
        if time.monotonic() > end or (alive is not None and alive.poll() is not None):
            raise RuntimeError(f"{what} does not come up")
        time.sleep(0.1)
