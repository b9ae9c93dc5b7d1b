"""The examples of docs/library.md run and print what they promise; every public name is there."""

from __future__ import annotations

import re

import pytest

import kubewire.dataplane
from repository import ROOT


def test_the_librarys_examples(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        exec(compile(example, "docs/library.md", "exec"), {})
    printed = capsys.readouterr().out
    assert "-A KUBE-SVC-FREKB6WNWYJLKTHC ! -s 10.244.0.0/16 -d 10.96.120.233/32" in printed
    assert "--probability 0.50000000000 -j KUBE-SEP-" in printed
    assert re.search(r"^\d{3,} checks, 0 failed$", printed, re.MULTILINE)


@pytest.mark.parametrize("name", kubewire.dataplane.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(kubewire.dataplane, name).__doc__
