"""The engine imports only what is listed here, so nothing with which it could read, write, wait or run."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kubewire import dataplane
from repository import ROOT

ENGINE = ROOT / "src" / "kubewire" / "dataplane"
PURE = (
    *(
        "__future__",
        "abc",
        "collections",
        "contextlib",
        "dataclasses",
        "datetime",
        "difflib",
        "enum",
        "fractions",
        "functools",
        "hashlib",
    ),
    *("ipaddress", "itertools", "json", "re", "typing", "msgspec"),
    *(
        "kubewire.core.bounded_yaml",
        "kubewire.core.errors",
        "kubewire.core.printable",
        "kubewire.core.serialization",
        "kubewire.dataplane",
    ),
)
BUILTINS = {"__import__", "breakpoint", "compile", "eval", "exec", "input", "open", "print"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def is_pure(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in PURE)


def test_every_import_is_listed() -> None:
    lazily = {(ENGINE / "__init__.py", "importlib")}
    found = {(path, module) for path in ENGINE.rglob("*.py") for module in imported(parsed(path))}
    assert {entry for entry in found if not is_pure(entry[1])} == lazily


def test_no_builtin_reaches_outside() -> None:
    used = {
        node.id
        for path in ENGINE.rglob("*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Name)
    }
    assert not used & BUILTINS


def test_every_name_of_the_library_is_there() -> None:
    assert all(getattr(dataplane, name) is not None for name in dataplane.__all__)


def test_layers_hold() -> None:
    code = "from importlinter.cli import lint_imports_command as c; c()"
    command = [sys.executable, "-c", code, "--contract", "dataplane-layers"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text())
