"""The differential oracle: `python tests/differential [--versions all|oldest,1.34,newest] [--states N]`.

Real kube-proxies of each version and mode follow the same generated cluster states; what each wrote is
compared with what the engine says. Exit code 0: no difference; 1: a difference, kept as a golden case; 3:
this machine can't run it. `--modes ipvs` runs wherever the kernel has ip_vs; with `--host vm` that is a VM.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from kubewire.binaries.catalog import MINORS, NEWEST
from kubewire.binaries.supply import ensure, ensure_kube_proxy
from kubewire.core.errors import HostError, KubewireError
from kubewire.hosts.vm.parts import prepare
from repository import GOLDEN

MODES = ("iptables", "nftables")
PATIENCE_IN_VM = 300.0


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python tests/differential")
    parser.add_argument(
        "--versions", default="newest", help="all, or a list of oldest, newest, 1.34, v1.34.2"
    )
    parser.add_argument("--states", type=int, default=60, help="cluster states to hold at least")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument(
        "--patience",
        type=float,
        default=60.0,
        help="seconds that a kube-proxy has to follow; more where slow",
    )
    parser.add_argument("--until", type=int, help="begin no state after this time (seconds since the epoch)")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run")
    parser.add_argument("--record", action="store_true", help="record the goldens of these versions instead")
    parser.add_argument("--host", choices=("local", "vm"), default="local", help="where it runs")
    parser.add_argument("--inside", default="", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.inside:
        code = inside(options)
        sys.stdout.flush()
        os._exit(code)  # ends the sandbox, and with it threads that still wait for a kube-proxy
    if time.time() > (options.until or math.inf):
        print("NOT RUN: the time limit was reached")
        return 0
    try:
        newest = ensure(NEWEST)
        proxies = {version: str(proxy) for version, proxy in _proxies(options.versions)}
        if options.host == "vm":
            from in_vm import needs

            prepare(needs(proxies))
    except KubewireError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    seed = options.seed if options.seed is not None else random.randrange(10**6)
    from testbed import enter

    binaries = {"etcd": str(newest.etcd), "apiserver": str(newest.kube_apiserver), "proxies": proxies}
    return enter([*arguments, "--seed", str(seed), "--inside", json.dumps(binaries)])


def _proxies(words: str) -> list[tuple[str, Path]]:
    named = {"oldest": f"1.{MINORS[0]}", "newest": NEWEST}
    wanted = [f"1.{minor}" for minor in MINORS] if words == "all" else words.split(",")
    paths = [ensure_kube_proxy(named.get(word, word)) for word in wanted]
    return [(path.parent.name, path) for path in paths]


def inside(options: argparse.Namespace) -> int:
    """In the sandbox: make the bed, run, tell."""
    from cluster_objects import Cluster
    from difference import Difference
    from explore import ENOUGH, explore
    from hypothesis.errors import HypothesisWarning
    from in_vm import guest
    from oracle import Oracle
    from places import Place
    from proxies import Node, lacks
    from recorder import record
    from tally import LEAST
    from testbed import Testbed, furnish

    warnings.simplefilter("ignore", HypothesisWarning)  # of cases too large to print
    started = time.monotonic()
    job, modes = json.loads(options.inside), options.modes.split(",")
    if options.host == "local" and (why := lacks(modes)):
        print(why, file=sys.stderr)
        return HostError.exit_code
    furnish()
    bed = Testbed(Path(job["etcd"]), Path(job["apiserver"]))
    bed.add_nodes()
    place, patience = Place(), options.patience
    if options.host == "vm":
        try:
            place, patience = guest(job["proxies"]), max(patience, PATIENCE_IN_VM)
        except KubewireError as error:
            print(error, file=sys.stderr)
            return error.exit_code
    pairs = [(v, p, m) for v, p in job["proxies"].items() for m in modes]
    nodes = [
        Node(place, number, version, mode, Path(path))
        for number, (version, path, mode) in enumerate(pairs, 1)
    ]
    many = options.states >= ENOUGH or not place.emulated
    oracle = Oracle(Cluster(bed), nodes, patience, many=many)
    ready = time.monotonic() - started
    told, code = "", 0
    signal.signal(signal.SIGTERM, _terminate)
    try:
        if options.record:
            record(oracle.cluster, nodes, patience, GOLDEN)
            return 0
        explore(oracle, options.states, options.seed, options.until or math.inf)
    except Difference as difference:
        told, code = f"DIFFERENCE, kept in {difference.keep(GOLDEN / 'differential')}\n{difference}", 1
    except KeyboardInterrupt as stop:
        told, code = "stopped before its end; no difference so far", getattr(stop, "code", 130)
    finally:
        for node in nodes:
            node.stop()
    print(oracle.tally.table())
    print(oracle.tally.summary(f"seed {options.seed}", ready, time.monotonic() - started))
    if not told and options.states >= ENOUGH and (rare := oracle.tally.rare()):
        told, code = f"fewer than {LEAST} states with: {', '.join(rare)}", 1
    print(told or "no difference")
    return code


class Terminated(KeyboardInterrupt):
    """SIGTERM; hypothesis would take SystemExit for a failed test."""

    code = 143


def _terminate(*_: object) -> None:
    raise Terminated


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
