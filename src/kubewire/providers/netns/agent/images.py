"""The images that the agent can run a host program for; any other is refused."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubewire

HTTPBIN = ("kennethreitz/httpbin", "kong/httpbin", "kubewire/httpbin")
COREDNS = ("registry.k8s.io/coredns/coredns", "coredns/coredns")
PAUSE = ("registry.k8s.io/pause",)
HTTPBIN_PORT = 80
# A pod's process is PID 1 of its namespace, where an unhandled SIGTERM is ignored.
_PAUSE_SCRIPT = "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done"


class UnsupportedImageError(Exception):
    """The agent can't run this image; the text names those that it can and what to do."""


@dataclass(frozen=True)
class Program:
    """The program for a container: argv, environment, host paths that it needs, TCP ports that it opens."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    ports: tuple[int, ...] = ()


def repository(image: str) -> str:
    """The image's name without Docker Hub's host, tag and digest."""
    name = image.partition("@")[0]
    name = re.sub(r":[^:/]*$", "", name)
    return re.sub(r"^(docker\.io|index\.docker\.io)/", "", name)


def program(container: Mapping[str, Any], *, ipv6: bool, rootful: bool, coredns: Path | None) -> Program:
    """The program that replaces a container's image; UnsupportedImageError if there is none."""
    name = repository(container.get("image", ""))
    if name in HTTPBIN:
        return _httpbin(container, ipv6, python_runtime(for_others=rootful))
    if name in COREDNS:
        return _coredns(container, coredns)
    if name in PAUSE:
        return Program(("/bin/sh", "-c", _PAUSE_SCRIPT))
    known = ", ".join((HTTPBIN[0], COREDNS[0], PAUSE[0]))
    raise UnsupportedImageError(
        f"the netns provider runs no container images; it has replacements for {known} only. "
        f"For {container.get('image', '')} use the kind provider (--provider kind)"
    )


def declared_ports(container: Mapping[str, Any]) -> tuple[int, ...]:
    """The TCP ports a container declares."""
    ports = container.get("ports", [])
    return tuple(port["containerPort"] for port in ports if port.get("protocol", "TCP") == "TCP")


def _httpbin(container: Mapping[str, Any], ipv6: bool, runtime: Program) -> Program:
    command = [*container.get("command", ()), *container.get("args", ())]
    if command[:2] == ["python3", "-c"]:
        return Program((*runtime.argv, *command[1:]), runtime.environment, runtime.paths)
    if command and command[0] != "gunicorn":
        raise UnsupportedImageError(
            "the netns provider's httpbin is PyPI's, under gunicorn, or python3 -c; it can't run the command "
            f"{' '.join(command)!r}. Leave command and args out, or use the kind provider (--provider kind)"
        )
    bound = [int(found.group(1)) for word in command if (found := re.search(r":(\d+)$", word))]
    port = (bound or declared_ports(container) or [HTTPBIN_PORT])[0]
    options = (
        "--bind", f"[::]:{port}" if ipv6 else f"0.0.0.0:{port}",
        "--workers", "1",
        "--worker-class", "gthread",
        "--threads", "8",
        "--worker-tmp-dir", "/dev/shm",  # noqa: S108
        "--no-control-socket",
        "--access-logfile", "-",
    )  # fmt: skip
    argv = (*runtime.argv, "-m", "gunicorn", *options, "kubewire.providers.httpbin_app:application")
    return Program(argv, runtime.environment, runtime.paths, (port,))


def _coredns(container: Mapping[str, Any], binary: Path | None) -> Program:
    if binary is None or not binary.is_file():
        raise UnsupportedImageError(
            "this lab has no CoreDNS binary; set `dns: true` in the lab and run up again"
        )
    return Program(
        (str(binary), *container.get("args", ())), paths=(binary,), ports=declared_ports(container)
    )


def python_runtime(*, for_others: bool) -> Program:
    """The agent's own Python and its packages, for an unprivileged process.

    The pod's root has every path itself, so the parent folders may be private. The files must be readable for
    a process that runs `for_others`, under a uid that isn't their owner's.
    """
    executable = Path(os.path.realpath(sys.executable))
    packages = module_folders()
    probes = (executable, *(path / "kubewire" / "providers" / "httpbin_app.py" for path in packages))
    for probe in probes:
        if for_others and probe.exists() and not probe.stat().st_mode & 0o004:
            raise UnsupportedImageError(
                f"{probe} is not readable by others, and pods don't run as root; "
                "install kubewire with umask 022 and run up again"
            )
    paths = dict.fromkeys((Path(os.path.realpath(sys.base_prefix)), executable, *packages))
    return Program(
        argv=(str(executable),),
        environment={"PYTHONPATH": os.pathsep.join(map(str, packages)), "PYTHONDONTWRITEBYTECODE": "1"},
        paths=tuple(paths),
    )


def module_folders() -> tuple[Path, ...]:
    """The folders of this process's packages, whatever their installation: site folders and our source."""
    found = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    found.append(Path(kubewire.__file__).parent.parent)
    return tuple(path for path in dict.fromkeys(p.resolve() for p in found) if path.is_dir())
