"""Chain names and printed probabilities, against values taken from the real kube-proxy and iptables."""

from __future__ import annotations

import pytest

from kubewire.dataplane.iptables.names import digest, owned, probability


@pytest.mark.parametrize(
    ("seed", "tail"),
    [
        ("ns1/svc1:p80tcp", "XPGD46QRK7WJZT7O"),
        ("ns1/svc1:p80tcp10.180.0.1:80", "SXIVWICOYRO3J4NJ"),
        ("default/kubernetes:httpstcp", "NPX46M4PTMTKRN6Y"),
        ("default/nginxtcp", "2CMXP7HKUVJN7L6M"),
        ("default/httpbin:httptcp", "FREKB6WNWYJLKTHC"),
    ],
)
def test_names_are_hashed_as_kube_proxy_does(seed: str, tail: str) -> None:
    assert digest(seed) == tail


def test_probabilities_are_printed_as_the_kernel_keeps_them() -> None:
    printed = [probability(share) for share in range(2, 12)]
    assert printed == [
        "0.50000000000",
        "0.33333333349",
        "0.25000000000",
        "0.20000000019",
        "0.16666666651",
        "0.14285714272",
        "0.12500000000",
        "0.11111111101",
        "0.10000000009",
        "0.09090909082",
    ]


def test_which_chains_are_kube_proxys() -> None:
    assert owned("nat", "KUBE-SEP-X")
    assert owned("mangle", "KUBE-PROXY-CANARY")
    assert not owned("filter", "KUBE-SEP-X")
    assert not owned("mangle", "KUBE-KUBELET-CANARY")
