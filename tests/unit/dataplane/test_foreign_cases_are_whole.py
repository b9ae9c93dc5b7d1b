"""The cases of other owners' rules, which tests/e2e/test_foreign_rules.py tries with real packets."""

from __future__ import annotations

from pathlib import Path

import pytest

from foreign_cases import read_cases


def test_there_are_as_many_as_are_needed_of_each_kind() -> None:
    cases = read_cases()
    changing = [case for case in cases if case.hit or any(case.hit_in.values())]
    assert len(cases) >= 60
    assert len({case.source for case in cases if case.source.startswith("https://")}) >= 20
    assert 0.4 < len(changing) / len(cases) < 0.6
    assert 8 <= sum(case.quick for case in cases) <= 16


@pytest.mark.parametrize(
    "text", ["what: a\nsource: own\n", "what: a\nnft: b\n", "what: a\nsource: own\nnftt: b\n"]
)
def test_a_case_that_is_not_whole_is_told_by_file(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.yml").write_text(text)
    with pytest.raises(AssertionError, match="odd"):
        read_cases([tmp_path / "odd.yml"])
