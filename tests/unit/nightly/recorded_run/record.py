"""Record the nightly that docs/ shows: a real run on the embedded provider, with two real faults.

    .venv/bin/python tests/unit/nightly/recorded_run/record.py
    .venv/bin/pytest tests/unit/nightly --update-screenshots

The faults lie in the run's own copy of the cached binaries. On the node nodeport-worker2 kube-proxy meets an
iptables-restore that sets another mark; in that one of the no-endpoints labs which comes up first,
kube-apiserver gets a client CA that isn't there.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.extend(str(Path(__file__).parents[3] / part) for part in ("", "e2e"))
from test_nightly import RESTORE, link, replace

from kubewire.binaries.supply import ensure
from kubewire.core import paths

HERE = Path(__file__).parent
MATRIX = """\
description: Two labs in every mode
versions: [1.37]
modes: [iptables, nftables, ipvs]
labs: [nodeport, no-endpoints]
"""
KUBE_PROXY = """\
#!/bin/sh
if [ "$(hostname)" = nodeport-worker2 ]; then PATH={tools}:$PATH; export PATH; fi
exec {real} "$@"
"""
KUBE_APISERVER = """\
#!/bin/sh
sandbox=$(readlink /proc/self/ns/pid)
case "$(hostname)" in no-endpoints-*) mkdir {tools}/once 2>/dev/null && echo "$sandbox" >{tools}/where ;; esac
if [ "$(cat {tools}/where 2>/dev/null)" = "$sandbox" ]; then set -- "$@" --client-ca-file=/etc/lost/ca.crt; fi
exec {real} "$@"
"""


def main() -> int:
    version = ensure("1.37").version
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "cache", "kubewire", "bin")
        for kept in (*(paths.cache_dir() / "bin").glob("*-v*"), paths.cache_dir() / "bin" / version):
            shutil.copytree(kept, own / kept.name, copy_function=link)
        restore = replace(own / version, "kube-proxy", KUBE_PROXY).parent / "iptables-restore"
        restore.write_text(RESTORE.format(real=shutil.which("iptables-restore")))
        restore.chmod(0o755)
        replace(own / version, "kube-apiserver", KUBE_APISERVER)
        Path(folder, "nightly.yml").write_text(MATRIX)
        places = {"XDG_CACHE_HOME": f"{folder}/cache", "XDG_STATE_HOME": f"{folder}/state"}
        argv = [
            Path(sys.executable).with_name("kubewire"),
            "matrix",
            "nightly.yml",
            "--output",
            "run",
        ]
        status = subprocess.run(argv, cwd=folder, env=os.environ | places).returncode
        (HERE / "run.json.gz").write_bytes(
            gzip.compress(Path(folder, "run", "run.json").read_bytes(), mtime=0)
        )
    return status


if __name__ == "__main__":
    sys.exit(main())
