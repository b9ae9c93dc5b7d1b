"""Of a failed creation the user reads what went wrong, not the call stack after it."""

from __future__ import annotations

from kubewire.providers.kind.tool import SHOWN_LINES, telling

LOG = """\
 ✗ Starting control-plane 🕹️
Deleted nodes: ["demo-control-plane"]
ERROR: failed to create cluster: failed to init node with kubeadm: command "docker exec" failed
[kubelet-start] Starting the kubelet
I1125 23:56:14.797754      88 round_trippers.go:632] "Response" verb="POST" milliseconds=0
error: error execution phase wait-control-plane: could not bootstrap the admin user: connection refused
k8s.io/kubernetes/cmd/kubeadm/app/cmd/phases/workflow.(*Runner).Run.func1
\tk8s.io/kubernetes@v1.37.2/cmd/kubeadm/app/cmd/phases/workflow/runner.go:262
runtime.goexit
\truntime/asm_amd64.s:1771
"""


def test_requests_and_stacks_are_left_out_and_the_cause_comes_last() -> None:
    told = telling(LOG.splitlines())
    assert told[-1].startswith("error: error execution phase wait-control-plane: could not bootstrap")
    assert told[2].startswith("ERROR: failed to create cluster")
    assert len(told) == 5


def test_only_the_end_is_shown() -> None:
    assert telling([f"line {n}" for n in range(99)]) == [f"line {n}" for n in range(99 - SHOWN_LINES, 99)]
