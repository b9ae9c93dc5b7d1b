"""The expected sets and rules, given to the kernel by the real tools, come back word for word."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ipvs_support import Bench, rich

from kubewire.dataplane.ipvs.ipset import create_line, parse_ipset_save

SCRIPT = """
ipset restore -file sets && ipset save >saved &&
iptables-restore <rules4 && iptables-save >printed4 &&
ip6tables-restore <rules6 && ip6tables-save >printed6
"""


@pytest.fixture(scope="module", params=["rich-worker", "rich-worker2"])
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, Path]:
    """A folder with what ipset and iptables print after they took a node's expected state."""
    if os.geteuid() != 0 or not shutil.which("ipset") or not shutil.which("iptables-save"):
        pytest.skip("needs root, ipset and iptables")
    bench, folder = rich(request.param), tmp_path_factory.mktemp("kernel")
    (folder / "sets").write_text(bench.files["ipset-save.txt"])
    for number, name in ((4, "iptables-save.txt"), (6, "ip6tables-save.txt")):
        (folder / f"rules{number}").write_text(without_ipvs(bench.files[name]))
    environment = {**os.environ, "XTABLES_LOCKFILE": str(folder / "lock")}
    done = subprocess.run(
        ["unshare", "-n", "sh", "-c", SCRIPT], cwd=folder, env=environment, capture_output=True, text=True
    )
    if "Operation not permitted" in done.stderr or "kernel module" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    return bench, folder


def without_ipvs(text: str) -> str:
    """Rules that match connections of ipvs need a kernel with ip_vs."""
    return "".join(line for line in text.splitlines(keepends=True) if "-m ipvs" not in line)


def test_ipset(kernel: tuple[Bench, Path]) -> None:
    bench, folder = kernel
    text = (folder / "saved").read_text()
    assert "bucketsize" in text
    wanted, saved = (parse_ipset_save(each) for each in (bench.files["ipset-save.txt"], text))
    assert not saved.problems
    for one, other in zip(wanted.sets, saved.sets, strict=True):
        assert create_line(one, volatile=False) == create_line(other, volatile=False)
        assert sorted(e.key for e in one.elements) == sorted(e.key for e in other.elements)


@pytest.mark.parametrize(("number", "name"), [(4, "iptables-save.txt"), (6, "ip6tables-save.txt")])
def test_iptables(kernel: tuple[Bench, Path], number: int, name: str) -> None:
    bench, folder = kernel
    wanted, printed = (
        sorted(line for line in text.splitlines() if line.startswith("-A"))
        for text in (without_ipvs(bench.files[name]), (folder / f"printed{number}").read_text())
    )
    assert printed == wanted


def test_the_kernels_own_dumps_verify(kernel: tuple[Bench, Path]) -> None:
    bench, folder = kernel
    failed = bench.failed(
        ipset_save_txt=(folder / "saved").read_text(),
        iptables_save_txt=(folder / "printed4").read_text(),
        ip6tables_save_txt=(folder / "printed6").read_text(),
    )
    missing = {line for check in failed for line in check.expected.splitlines() if check.id != "ipvs.table"}
    assert all("-m ipvs" in line for line in missing)
