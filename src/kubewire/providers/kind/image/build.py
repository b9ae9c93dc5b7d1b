"""`kubewire image build`: a kind node image from Debian packages and Kubernetes binaries, no registry."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from kubewire.binaries import store
from kubewire.binaries.catalog import CONTAINERD, NODE_BINARIES, Artifact
from kubewire.binaries.download import require_space
from kubewire.binaries.supply import ensure, ensure_artifact
from kubewire.binaries.toolchain import architecture
from kubewire.binaries.workspace import workspace
from kubewire.core import os_packages, paths
from kubewire.core.errors import HostError
from kubewire.core.progress import Progress
from kubewire.lab.workload import IMAGE as HTTPBIN_IMAGE
from kubewire.providers.kind.image import archive, debian, node, pods

REPOSITORY = "kubewire/node"
VERSION_LABEL = "io.kubewire.kubernetes"
HTTPBIN_LABEL = "io.kubewire.httpbin"
INPUTS_LABEL = "io.kubewire.inputs"
ENTRYPOINT = ("/usr/local/bin/entrypoint", "/sbin/init")
NEEDED_DISK = 8 * 1024**3


def reference(kubernetes: str) -> str:
    """`kubewire/node:v1.37.2`."""
    return f"{REPOSITORY}:{kubernetes}"


def build(version: str, target: Path, *, overlay: Path | None, key: str, progress: Progress) -> None:
    """Build the node image of a Kubernetes version, with httpbin and the node tools, into `target`.

    `overlay` is a folder whose files are copied over the node's root; `key` goes into a label. Needs root,
    mmdebstrap, and that version's whole control plane (HostError); the archive is for `docker load`.
    """
    os_packages.provide(debian.PROGRAMS, progress)
    debian.require()
    require_space(paths.cache_dir(), NEEDED_DISK, "building a node image")
    found = ensure(version, dns=True, node=True, progress=progress)
    if found.control_plane_version != found.version:
        raise HostError(
            f"of Kubernetes {found.version} only kube-proxy is available, and a node needs all components",
            hint="another version; or --provider netns, which runs it beside a newer control plane",
        )
    kubernetes = Artifact("kubernetes", found.version)
    runtime = Artifact("containerd", CONTAINERD)
    containerd = ensure_artifact(runtime, runtime.binaries, progress=progress)
    binaries = {
        **{name: store.path(kubernetes, name) for name in NODE_BINARIES},
        **{name: containerd / name for name in runtime.binaries},
        **{name: found.cni_dir / name for name in ("ptp", "host-local", "portmap", "loopback")},
        "etcd": found.etcd,
        "kube-apiserver": found.kube_apiserver,
        "kube-controller-manager": found.kube_controller_manager,
        "kube-scheduler": found.kube_scheduler,
        "kube-proxy": found.kube_proxy,
        "kubectl": found.kubectl,
        "coredns": found.coredns or Path(),
    }
    with workspace(f"image-{kubernetes.version}", progress) as space:
        job = Job(kubernetes.version, binaries, space.path, overlay, key, progress)
        _assemble(job, target)


@dataclass(frozen=True)
class Job:
    """One build: the binaries by their name, a scratch folder, the image's label, progress."""

    kubernetes: str
    binaries: Mapping[str, Path]
    scratch: Path
    overlay: Path | None
    key: str
    progress: Progress


def _assemble(job: Job, target: Path) -> None:
    kubernetes, binaries, scratch, progress = job.kubernetes, job.binaries, job.scratch, job.progress
    base, python, root = scratch / "base", scratch / "python", scratch / "root"
    progress("image", "Debian packages of the node, kube-proxy and httpbin")
    with ThreadPoolExecutor() as pool:
        roots = (
            pool.submit(debian.pod_root, base, debian.POD_PACKAGES),
            pool.submit(debian.pod_root, python, debian.PYTHON_PACKAGES),
            pool.submit(debian.node_root, root),
        )
        for made in roots:
            made.result()
    sources = pods.Sources(binaries, scratch)
    references = pods.wanted(binaries["kubeadm"], kubernetes)
    progress("image", "images of the control plane and httpbin")
    httpbin = pods.httpbin_image(python, sources, scratch / "site")
    images = [*pods.control_plane_images(references, sources, base), httpbin]
    stored = scratch / "images.tar"
    archive.write(stored, images, architecture())
    progress("image", "the node's root")
    node.furnish(root, binaries, kubernetes, pods.pause_reference(references), job.overlay)
    node.store_images(root, stored, binaries["containerd"], binaries["ctr"], scratch)
    stored.unlink()
    progress("image", "the node image")
    whole = scratch / "root.tar"
    archive.pack(root, whole)
    whole_image = archive.Image(
        (reference(kubernetes),),
        (archive.layer(whole),),
        entrypoint=ENTRYPOINT,
        environment={"container": "docker"},
        labels={VERSION_LABEL: kubernetes, HTTPBIN_LABEL: HTTPBIN_IMAGE, INPUTS_LABEL: job.key},
        stop_signal="SIGRTMIN+3",
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name}.part")
    try:
        archive.write(draft, [whole_image, httpbin], architecture())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
