"""The real httpbin, with the pod's name in a header and plain IPv4 addresses."""

from __future__ import annotations

import json
import os
import subprocess
import sys

SCRIPT = """
import json
from wsgiref.util import setup_testing_defaults
from kubewire.providers.httpbin_app import application

def call(address):
    environ = {"PATH_INFO": "/get", "REMOTE_ADDR": address}
    setup_testing_defaults(environ)
    seen = {}
    def start_response(status, headers, *rest):
        seen.update(status=status, headers=dict(headers))
    body = b"".join(application(environ, start_response))
    return {**seen, "origin": json.loads(body)["origin"]}

print(json.dumps([call("::ffff:10.244.1.2"), call("fd00::2"), call("10.244.1.3")]))
"""


def test_header_and_origin() -> None:
    environment = {**os.environ, "HOSTNAME": "httpbin-0"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment
    )
    answers = json.loads(done.stdout)
    assert [answer["origin"] for answer in answers] == ["10.244.1.2", "fd00::2", "10.244.1.3"]
    for answer in answers:
        assert answer["status"] == "200 OK"
        assert answer["headers"]["X-Served-By"] == "httpbin-0"
