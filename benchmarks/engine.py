"""`verify --snapshot` of one node with many Services, against jc reading `iptables -L` of the same state."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import yaml
from measuring import Cli, Row, Timed, timed


def engine_rows(cli: Cli, services: int) -> list[Row]:
    """The real kube-proxy programs the state in iptables and in nftables mode; then one node is judged."""
    rows = []
    listing = cli.folder / f"listing-{services}.txt"
    for mode in ("iptables", "nftables"):
        name = f"bench-{mode}-{services}"
        folder = _snapshot(cli, name, mode, services, listing)
        judged = _best(3, lambda folder=folder: cli.run("verify", "--snapshot", str(folder)))
        jc = _best(3, lambda: _jc(listing))
        rows += [
            Row(f"verify --snapshot, {services} x 3, {mode}", f"{judged.seconds:.2f} s"),
            Row("  peak memory", f"{judged.peak_mib:.0f} MiB", "≤ 1024 MiB"),
            Row("  jc reads `iptables -L` of that state", f"{jc.seconds:.2f} s"),
            Row("  ratio", f"{judged.seconds / jc.seconds:.2f}", "≤ 1"),
        ]
    return rows


def _best(times: int, run: Callable[[], Timed]) -> Timed:
    return min((run() for _ in range(times)), key=lambda timed: timed.seconds)


def _jc(listing: Path) -> Timed:
    code = "import jc, sys; jc.parse('iptables', open(sys.argv[1]).read())"
    return timed([sys.executable, "-c", code, str(listing)])


def _snapshot(cli: Cli, name: str, mode: str, services: int, listing: Path) -> Path:
    lab = cli.folder / f"{name}.yml"
    manifest = cli.folder / f"{services}.yml"
    if not manifest.exists():
        manifest.write_text("---\n".join(json.dumps(obj) + "\n" for obj in state(services)))
    lab.write_text(
        yaml.safe_dump(
            {
                "mode": mode,
                "provider": "netns",
                "nodes": {"workers": 1},
                "httpbin": {"replicas": 1},
                "manifests": [manifest.name],
                "checks": ["dataplane"],
            }
        )
    )
    cli.run("up", str(lab))
    folder = cli.folder / name
    cli.run("snapshot", str(lab), str(folder))
    if mode == "iptables":
        tables = ("nat", "filter")
        listing.write_text(
            "\n".join(
                cli.run("exec", name, "worker", "--", "iptables", "-n", "-t", table, "-L").out
                for table in tables
            )
        )
    cli.run("down", name)
    shutil.rmtree(folder / "nodes" / f"{name}-control-plane")
    return folder


def state(services: int) -> list[dict[str, object]]:
    """Services without selector, each with an EndpointSlice of three ready endpoints."""
    objects: list[dict[str, object]] = []
    for number in range(services):
        name = f"bench-{number:05d}"
        objects.append(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": name, "namespace": "default"},
                "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]},
            }
        )
        objects.append(
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "labels": {"kubernetes.io/service-name": name},
                },
                "addressType": "IPv4",
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                "endpoints": [
                    {"addresses": [f"10.245.{(number * 3 + i) // 250}.{(number * 3 + i) % 250 + 1}"]}
                    for i in range(3)
                ],
            }
        )
    return objects
