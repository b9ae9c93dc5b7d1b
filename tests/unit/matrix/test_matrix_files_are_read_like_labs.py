"""A matrix file that is wrong is refused with everything that is wrong in it, by line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.core import resources
from kubewire.lab.loading import LabFileError, available_labs
from kubewire.lab.schema import Mode
from kubewire.matrix.loading import find_matrix, lab_reference, load_matrix


def refused(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "m.yml"
    path.write_text(text)
    with pytest.raises(LabFileError) as caught:
        load_matrix(path)
    assert caught.value.exit_code == 2
    return [line.removeprefix(f"{path}:") for line in caught.value.errors]


def test_everything_that_is_wrong_is_told_with_its_place(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        "versions: [1.28, latest 3 minors, newest]\n"
        "modes: [iptables, nftable, userspace]\n"
        "labs: [nodeport, nodeprot]\n"
        "providers: docker\n"
        "exclude: [mode=ipvs, colour=red]\n"
        "deadline: 10\n"
        "job: 3\n",
    )
    places = "1:12 1:35 2:19 2:28 3:18 4:12 5:22 6:11 7:1"
    assert [line.partition(": ")[0] for line in said] == places.split()
    assert "too old: supported are 1.29 to 1.37" in said[0]
    assert "did you mean “nftables”" in said[2]
    assert "was removed in" in said[3]
    assert "did you mean “nodeport”" in said[4]
    assert "known are kubernetes" in said[6]
    assert "did you mean “jobs”" in said[8]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty; the shortest matrix is"),
        ("- a\n", "1:1: a matrix is a mapping of keys and values"),
        ("modes: [ipvs]\n", "1:1: labs is missing"),
        ("labs: []\n", "labs"),
        ("labs: [iptables]\nversions: []\n", "versions"),
        ("labs: [iptables]\njobs: 0\n", "2:7: jobs: 0 is out of range"),
        ("labs: [iptables\n", "not YAML"),
        ("labs: [./nowhere.yml]\n", "1:8: labs: there is no such lab file"),
        ("labs: iptabels\n", "1:7: labs: there is no lab “iptabels”"),
    ],
)
def test_one_thing_wrong(tmp_path: Path, text: str, said: str) -> None:
    [line] = refused(tmp_path, text)
    assert said in line


def test_a_version_stays_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "m.yml"
    path.write_text("versions: [1.30, 1.34.4, all]\nlabs: iptables\nmodes: nftables\n")
    matrix = load_matrix(path)
    assert matrix.versions == ("1.30", "1.34.4", "all")
    assert (matrix.labs, matrix.modes) == (("iptables",), (Mode.NFTABLES,))
    path.write_text("versions: 1.30\nlabs: iptables\n")
    assert load_matrix(path).versions == ("1.30",)


def test_a_labs_path_counts_from_the_matrix_file(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("mode: iptables\n")
    path = tmp_path / "m.yml"
    path.write_text("labs: [./mine.yml]\n")
    assert lab_reference(load_matrix(path).labs[0], path) == str(tmp_path / "mine.yml")


def test_the_matrix_that_comes_with_kubewire_is_no_lab(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_matrix() == resources.labs_dir() / "matrix.yml"
    assert load_matrix(find_matrix()).versions == ("all",)
    assert "matrix" not in available_labs()
    (tmp_path / "labs").mkdir()
    (tmp_path / "labs" / "matrix.yml").write_text("labs: [iptables]\n")
    assert find_matrix() == tmp_path / "labs" / "matrix.yml"
