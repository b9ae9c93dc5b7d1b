"""The kind path, by hand and by kubewire, beside the embedded lab: the budgets that need a Docker engine."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from measuring import Cli, Row

from kubewire.binaries.supply import ensure
from kubewire.binaries.toolchain import architecture
from kubewire.core.progress import emit
from kubewire.lab.loading import load_lab
from kubewire.lab.workload import IMAGE, workload_manifests
from kubewire.providers.kind.engine import engine
from kubewire.providers.kind.image.archive import Image, make_layer, write
from kubewire.providers.kind.images import choose_image
from kubewire.providers.kind.tool import find

NAME = "bench-by-hand"
BIG = "kubewire/bench-httpbin:200mb"
PADDING = 140 * 1024**2
"""On top of our httpbin image, so that it is as large as the usual one."""


def kind_rows(cli: Cli) -> list[Row]:
    """Each path once, one after another, with the same node image."""
    lab = load_lab("iptables", {})
    with engine() as docker:
        image = choose_image(lab, docker.images()).reference
    _make_big_image()
    hand, big = by_hand(cli.folder, image, IMAGE), by_hand(cli.folder, image, BIG)
    path = _lab(cli, "iptables")
    ours = cli.run("up", path).seconds
    second = cli.run("up", path).seconds
    verify = cli.run("verify", path).seconds
    down = cli.run("down", path).seconds
    beside = _lab(cli, "iptables", "netns")
    embedded = cli.run("up", beside, "--verify").seconds
    cli.run("down", beside)
    path_seconds = sum(big.values()) + verify
    rows = [Row(f"by hand: {step}", f"{seconds:.1f} s") for step, seconds in hand.items()]
    rows += [Row(f"kind path: {step}", f"{seconds:.1f} s") for step, seconds in big.items()]
    return [
        *rows,
        Row("kind path: verify", f"{verify:.1f} s"),
        Row("kind path", f"{path_seconds:.1f} s"),
        Row("up on kind", f"{ours:.1f} s"),
        Row("up on kind / the same by hand", f"{ours / sum(hand.values()):.2f}", "≤ 1.15"),
        Row("second up on kind / up", f"{second / ours:.2f}", "≤ 0.3"),
        Row("down on kind", f"{down:.1f} s"),
        Row("embedded up + verify", f"{embedded:.1f} s"),
        Row("embedded up + verify / kind path", f"{embedded / path_seconds:.2f}", "≤ 0.25"),
        *_cell_rows(cli, image, path_seconds),
    ]


def _cell_rows(cli: Cli, image: str, iptables: float) -> list[Row]:
    """Two cells of a nightly, one after another in one run of `kubewire matrix`, against their kind paths."""
    path = _lab(cli, "nftables")
    cli.run("up", path)
    nftables = sum(by_hand(cli.folder, image, BIG, "nftables").values()) + cli.run("verify", path).seconds
    cli.run("down", path)
    (cli.folder / "cells.yml").write_text(
        json.dumps({"versions": ["1.37"], "modes": ["iptables", "nftables"], "labs": ["nodeport"]})
    )
    words = ("--jobs", "1", "--output", str(cli.folder / "cells"))
    cell = cli.run("matrix", str(cli.folder / "cells.yml"), *words).seconds / 2
    return [
        Row("kind path, nftables", f"{nftables:.1f} s"),
        Row("a nightly's cell, mean of two", f"{cell:.1f} s"),
        Row("kind paths / cells", f"{(iptables + nftables) / 2 / cell:.1f}", "≥ 4"),
    ]


def _lab(cli: Cli, mode: str, provider: str = "kind") -> str:
    path = cli.folder / f"bench-{mode}-{provider}.yml"
    path.write_text(json.dumps({"mode": mode, "provider": provider}))
    return str(path)


def by_hand(folder: Path, image: str, workload: str, mode: str = "iptables") -> dict[str, float]:
    """Step → seconds: kind create --wait, the image into the nodes, apply, rollout. Removed afterwards.

    Our own image goes the way that kubewire takes: it is in the node image already.
    """
    kind, kubectl = str(find(emit)), str(ensure("1.37").kubectl)
    lab = load_lab(mode, {"httpbin.image": workload} if workload != IMAGE else {})
    config, manifests = folder / "hand.yml", folder / "hand.json"
    from kubewire.providers.kind.config import render_kind

    config.write_text(render_kind(lab))
    items = workload_manifests(lab)
    manifests.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    kubeconfig = str(folder / "hand.kubeconfig")
    with_cluster = [kubectl, "--kubeconfig", kubeconfig]
    steps: dict[str, list[str]] = {
        "kind create cluster --wait": [
            *(kind, "create", "cluster", "--name", NAME, "--config", str(config), "--image", image),
            *("--kubeconfig", kubeconfig, "--wait", "180s"),
        ]
    }
    if workload != IMAGE:
        steps["kind load docker-image (200 MB)"] = [kind, "load", "docker-image", workload, "--name", NAME]
    steps["kubectl apply"] = [*with_cluster, "apply", "-f", str(manifests)]
    steps["kubectl rollout status"] = [*with_cluster, "rollout", "status", "deployment/httpbin"]
    try:
        return {name: _seconds(lambda argv=argv: _run(argv)) for name, argv in steps.items()}
    finally:
        _run([kind, "delete", "cluster", "--name", NAME, "--kubeconfig", kubeconfig])


def _make_big_image() -> None:
    with engine() as docker, tempfile.TemporaryDirectory() as folder:
        if docker.image(BIG):
            return
        padding = Path(folder, "padding")
        padding.write_bytes(os.urandom(PADDING))
        base = make_layer(Path(folder, "padding.tar"), {"padding": padding})
        write(Path(folder, "image.tar"), [Image(("kubewire/bench-padding:1",), (base,))], architecture())
        _run(["docker", "load", "-i", str(Path(folder, "image.tar"))])
        recipe = f"FROM {IMAGE}\nCOPY --from=kubewire/bench-padding:1 /padding /padding\n"
        subprocess.run(
            ["docker", "build", "-q", "-t", BIG, "-"], input=recipe.encode(), check=True, capture_output=True
        )


def _seconds(call: Callable[[], None]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


def _run(argv: list[str]) -> None:
    subprocess.run(argv, check=True, capture_output=True, text=True)
