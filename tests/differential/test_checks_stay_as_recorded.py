"""Every check over every recorded dataplane, whole and damaged: its id, subject, expected and observed text.

Users' baselines and scripts rely on them; what changes on purpose is recorded anew with --update-golden.
A kind of check that the recording doesn't know is new, and no difference.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot
from kubewire.verify.evaluate import evaluate_snapshot
from recorded import GOLDEN, load

CASES = GOLDEN / "cases"
"""Snapshots with something wrong, each judged by a test of its own."""
RECORDED = sorted(
    path.parent
    for path in chain(GOLDEN.glob("**/cluster.json"), GOLDEN.glob("**/cluster.json.gz"))
    if CASES not in path.parents
)
NTH = 11
"""Every so many-th line, or nft object, is missing from the damaged dumps."""


def damaged(snapshot: Snapshot) -> Snapshot:
    nodes = (NodeSnapshot(node.name, dict(_without_some(node)), node.errors) for node in snapshot.nodes)
    return Snapshot(snapshot.cluster, tuple(nodes), snapshot.meta)


def _without_some(node: NodeSnapshot) -> Iterator[tuple[str, str]]:
    for name, text in node.files.items():
        if name.startswith("nft-"):
            objects = json.loads(text)["nftables"]
            kept = [each for index, each in enumerate(objects) if index % NTH != NTH - 1]
            yield name, json.dumps({"nftables": kept})
        elif name.endswith("-save.txt"):
            lines = text.splitlines(keepends=True)
            yield name, "".join(line for index, line in enumerate(lines) if index % NTH != NTH - 1)
        else:
            yield name, text


def digests(snapshot: Snapshot) -> Iterator[str]:
    """`ID STATUS COUNT DIGEST` for each kind of check."""
    found = defaultdict(list)
    for check in evaluate_snapshot(snapshot).checks:
        subject = (check.node, check.family, check.service, check.object, check.expected, check.observed)
        found[check.id, check.status].append("\0".join(subject))
    for (kind, status), subjects in sorted(found.items()):
        digest = hashlib.sha256("\n".join(sorted(subjects)).encode()).hexdigest()[:16]
        yield f"{kind} {status} {len(subjects)} {digest}"


def test_checks_stay(golden: Callable[[Path, str], None], request: pytest.FixtureRequest) -> None:
    lines = []
    recorded = (GOLDEN / "checks.txt").read_text()
    known = {line.partition(": ")[2].partition(" ")[0] for line in recorded.splitlines()}
    for folder in RECORDED:
        snapshot = load(folder)
        for state, each in (("whole", snapshot), ("damaged", damaged(snapshot))):
            lines += [
                f"{folder.relative_to(GOLDEN)} {state}: {line}"
                for line in digests(each)
                if line.partition(" ")[0] in known or request.config.getoption("--update-golden")
            ]
    golden(GOLDEN / "checks.txt", "\n".join(lines) + "\n")
