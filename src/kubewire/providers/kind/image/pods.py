"""The images in a node image: those that kubeadm lists, the CNI's, httpbin."""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

from kubewire.core.bundle import lock, picked
from kubewire.core.errors import HostError
from kubewire.core.processes import run
from kubewire.lab.workload import IMAGE as HTTPBIN_IMAGE
from kubewire.providers.kind.image import debian
from kubewire.providers.kind.image.archive import Image, Layer, layer, make_layer, pack

EMPTY = "docker.io/kubewire/empty:1"
"""The root of the CNI's container: only links into the node's /usr, which is mounted in it."""
PAUSE = (
    "/bin/busybox",
    "sh",
    "-c",
    "trap 'exit 0' TERM INT; while :; do /bin/busybox sleep 3600 & wait $!; done",
)
SECONDS = 1800.0
NOBODY = "65534:65534"
COMMAND = ("python3", "-m", "gunicorn", "-c", "/etc/httpbin.conf.py", "httpbin_app:application")
APP = Path(__file__).parents[2] / "httpbin_app.py"
SERVER = Path(__file__).parent / "httpbin_conf.py"
SITE = "usr/lib/python3/dist-packages"


@dataclass(frozen=True)
class Sources:
    """The inputs of the images: binaries by their name, and a folder for the layers."""

    binaries: Mapping[str, Path]
    scratch: Path


def wanted(kubeadm: Path, kubernetes: str) -> tuple[str, ...]:
    """The references that kubeadm of that version lists."""
    answer = run(
        [str(kubeadm), "config", "images", "list", "--kubernetes-version", kubernetes, "-o", "json"],
        timeout=SECONDS,
    )
    if answer.code:
        raise HostError(f"kubeadm doesn't list its images: {answer.err}")
    images: list[str] = json.loads(answer.stdout)["images"]
    return tuple(images)


def pause_reference(references: tuple[str, ...]) -> str:
    """The pause image among them, with which containerd starts every pod."""
    return next(each for each in references if _name(each) == "pause")


def control_plane_images(references: tuple[str, ...], sources: Sources, base: Path) -> list[Image]:
    """An image for each reference; `base` is the unpacked root with what kube-proxy calls."""
    below = _root_layer(base, sources.scratch / "base.tar", links=_iptables_links())
    busybox = make_layer(sources.scratch / "busybox.tar", {"bin/busybox": base / "bin/busybox"})
    images = []
    for reference in references:
        name = _name(reference)
        match name:
            case "pause":
                images.append(Image((reference,), (busybox,), entrypoint=PAUSE))
            case "kube-proxy":
                images.append(
                    Image((reference,), (below, _binary(name, sources, "usr/local/bin/kube-proxy")))
                )
            case "coredns":
                images.append(
                    Image((reference,), (_binary(name, sources, "coredns"),), entrypoint=("/coredns",))
                )
            case _:
                images.append(Image((reference,), (_binary(name, sources, f"usr/local/bin/{name}"),)))
    links = {folder: f"usr/{folder}" for folder in ("bin", "sbin", "lib", "lib64")}
    empty = make_layer(sources.scratch / "empty.tar", links=links, folders=("usr", "etc", "tmp", "run"))
    return [*images, Image((EMPTY,), (empty,))]


def httpbin_image(root: Path, sources: Sources, install_folder: Path) -> Image:
    """PyPI's httpbin of this environment's version, under gunicorn, on a Python from the folder `root`."""
    install_httpbin(install_folder)
    own = {
        **{f"{SITE}/{entry.name}": entry for entry in sorted(install_folder.iterdir())},
        f"{SITE}/httpbin_app.py": APP,
        "etc/httpbin.conf.py": SERVER,
    }
    return Image(
        (HTTPBIN_IMAGE,),
        (
            _root_layer(root, sources.scratch / "python.tar", links={"usr/bin/python": "python3"}),
            make_layer(sources.scratch / "httpbin.tar", own, folders=("tmp",)),
        ),
        entrypoint=COMMAND,
        environment={"PYTHONDONTWRITEBYTECODE": "1"},
        user=NOBODY,
    )


def install_httpbin(target: Path) -> None:
    """httpbin, gunicorn and all they need, as the wheels that kubewire's lock file names by their hashes."""
    platforms = (option for libc in ("2_28", "2_17", "2014") for option in ("--platform", _manylinux(libc)))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(pins())
        file.flush()
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input")
        narrow = ("--no-deps", "--only-binary=:all:", "--require-hashes", "--no-compile")
        place = ("--target", str(target), "--python-version", debian.PYTHON, "--implementation", "cp")
        argv = [*pip, *narrow, *place, *platforms, "-r", file.name]
        answer = run(argv, timeout=SECONDS, env=os.environ)
    if answer.code:
        words = answer.err.splitlines() or ["pip printed nothing"]
        raise HostError(
            f"httpbin can't be installed for the image: {words[-1]}", hint="it needs access to PyPI"
        )


def pins() -> str:
    """The image's requirements, such as `httpbin==0.10.4 --hash=…`, from kubewire's lock file."""
    names = set(closure("httpbin", "gunicorn"))
    return picked(lock().decode(), debian.PYTHON, lambda name: name in names)


def closure(*names: str) -> Iterator[str]:
    """These distributions and all their dependencies, each once."""
    known: set[str] = set()
    todo = list(names)
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in known:
            continue
        known.add(name)
        try:
            needed = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
        yield name
        todo += [need.name for need in needed if need.marker is None or need.marker.evaluate({"extra": ""})]


def _manylinux(libc: str) -> str:
    import platform

    return f"manylinux{'' if libc == '2014' else '_'}{libc}_{platform.machine()}"


def _binary(name: str, sources: Sources, place: str) -> Layer:
    return make_layer(sources.scratch / f"{name}.tar", {place: sources.binaries[name]})


def _root_layer(root: Path, file: Path, *, links: Mapping[str, str]) -> Layer:
    """A complete unpacked root as one layer, with links that its packages' scripts would have created."""
    for name, target in links.items():
        place = root / name
        if not place.is_symlink():
            place.symlink_to(target)
    pack(root, file)
    return layer(file)


def _iptables_links() -> dict[str, str]:
    """iptables over nftables; a node where Docker uses the old tables has kube-proxy write the new ones."""
    return {
        f"usr/sbin/{tool}{suffix}": "xtables-nft-multi"
        for tool in ("iptables", "ip6tables")
        for suffix in ("", "-save", "-restore")
    }


def _name(reference: str) -> str:
    """`coredns` of registry.k8s.io/coredns/coredns:v1.12.0."""
    return reference.rpartition("/")[2].partition(":")[0]
