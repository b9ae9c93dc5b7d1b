"""gunicorn's settings in the httpbin image; PORT is what the pod declares."""

import os
import socket


def _listens_on_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::", 0))
    except OSError:
        return False
    return True


bind = f"{'[::]' if _listens_on_ipv6() else '0.0.0.0'}:{os.environ.get('PORT', '80')}"  # noqa: S104 - a pod's own network
workers = 1
worker_class = "gthread"
threads = 8
worker_tmp_dir = "/dev/shm"  # noqa: S108 - a pod's own
accesslog = "-"
control_socket_disable = True
