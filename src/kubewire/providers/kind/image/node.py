"""The root of a node: kind's layout, Kubernetes, and containerd with all images in its store."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from kubewire.core.errors import LabError
from kubewire.core.files import last_lines
from kubewire.core.processes import run

FILES = Path(__file__).parent / "files"
PLACES = {
    "kubelet": "usr/bin",
    "kubeadm": "usr/bin",
    "kubectl": "usr/bin",
    "containerd": "usr/local/bin",
    "ctr": "usr/local/bin",
    "containerd-shim-runc-v2": "usr/local/bin",
    "ptp": "opt/cni/bin",
    "host-local": "opt/cni/bin",
    "portmap": "opt/cni/bin",
    "loopback": "opt/cni/bin",
}
ENABLED = ("containerd.service", "kubelet.service")
MASKED = (
    "systemd-binfmt.service",
    "console-getty.service",
    "getty.target",
    "systemd-logind.service",
    "ipvsadm.service",
)
STORE_SECONDS = 30.0
IMPORT_SECONDS = 1800.0
# containerd only as an image store: nothing runs, no snapshot is created.
STORE = """version = 3
root = "{root}"
state = "{state}"
disabled_plugins = [
  "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"
]
[grpc]
  address = "{socket}"
"""


def furnish(
    root: Path, binaries: Mapping[str, Path], kubernetes: str, pause: str, overlay: Path | None
) -> None:
    """Put everything into the root; the overlay's files come last and override others."""
    shutil.copytree(FILES, root, dirs_exist_ok=True)
    for source in FILES.rglob("*"):  # whatever umask this installation was made under
        is_program = source.is_dir() or source.parent.name == "bin"
        (root / source.relative_to(FILES)).chmod(0o755 if is_program else 0o644)
    for name, place in PLACES.items():
        (root / place).mkdir(parents=True, exist_ok=True)
        shutil.copy2(binaries[name], root / place / name)
    (root / "kind/version").write_text(kubernetes)
    for folder in ("etc/kubernetes/manifests", "etc/kubernetes/kubelet.conf.d", "etc/cni/net.d"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    config = root / "etc/containerd/config.toml"
    config.write_text(config.read_text().replace("PAUSE_IMAGE", pause))
    (root / "etc/default").mkdir(exist_ok=True)
    (root / "etc/default/kubelet").write_text(
        f"KUBELET_EXTRA_ARGS={' '.join(kubelet_arguments(kubernetes))}\n"
    )
    _link_units(root)
    if overlay:
        shutil.copytree(overlay, root, dirs_exist_ok=True, symlinks=True)


def kubelet_arguments(kubernetes: str) -> list[str]:
    """Its runtime's cgroup, as in kind's images; from 1.30 on also a folder where an overlay may add settings
    (KEP-3983, beta and on by default since then)."""
    arguments = ["--runtime-cgroups=/system.slice/containerd.service"]
    if int(kubernetes.split(".")[1]) >= 30:
        arguments.append("--config-dir=/etc/kubernetes/kubelet.conf.d")
    return arguments


def store_images(root: Path, archive: Path, containerd: Path, ctr: Path, scratch: Path) -> None:
    """Import an archive into the root's containerd, as CRI will find it (namespace k8s.io)."""
    socket, config = scratch / "containerd.sock", scratch / "containerd.toml"
    store = root / "var/lib/containerd"
    store.mkdir(parents=True, exist_ok=True)
    config.write_text(STORE.format(root=store, state=scratch / "state", socket=socket))
    with (scratch / "containerd.log").open("w+") as log:
        daemon = subprocess.Popen([str(containerd), "--config", str(config)], stdout=log, stderr=log)
        try:
            _import(daemon, ctr, socket, archive, Path(log.name))
        finally:
            daemon.terminate()
            daemon.wait()
    (store / "io.containerd.grpc.v1.introspection" / "uuid").unlink(missing_ok=True)


def _import(daemon: subprocess.Popen[bytes], ctr: Path, socket: Path, archive: Path, log: Path) -> None:
    deadline = time.monotonic() + STORE_SECONDS
    while not socket.exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise LabError(
                f"containerd does not start: {' '.join(last_lines(log, 5))[-500:]}", where="image build"
            )
        time.sleep(0.1)
    words = ("-n", "k8s.io", "images", "import", "--local", "--no-unpack", str(archive))
    answer = run([str(ctr), "-a", str(socket), *words], timeout=IMPORT_SECONDS)
    if answer.code:
        raise LabError(f"ctr images import failed: {answer.err[-500:]}", where="image build")


def _link_units(root: Path) -> None:
    units = root / "etc/systemd/system"
    (units / "multi-user.target.wants").mkdir(parents=True, exist_ok=True)
    for unit in ENABLED:
        link = units / "multi-user.target.wants" / unit
        link.unlink(missing_ok=True)
        link.symlink_to(f"/etc/systemd/system/{unit}")
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
