"""Damages to recorded healthy snapshots, each of one kind, for what a report says first."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from kubewire.dataplane.core.snapshot import NodeSnapshot, Snapshot

Edit = Callable[[dict[str, str]], None]


def damaged(snapshot: Snapshot, edit: Edit, *nodes: str) -> Snapshot:
    """The snapshot with the files of these nodes edited, of all without a name."""
    changed = []
    for node in snapshot.nodes:
        files = dict(node.files)
        if not nodes or node.name in nodes:
            edit(files)
        changed.append(NodeSnapshot(node.name, files, node.errors))
    return Snapshot(snapshot.cluster, tuple(changed), snapshot.meta)


def without_lines(pattern: str, *files: str) -> Edit:
    """Every line in which the pattern is found is gone."""

    def edit(texts: dict[str, str]) -> None:
        for name in files:
            lines = texts[name].splitlines(keepends=True)
            texts[name] = "".join(line for line in lines if not re.search(pattern, line))

    return edit


def without_table_lines(table: str, pattern: str, name: str) -> Edit:
    """The same within one table of an iptables-save."""

    def edit(texts: dict[str, str]) -> None:
        before, mark, rest = texts[name].partition(f"*{table}\n")
        inside, commit, after = rest.partition("COMMIT\n")
        kept = [line for line in inside.splitlines(keepends=True) if not re.search(pattern, line)]
        texts[name] = before + mark + "".join(kept) + commit + after

    return edit


def without_file(*names: str) -> Edit:
    """These dumps could not be taken."""

    def edit(texts: dict[str, str]) -> None:
        for name in names:
            del texts[name]

    return edit


def nft(change: Callable[[dict[str, Any]], bool], *files: str) -> Edit:
    """The nft objects for which `change`, which may edit them, says so are gone."""

    def edit(texts: dict[str, str]) -> None:
        for name in files:
            objects = json.loads(texts[name])["nftables"]
            texts[name] = json.dumps({"nftables": [each for each in objects if not change(each)]})

    return edit
