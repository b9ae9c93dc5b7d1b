"""Draw the packages from .importlinter's layers and docstrings: `python docs/house.py > docs/house.svg`."""

from __future__ import annotations

import ast
import configparser
import textwrap
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
WIDTH, MARGIN, GAP, LINE = 1000, 10, 8, 15
STYLE = """
  rect { fill: #f4f6f9; stroke: #9aa7b8; }
  text { font: 12px system-ui, sans-serif; fill: #1c2733; }
  .name { font: bold 13px ui-monospace, monospace; }
  @media (prefers-color-scheme: dark) {
    rect { fill: #1b2430; stroke: #51627a; }
    text { fill: #dfe7f1; }
  }
"""


def layers() -> list[list[str]]:
    """The packages of each layer, top first."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter")
    lines = contracts["importlinter:contract:layers"]["layers"].split("\n")
    rows = [[name.strip(" ()") for name in line.split(":")] for line in lines if line.strip()]
    existing = [[name for name in row if _file(name).exists()] for row in rows]
    return [row for row in existing if row]


def says(package: str) -> str:
    """The first sentence of a package's docstring."""
    text = ast.get_docstring(ast.parse(_file(package).read_text())) or ""
    return " ".join(text.split("\n\n")[0].split())


def svg() -> str:
    """The picture: a row for each layer."""
    parts, top = [], MARGIN
    for row in layers():
        width = (WIDTH - 2 * MARGIN - GAP * (len(row) - 1)) / len(row)
        texts = [textwrap.wrap(says(name), int(width / 7.2)) for name in row]
        height = 26 + LINE * max(map(len, texts))
        for index, (name, lines) in enumerate(zip(row, texts, strict=True)):
            left = MARGIN + index * (width + GAP)
            parts.append(f'<rect x="{left:.0f}" y="{top}" width="{width:.0f}" height="{height}" rx="5"/>')
            parts.append(f'<text class="name" x="{left + 10:.0f}" y="{top + 18}">{name}/</text>')
            for number, line in enumerate(lines):
                down = top + 34 + LINE * number
                parts.append(f'<text x="{left + 10:.0f}" y="{down}">{escape(line)}</text>')
        top += height + GAP
    title = "kubewire's packages: each layer imports only the layers below it"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + 2}" role="img">'
    return "\n".join([head, f"<title>{escape(title)}</title>", f"<style>{STYLE}</style>", *parts, "</svg>\n"])


def _file(package: str) -> Path:
    return ROOT / "src" / "kubewire" / package / "__init__.py"


if __name__ == "__main__":
    print(svg(), end="")
