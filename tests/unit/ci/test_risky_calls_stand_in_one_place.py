"""Commands, YAML and archives of others are handled in one place each, where their bounds are."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from repository import ROOT

SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
BOUND = ("msgspec", "msgspec.json", "os", "subprocess", "yaml")
WAITING = {"run", "call", "check_call", "check_output", "getoutput", "getstatusoutput"}
LONG_LIVED = {
    "core/processes.py",
    "core/monitor.py",
    "hostagent/call.py",  # a session outlives its caller
    "hostagent/run.py",
    "providers/kind/image/node.py",  # containerd as a store of images
    "providers/kind/tool.py",  # kind, its lines told as they come
    "binaries/toolchain.py",  # go, its lines told as they come
    "nightly/children.py",
    "nightly/remote_cell.py",
    "providers/netns/agent/process.py",
    "providers/netns/supervisor.py",
    "hosts/vm/monitor.py",
}


def place(path: Path) -> str:
    return str(path.relative_to(ROOT)).removeprefix("src/kubewire/")


def uses(path: Path) -> Iterator[tuple[str, str]]:
    """Each `something.name` and each name imported from a module, by its two words."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node.value), node.attr
        if isinstance(node, ast.ImportFrom) and node.module in BOUND:
            for name in node.names:
                yield node.module, name.name


def offenders(wrong: Callable[[Path], object]) -> dict[str, object]:
    return {place(path): found for path in SOURCES if (found := wrong(path))}


def test_commands_run_over_one_function_with_a_deadline() -> None:
    def wrong(path: Path) -> object:
        return {
            (module, name)
            for module, name in uses(path)
            if (module == "subprocess" and name in WAITING)
            or (module == "os" and name.startswith(("system", "popen", "spawn", "posix_spawn")))
        }

    assert offenders(wrong) == {}


def test_processes_live_on_in_few_places() -> None:
    def wrong(path: Path) -> object:
        return place(path) not in LONG_LIVED and any(
            isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Popen")
            for node in ast.walk(ast.parse(path.read_bytes()))
        )

    assert offenders(wrong) == {}
    assert {path for path in LONG_LIVED if path not in map(place, SOURCES)} == set()


def test_yaml_is_loaded_by_the_bounded_readers() -> None:
    def wrong(path: Path) -> object:
        loads = {name for module, name in uses(path) if module == "yaml" and "load" in name.lower()}
        allowed = {"core/bounded_yaml.py": loads, "lab/yaml_positions.py": {"SafeLoader"}}
        return loads - allowed.get(place(path), set())

    assert offenders(wrong) == {}


def test_msgspec_reads_in_one_module_which_prepares_each_type_under_a_lock() -> None:
    def wrong(path: Path) -> object:
        reading = {"decode", "convert", "Decoder"}
        return place(path) != "core/serialization.py" and (
            {name for module, name in uses(path) if module in ("msgspec", "msgspec.json")} & reading
        )

    assert offenders(wrong) == {}


def test_no_archive_is_unpacked_whole() -> None:
    assert offenders(lambda path: {name for _, name in uses(path)} & {"extractall", "unpack_archive"}) == {}


def test_our_own_modules_are_started_without_the_working_directory() -> None:
    """`python -m` alone searches the folder that a command happens to be started in."""

    def wrong(path: Path) -> object:
        return re.findall(r'sys\.executable,\s*"-m",\s*(?!"pip")\S+', path.read_text())

    assert offenders(wrong) == {}
