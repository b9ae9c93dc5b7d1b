"""The shell that asks kube-proxy, run here against a stand-in, and what becomes of its answers."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from kubewire.core.processes import run
from kubewire.snapshot.proxy_status import SHELL, proxy_status

METRICS = """# TYPE kubeproxy_sync_proxy_rules_last_timestamp_seconds gauge
kubeproxy_sync_proxy_rules_last_timestamp_seconds{ip_family="IPv4"} 1.7959e+09
kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"} 1.7959001e+09
kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"} 3
kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="internal"} 0
process_start_time_seconds 1
"""
LOG = """I1128 07:08:28.000000      44 server.go:1] "Starting"
E1128 07:08:29.440845      44 server.go:256] "Kube-proxy configuration may be incomplete or incorrect" err="x"
E1128 07:09:29.440845      44 proxier.go:1432] "Failed to execute iptables-restore" err=<
\texit status 2: iptables-restore: Couldn't load match `nfacct'
 > ipFamily="IPv4"
I1128 07:09:29.440999      44 proxier.go:700] "Sync failed" retryingTime="30s"
"""
PATIENT = SHELL.replace("patience=1", "patience=60")
"""A stand-in on a busy machine may need its time."""
TOOLS = ("sh", "bash", "cat", "cut", "date", "grep", "head", "sed", "tail", "timeout", "tr")


class StandIn(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        health = '{"lastUpdated": "x","currentTime": "y", "nodeEligible": true}'
        code, body = (503, health) if self.path == "/healthz" else (200, METRICS)
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), StandIn) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def process(tmp_path: Path) -> Path:
    """What /proc has of a kube-proxy, with its log as a file."""
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd" / "2").write_text(LOG)
    (tmp_path / "status").write_text("Name:\tkube-proxy\nState:\tS (sleeping)\n")
    return tmp_path


def asked(process: Path, config: str, tools: Path | None = None, shell: str = PATIENT) -> dict[str, object]:
    (process / "config").write_text(config)
    setting = f"PATH={tools or '$PATH'}\nproxy={process}\nconfig() {{ cat '{process}/config'; }}\n"
    outcome = run(["sh", "-c", setting + shell + "proxy_status"], timeout=300)
    return dict(json.loads(proxy_status(outcome.out)))


@pytest.mark.parametrize("with_curl", [True, False])
@pytest.mark.parametrize(
    "form",
    [
        "healthzBindAddress: 0.0.0.0:{0}\nmetricsBindAddress: ''\n",
        '{{\n  "healthzBindAddress": "127.0.0.1:{0}"\n}}',
    ],
)
def test_health_and_last_error_are_asked_with_curl_or_bash(
    port: int, process: Path, tmp_path: Path, form: str, *, with_curl: bool
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in (*TOOLS, *(["curl"] if with_curl else [])):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    found = asked(process, form.format(port), tools)
    assert (found["state"], found["healthz"], found["node_eligible"]) == ("S", "503", True)
    assert found["last_error"] == (
        '"Failed to execute iptables-restore" err=< exit status 2: iptables-restore: '
        "Couldn't load match `nfacct' > ipFamily=\"IPv4\""
    )


def test_sync_times_come_from_the_metrics(port: int, process: Path) -> None:
    found = asked(process, f"metricsBindAddress: 127.0.0.1:{port}\nhealthzBindAddress: 127.0.0.1:1\n")
    assert found["healthz"] == "refused"
    assert (found["synced"], found["queued"]) == ({"IPv4": 1.7959e9}, {"IPv4": 1.7959001e9})
    assert found["failures"] == {"IPv4": 3}


def test_one_that_never_answers_is_waited_for_a_moment(process: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        found = asked(process, f"healthzBindAddress: {place}\nmetricsBindAddress: {place}\n", shell=SHELL)
    assert found["healthz"] == "timeout"
    assert "synced" not in found


def test_a_stopped_one_is_not_asked(process: Path) -> None:
    (process / "status").write_text("State:\tT (stopped)\n")
    assert asked(process, "").keys() == {"state", "time"}


def test_where_none_runs_that_is_all() -> None:
    outcome = run(["sh", "-c", f"proxy=\n{SHELL}\nproxy_status"], timeout=30)
    assert json.loads(proxy_status(outcome.out))["state"] == "absent"


@pytest.mark.parametrize(
    "text", ["", "state", "time x", "healthz", "log \x00", "kubeproxy_sync_proxy_rules_x{ 1"]
)
def test_odd_answers_are_no_errors(text: str) -> None:
    assert isinstance(json.loads(proxy_status(text)), dict)
