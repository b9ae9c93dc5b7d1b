"""Each golden/lab/errors/*.yml is refused with exactly the text of the .log beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import kubewire.app  # noqa: F401 - registers the providers' checks of lab files
from kubewire.core.errors import DefinitionError
from kubewire.lab.loading import load_lab
from kubewire.lab.yaml_positions import MAX_BYTES
from repository import GOLDEN

ERRORS = GOLDEN / "lab" / "errors"
CASES = sorted(ERRORS.glob("*.yml"))


def refusal(path: str) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        load_lab(path)
    assert caught.value.exit_code == 2
    return caught.value


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 25


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_a_wrong_file_is_refused_with_its_golden_text(
    case: Path, golden: Callable[[Path, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ERRORS)
    error = refusal(case.name)
    for line in str(error).splitlines():
        assert line.startswith(f"{case.name}:"), "every line says where"
    golden(case.with_suffix(".log"), f"{error}\n")


def test_a_directory_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "lab.yml"
    folder.mkdir()
    assert "is a directory" in str(refusal(str(folder)))


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.yml"
    path.write_text("mode: iptables\n" + "# padding\n" * (MAX_BYTES // 10))
    assert "larger than 1 MiB" in str(refusal(str(path)))


@pytest.mark.parametrize("text", ["[" * 20_000, "mode: " + "{a: " * 200 + "1" + "}" * 200])
def test_a_file_nested_without_end_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "deep.yml"
    path.write_text(text)
    assert "nested" in str(refusal(str(path)))


def test_a_wrong_field_hides_no_other_mistake(tmp_path: Path) -> None:
    path = tmp_path / "two.yml"
    path.write_text("mode: iptables\ndns: 5\nhttpbin: {nodePort: 30080}\n")
    assert len(str(refusal(str(path))).splitlines()) == 2


def test_what_follows_from_a_wrong_field_is_not_said(tmp_path: Path) -> None:
    path = tmp_path / "one.yml"
    path.write_text("mode: iptables\nhttpbin: {type: Nodeport, nodePort: 30080}\n")
    assert str(refusal(str(path))) == (
        f"{path}:2:17: httpbin.type: “Nodeport” is not known: did you mean “NodePort”? "
        "allowed are ClusterIP, NodePort, LoadBalancer"
    )
