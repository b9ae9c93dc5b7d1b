"""One way to standard output and standard error, and what it lets through."""

from __future__ import annotations

import ast
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from kubewire.app.display import Display
from kubewire.core import console
from kubewire.core.console import Screen
from kubewire.core.printable import indented, one_line, printable_values
from repository import ROOT

HELPER = ROOT / "src" / "kubewire" / "core" / "console.py"
CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"
ALERT = f"{CLIPBOARD}\x1b[2J\x9b31m\u202eabc\u2066\r\x00"
STREAMS = ("stdout", "stderr", "__stdout__", "__stderr__")


def prints(tree: ast.AST) -> Iterator[int]:
    """The lines that print by another way: print(), echo(), Console(), a write to a standard stream."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id="print" | "Console" | "echo" | "secho"):
                yield node.lineno
            case ast.Attribute(attr="echo" | "secho" | "Console" | "print_exc"):
                yield node.lineno
            case ast.Attribute(attr="print", value=ast.Name(id="rich" | "console")):
                yield node.lineno
            case ast.Attribute(
                attr="write" | "writelines", value=ast.Attribute(attr=stream, value=ast.Name(id="sys"))
            ) if stream in STREAMS:
                yield node.lineno


@pytest.mark.parametrize("folder", ["src", "plugins"])
def test_nothing_prints_but_the_console(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != HELPER
        for line in prints(ast.parse(path.read_text()))
    ]
    assert found == []


def is_clean(text: str) -> bool:
    return all(c == "\n" or c.isprintable() for c in text)


def test_texts_are_printable(capsys: pytest.CaptureFixture[str]) -> None:
    console.out(ALERT)
    console.err(f"lab {ALERT}\nkubewire: a line of another's")
    console.block(f"{ALERT}\nnext\n")
    shown = capsys.readouterr()
    assert is_clean(shown.out)
    assert is_clean(shown.err)
    assert r"\x1b]52;c;cm0gLXJmIH4=\x07" in shown.out
    assert shown.err.splitlines()[1] == "  kubewire: a line of another's"


def test_a_document_is_changed_for_a_terminal_only(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console.document("a:\t'\x9b'\n")
    assert capsys.readouterr().out == "a:\t'\x9b'\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.document("a:\t'\x9b'\n")
    assert capsys.readouterr().out == "a:\\t'\\x9b'\n"


@pytest.mark.parametrize("terminal", [False, True])
def test_the_display_of_a_run_is_printable(terminal: bool) -> None:
    stream = io.StringIO()
    display = Display(Console(file=stream, width=200, force_terminal=terminal, color_system=None))
    display.step(f"role : {ALERT}\nstep")
    display.progress({"step": ALERT, "detail": f"{ALERT}\n{ALERT}", "done": 1, "total": 2})
    display.tick()
    display.changes([f"node {ALERT}\nkubewire: another"])
    display.line(f"lab {ALERT}\nkubewire: another", "green")
    display.close()
    display.paragraph(f"{ALERT}\nkubewire: another")
    display.failed()
    text = stream.getvalue()
    assert "]52;c" in text
    assert "\x1b]52" not in text
    assert not {"\x9b", "\u202e", "\u2066", "\x07", "\x00"} & set(text)
    assert not [line for line in text.splitlines() if line.startswith("kubewire: another")]
    assert terminal or is_clean(text)


def test_tables_and_styled_lines_are_printable() -> None:
    stream = io.StringIO()
    screen = Screen(Console(file=stream, width=200, force_terminal=False))
    screen.table(["HOST", "RESULT"], [[ALERT, (f"{ALERT}\nx", "red")]])
    screen.line((ALERT, "bold"), ALERT, Text(ALERT, style="dim"), style="red")
    screen.rendered(Text.assemble((f"a{ALERT}b", "bold"), "c"))
    assert is_clean(stream.getvalue())
    assert stream.getvalue().count("]52;c") == 6


def test_styles_stay_with_their_letters() -> None:
    stream = io.StringIO()
    screen = Screen(Console(file=stream, force_terminal=True, color_system="standard", _environ={}))
    screen.rendered(Text.assemble("\x1b", ("red", "red"), "\x1b", ("green", "green")))
    assert stream.getvalue() == "\\x1b\x1b[31mred\x1b[0m\\x1b\x1b[32mgreen\x1b[0m\n"


def test_errors_of_the_command_are_printable(tmp_path: Path) -> None:
    lab = tmp_path / "lab.yml"
    lab.write_text(json.dumps({"name": "x", f"key{CLIPBOARD}": ALERT}))
    done = subprocess.run(
        [sys.executable, "-m", "kubewire", "render", str(lab)], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert is_clean(done.stderr)
    missing = subprocess.run(
        [sys.executable, "-m", "kubewire", "status", f"lab{ALERT}".replace("\0", "")],
        capture_output=True,
        text=True,
    )
    assert missing.returncode == 2
    assert is_clean(missing.stderr)


def test_forms_of_a_text() -> None:
    assert one_line("a\nb\x1b") == r"a\nb\x1b"
    assert indented("a\nb\n  c\x1b") == "a\n  b\n  c\\x1b"
    assert printable_values({"\x1b": ["\x9b", 1, None, {"a": ("\x07",)}]}) == {
        r"\x1b": [r"\x9b", 1, None, {"a": [r"\x07"]}]
    }
