"""Many threads that read values of a type at once, in new processes that switch threads all the time."""

from __future__ import annotations

import subprocess
import sys

READING = """
import sys, threading
from kubewire.core.serialization import convert, decode
from kubewire.hosts.status import LabStatus

def read():
    start.wait()
    decode(b'{"schema": 1, "phase": "ready"}', LabStatus)
    convert({"schema": 1, "phase": "ready"}, LabStatus)

sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_threads_may_read_a_new_type_at_the_same_time() -> None:
    """With msgspec's own `decode` one in five of these processes ends with a segmentation fault."""
    for _ in range(15):
        subprocess.run([sys.executable, "-P", "-c", READING], check=True, timeout=600)
