"""kubewire.core.processes: deadlines, output limits, input, and what a command leaves behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from kubewire.core.proc import stat_fields
from kubewire.core.processes import NOT_STARTED, TIMED_OUT, TOO_LONG, run
from waiting import eventually

GENEROUS = 60.0


def test_input_and_both_outputs_come_through_whole() -> None:
    program = (
        "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d); sys.stderr.buffer.write(d)"
    )
    data = os.urandom(3 << 20)
    done = run([sys.executable, "-c", program], timeout=GENEROUS, data=data)
    assert (done.code, done.stdout, done.stderr) == (0, data, data)


def test_a_command_that_reads_nothing_of_its_input_ends_as_it_does() -> None:
    assert run(["true"], timeout=GENEROUS, data=b"x" * (4 << 20)).code == 0


def test_the_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    done = run(["sh", "-c", f"sleep 1000 & echo $! > {pid}; wait"], timeout=0.5)
    assert done.code == TIMED_OUT
    assert "no answer within 0.5 s" in done.err
    child = int(pid.read_text())
    eventually(lambda: (fields := stat_fields(child)) is None or fields[0] in "ZX")


def test_one_that_closes_its_output_and_goes_on_still_meets_the_deadline() -> None:
    assert run(["sh", "-c", "exec >&- 2>&-; sleep 1000"], timeout=0.5).code == TIMED_OUT


def test_endless_output_is_cut() -> None:
    done = run(["yes"], timeout=GENEROUS, limit=1 << 20)
    assert done.code == TOO_LONG
    assert len(done.stdout) < 2 << 20


def test_a_program_that_is_not_there() -> None:
    done = run(["/nonexistent/program"], timeout=GENEROUS)
    assert done.code == NOT_STARTED
    assert "No such file" in done.err
