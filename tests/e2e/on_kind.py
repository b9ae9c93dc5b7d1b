"""What the suites on real kind share: the engine's picture, labs' files, waiting for a moment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import Kubewire

NODE_IMAGE = "kubewire/node:v1.37.2"


def docker(*argv: str) -> str:
    return subprocess.run(["docker", *argv], capture_output=True, text=True, check=True, timeout=120).stdout


def engine_picture() -> dict[str, list[str]]:
    """What the engine holds of clusters; images stay."""
    return {
        "containers": sorted(docker("ps", "-a", "--format", "{{.Names}}").splitlines()),
        "networks": sorted(docker("network", "ls", "--format", "{{.Name}}").splitlines()),
        "volumes": sorted(docker("volume", "ls", "--format", "{{.Name}}").splitlines()),
    }


def write_lab(folder: Path, name: str, mode: str = "iptables", **keys: Any) -> str:
    path = folder / f"{name}.yml"
    path.write_text(json.dumps({"mode": mode, "provider": "kind", **keys}))
    return str(path)


def kept_files(command: Kubewire) -> list[str]:
    """What is left in the state folder."""
    return sorted(str(file.relative_to(command.state)) for file in command.state.rglob("*") if file.is_file())


@contextmanager
def built_on_node_image(tag: str, *steps: str, **files: str) -> Iterator[str]:
    """An image made from the node image by Dockerfile lines; `files` are its context, by their name."""
    import io
    import tarfile

    from kubewire.providers.kind.engine import connect

    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        recipe = "\n".join((f"FROM {NODE_IMAGE}", *steps, ""))
        for name, text in {"Dockerfile": recipe, **files}.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o755
            archive.addfile(entry, io.BytesIO(text.encode()))
    context.seek(0)
    engine = connect()
    images = engine.client.images
    try:
        images.build(fileobj=context, custom_context=True, tag=tag, rm=True, network_mode="none")
        yield tag
        images.remove(tag, force=True)
    finally:
        engine.close()


def ids_of_own_services(report: dict[str, Any]) -> set[str]:
    return {check["id"] for check in report["checks"] if check["service"].startswith("default/httpbin")}


def embedded_ids(folder: Path, lab: str) -> set[str]:
    """The check ids over the own Services of the same lab, made by the embedded provider meanwhile."""
    command = Kubewire(folder)
    try:
        command.ok("up", lab, "--provider", "netns")
        code, report = command.report(lab)
        assert code == 0
        return ids_of_own_services(report)
    finally:
        command.run("down", lab)
