"""Quantities as the API writes them, and where control groups can be made."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubewire.providers.netns import cgroups, limits


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("64Mi", 64 << 20),
        ("1Gi", 1 << 30),
        ("1.5Gi", 3 << 29),
        ("128974848", 128974848),
        ("129e6", 129_000_000),
        ("129M", 129_000_000),
        ("2k", 2000),
        ("1500m", 2),
    ],
)
def test_quantities(text: str, number: int) -> None:
    assert limits.quantity(text) == number


def test_containers_without_a_limit_get_the_default() -> None:
    containers = [{"resources": {"limits": {"memory": "64Mi"}}}, {}, {"resources": {}}]
    assert limits.memory({"spec": {"containers": containers}}) == (64 << 20) + 2 * limits.MEMORY


def proc(folder: Path, groups: str, *mounts: str) -> Path:
    (folder / "proc").mkdir()
    (folder / "proc/cgroup").write_text(groups)
    (folder / "proc/mountinfo").write_text("".join(f"1 1 0:1 {mount}\n" for mount in mounts))
    return folder / "proc"


def group(folder: Path, passes_on: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cgroup.controllers").write_text("memory pids cpu")
    (folder / "cgroup.subtree_control").write_text(passes_on)


def test_v2_takes_the_nearest_group_that_passes_the_controllers_on(tmp_path: Path) -> None:
    top = tmp_path / "cgroup"
    group(top, "memory pids")
    group(top / "user.slice", "memory pids")
    group(top / "user.slice/session.scope", "")
    here = proc(tmp_path, "0::/user.slice/session.scope\n", f"/ {top} rw - cgroup2 cgroup2 rw")
    assert cgroups.homes(cgroups.own_groups(here)) == dict.fromkeys(cgroups.CONTROLLERS, top / "user.slice")


def test_v1_takes_its_own_group_of_each_controller(tmp_path: Path) -> None:
    for name in ("pids", "memory/job"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "tasks").touch()
    here = proc(
        tmp_path,
        "8:pids:/\n4:memory:/job\n0::/\n",
        f"/ {tmp_path}/pids rw - cgroup cgroup rw,pids",
        f"/ {tmp_path}/memory rw - cgroup cgroup rw,memory",
        f"/ {tmp_path}/unified rw - cgroup2 cgroup2 rw",
    )
    found = {"pids": tmp_path / "pids", "memory": tmp_path / "memory/job"}
    assert cgroups.own_groups(here) == found
    assert cgroups.homes(found) == found


def test_in_a_container_the_path_starts_at_what_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    here = proc(tmp_path, "4:memory:/docker/1/lab\n", f"/docker/1 {tmp_path} ro - cgroup cgroup rw,memory")
    assert cgroups.own_groups(here) == {"memory": tmp_path / "lab"}


def test_no_group_in_sight_is_no_limit(tmp_path: Path) -> None:
    assert cgroups.own_groups(proc(tmp_path, "0::/../elsewhere\n")) == {}
