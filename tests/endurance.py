"""`make endurance`: the tests, again and again, on a busy machine beside another user's lab. Can be resumed.

Beside two busy loops and a lab of an ordinary user, `make test` is run three times, then every test that
deals with processes, locks or deadlines ten times. Each run's closing line is kept in FOLDER/COMMIT; what is
there is not run again. The exit code is 1 where a run failed. It
needs root; SIGINT and SIGTERM end it with all that it started.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE), str(HERE / "e2e")]

from ordinary_user import ordinary_user  # noqa: E402

UNIT = ("core", "providers", "hosts", "hostagent", "nightly", "binaries", "lab", "app", "cli", "fuzz")
DELICATE = [*(f"tests/unit/{name}" for name in UNIT), "tests/e2e/test_lifecycle.py"]
"""What deals with processes, locks or deadlines."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("endurance"), help="where the results are kept")
    parser.add_argument("--whole", type=int, default=3, help="runs of make test")
    parser.add_argument("--delicate", type=int, default=10, help="runs of the tests of processes and locks")
    options = parser.parse_args()
    if _git("status", "--porcelain", "--untracked-files=no"):
        parser.error("commit first: the results belong to a commit")
    kept = options.folder / _git("rev-parse", "--short=12", "HEAD")
    kept.mkdir(parents=True, exist_ok=True)
    pytest = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "-m",
        "not slow",
        *DELICATE,
    ]
    runs = [(f"make-test-{n}", ["make", "test"]) for n in range(1, options.whole + 1)]
    runs += [(f"delicate-{n}", pytest) for n in range(1, options.delicate + 1)]
    todo = [(name, argv) for name, argv in runs if not (kept / f"{name}.txt").exists()]
    for number in (signal.SIGINT, signal.SIGTERM):  # ignored by default in the background of a shell
        signal.signal(number, signal.default_int_handler)
    if todo:
        with busy_loops(2), another_users_lab():
            for name, argv in todo:
                print(f"{name}: {run(argv, kept / name)}", flush=True)
    results = [(kept / f"{name}.txt").read_text() for name, _ in runs]
    print("".join(results), end="")
    return int(any(not line.endswith("exit code 0\n") for line in results))


def run(argv: list[str], place: Path) -> str:
    """Run it, its output in PLACE.log and its summary in PLACE.txt, which only a run that ended leaves."""
    started = time.monotonic()
    with place.with_suffix(".log").open("w") as log:
        process = subprocess.Popen(argv, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        try:
            code = process.wait()
        except KeyboardInterrupt:
            os.killpg(process.pid, signal.SIGTERM)
            raise
    lines = place.with_suffix(".log").read_text(errors="replace").splitlines()
    closing = "; ".join(line.strip("= ") for line in lines if " passed" in line and " in " in line)
    load = Path("/proc/loadavg").read_text().split()[1]
    text = f"{place.name}: {closing}; {time.monotonic() - started:.0f} s, load {load}, exit code {code}\n"
    place.with_suffix(".txt").write_text(text)
    return text.strip()


@contextmanager
def busy_loops(number: int) -> Iterator[None]:
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextmanager
def another_users_lab() -> Iterator[None]:
    """The lab nftables of an ordinary user, up for as long as the block lasts, and still green at its end."""
    with ordinary_user() as user:
        user.ok("up", "nftables", "--verify")
        yield
        user.ok("verify", "nftables")


def _git(*argv: str) -> str:
    return subprocess.run(["git", *argv], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
