"""The workflows' shell: linted step by step, fed by environment only, and each part of the script run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from repository import ROOT

SCRIPT = ROOT / ".github" / "scripts" / "nightly"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TOLD = """\
#!/bin/sh
printf '%s\\n' "$@" >"$0.told"
exit "${ENDS_WITH:-0}"
"""
STAND_IN = """\
#!/bin/sh
id -u >{root}/uid
echo "$HOME" >{root}/home
mkdir -p "$HOME/.cache/kubewire/bin/v2"
touch "$HOME/.cache/kubewire/bin/v2/kubectl" "$4/summary.md"
exit {code}
"""
NOBODY = 65534


def runs(workflow: Path) -> Iterator[tuple[str, str]]:
    """Each step that is shell: its name and its text."""
    document: dict[str, Any] = yaml.safe_load(workflow.read_text())
    for name, job in document["jobs"].items():
        for number, step in enumerate(job.get("steps", ())):
            if "run" in step:
                yield f"{workflow.name} {name} {step.get('name', number)}", step["run"]


STEPS = [step for workflow in WORKFLOWS for step in runs(workflow)]


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A kubewire that writes down what it is called with."""
    return command(tmp_path / "kubewire", TOLD)


def command(file: Path, script: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text(script)
    file.chmod(0o755)
    return file


def told(file: Path) -> list[str]:
    return file.with_name(f"{file.name}.told").read_text().splitlines()


def nightly(folder: Path, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    settings = {"PATH": os.environ["PATH"], "HOME": str(folder), "OUTPUT": str(folder / "out")} | environment
    return subprocess.run([SCRIPT, *argv], env=settings, cwd=folder, capture_output=True, text=True)


def test_there_are_steps_to_look_at() -> None:
    assert {workflow.name for workflow in WORKFLOWS} == {"matrix.yml", "nightly.yml"}
    assert len(STEPS) >= 5


@pytest.mark.parametrize(("name", "text"), STEPS, ids=[name for name, _ in STEPS])
def test_every_step_is_sound_shell_without_substitutions(name: str, text: str) -> None:
    assert "${{" not in text, "an input could end the command and begin another"
    shellcheck = Path(sys.executable).with_name("shellcheck")
    done = subprocess.run([shellcheck, "--shell=bash", "-"], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("name", "text"), STEPS, ids=[name for name, _ in STEPS])
def test_every_part_that_a_step_calls_is_there(name: str, text: str) -> None:
    for part in re.findall(r"\.github/scripts/nightly (\w+)", text):
        assert f"\n{part}() {{" in SCRIPT.read_text()


def test_actions_are_pinned_to_a_commit_and_nothing_may_write() -> None:
    for workflow in WORKFLOWS:
        text = workflow.read_text()
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
        for used in re.findall(r"^\s*(?:- )?uses: (.+)", text, re.MULTILINE):
            pinned = re.fullmatch(r"[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used)
            assert pinned or used.startswith("./"), used


@pytest.mark.parametrize(
    ("shards", "listed"), [("1", "1"), ("3", "1,2,3"), ("11", "1,2,3,4,5,6,7,8,9,10,11")]
)
def test_shards_are_a_list_for_the_jobs_matrix(tmp_path: Path, shards: str, listed: str) -> None:
    assert nightly(tmp_path, "shards", SHARDS=shards).stdout == f"list=[{listed}]\n"


@pytest.mark.parametrize("shards", ["0", "100", "-1", "two", "1; rm -rf /", "$(id)", "1\n2"])
def test_a_number_of_shards_that_is_none_is_refused(tmp_path: Path, shards: str) -> None:
    done = nightly(tmp_path, "shards", SHARDS=shards)
    assert (done.returncode, done.stdout) == (2, "")
    assert "must be 1 to 99" in done.stderr


def test_without_inputs_the_matrix_is_run_as_it_is(tmp_path: Path, stand_in: Path) -> None:
    done = run_as_root(tmp_path, stand_in, MATRIX="labs/matrix.yml", SHARDS="1", SHARD="1", FRESH="false")
    assert done.returncode == 0, done.stderr
    assert told(stand_in) == ["matrix", "labs/matrix.yml", "--output", str(tmp_path / "out")]


def test_every_input_is_one_argument_whatever_it_holds(tmp_path: Path, stand_in: Path) -> None:
    (tmp_path / "last night").mkdir()
    (tmp_path / "last night" / "run.json").write_text("{}")
    hostile = "mode=nftables,lab=$(touch owned); touch owned"
    done = run_as_root(
        tmp_path,
        stand_in,
        MATRIX="my matrix.yml",
        ONLY=hostile,
        SHARDS="3",
        SHARD="2",
        FRESH="true",
        BASELINE=str(tmp_path / "last night"),
        ACCEPT="accepted drift.yml",
    )
    assert done.returncode == 0, done.stderr
    options = ["--only", hostile, "--shard", "2/3", "--fresh"]
    files = ["--baseline", str(tmp_path / "last night"), "--accept", "accepted drift.yml"]
    out = ["--output", str(tmp_path / "out")]
    assert told(stand_in) == ["matrix", "my matrix.yml", *out, *options, *files]
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("code", ["1", "4"])
def test_its_exit_code_is_the_steps(tmp_path: Path, stand_in: Path, code: str) -> None:
    assert run_as_root(tmp_path, stand_in, MATRIX="m.yml", ENDS_WITH=code).returncode == int(code)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("sudo"), reason="runs sudo as another user")
@pytest.mark.parametrize("code", ["0", "1"])
def test_another_user_runs_it_by_sudo_and_gets_back_what_it_left(code: str) -> None:
    """By the real sudo, with a sudoers file that only this test's mount namespace has."""
    with tempfile.TemporaryDirectory(prefix="k") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("home/.cache/kubewire/bin/v1", "root/.cache/kubewire/bin/v0"):
            (folder / part).mkdir(parents=True)
        (folder / "home/.cache/kubewire/bin/v1/kubectl").write_text("#!/bin/sh\n")
        (folder / "home/.cache/kubewire/other").touch()
        for path in (folder / "home", *(folder / "home").rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        stand_in = command(folder / "kubewire", STAND_IN.format(root=folder / "root", code=code))
        sudoers = folder / "sudoers"
        sudoers.write_text(
            f"ALL ALL=(ALL) NOPASSWD: ALL\nDefaults env_keep+=NOTHING, secure_path={os.defpath}\n"
        )
        sudoers.chmod(0o440)
        script = f"""
            mount --bind {sudoers} /etc/sudoers && mount --bind {folder}/root /root || exit 77
            exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups {folder}/nightly run
        """
        shutil.copy(SCRIPT, folder / "nightly")
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script],
            env={
                "PATH": os.defpath,
                "HOME": str(folder / "home"),
                "OUTPUT": str(folder / "home/out"),
                "KUBEWIRE": str(stand_in),
                "MATRIX": "m.yml",
            },
            cwd=folder / "home",
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        if done.returncode == 77:
            pytest.skip("no mount namespace can be made here")
        assert done.returncode == int(code), done.stderr
        assert (folder / "root/uid").read_text() == "0\n"
        assert (folder / "root/home").read_text() == "/root\n"
        handed = folder / "root/.cache/kubewire/bin/v1/kubectl"
        assert handed.stat().st_uid == 0
        assert not (folder / "root/.cache/kubewire/other").exists()
        for back in ("home/.cache/kubewire/bin/v2/kubectl", "home/out/summary.md"):
            assert (folder / back).stat().st_uid == NOBODY


def test_the_summary_is_shown_or_missed(tmp_path: Path) -> None:
    assert "no results" in nightly(tmp_path, "summary").stdout
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "summary.md").write_text("# 3 passed\n")
    assert nightly(tmp_path, "summary").stdout == "# 3 passed\n"


@pytest.mark.parametrize("argv", [[], ["usage"], ["as_root"], ["rm"]])
def test_nothing_else_can_be_called(tmp_path: Path, argv: list[str]) -> None:
    done = nightly(tmp_path, *argv)
    assert done.returncode == 2
    assert "usage:" in done.stderr


def run_as_root(folder: Path, kubewire: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    tools = folder / "tools"
    command(tools / "id", "#!/bin/sh\necho 0\n")
    path = f"{tools}:{os.environ['PATH']}"
    return nightly(folder, "run", PATH=path, KUBEWIRE=str(kubewire), **environment)
