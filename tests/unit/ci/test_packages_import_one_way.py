"""No two packages import each other, on whatever level; .importlinter holds the order of the layers."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from repository import ROOT

SOURCE = ROOT / "src"
MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in (SOURCE / "kubewire").rglob("*.py")
}


def package(module: str) -> str:
    return module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]


def imported(path: Path) -> Iterator[str]:
    """Each module of ours that a file imports, in functions and for type checking too."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in names]
        else:
            continue
        yield from (name for name in names if name in MODULES)


def test_no_package_pair_imports_each_other() -> None:
    arrows: dict[tuple[str, str], set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        for target in imported(path):
            if package(module) != package(target) and package(target) != "kubewire":
                arrows[package(module), package(target)].add(f"{module} -> {target}")
    both = {pair: found for pair, found in arrows.items() if pair[::-1] in arrows}
    assert both == {}
