"""Node tools by apt, in a container of a node image that lacks them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from on_kind import built_on_node_image, docker

from kubewire.core.errors import HostError
from kubewire.providers.kind import tools
from kubewire.providers.kind.node import script

pytestmark = [pytest.mark.kind, pytest.mark.slow]
BARE = "kubewire/test-node-without-ipset:v1.37.2"
NODE = "kubewire-test-tools"


@pytest.mark.parametrize("network", ["bridge", "none"])
def test_apt_installs_them_or_says_why_not_and_the_ways_out(
    network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # no packages are there beforehand
    with built_on_node_image(BARE, "RUN dpkg --purge ipset"):
        argv = ("run", "-d", "--name", NODE, "--cap-add", "NET_ADMIN", "--network", network)
        docker(*argv, "--entrypoint", "sleep", BARE, "600")
        try:
            if network == "none":
                with pytest.raises(HostError, match="ipset can't be installed: E") as caught:
                    tools.install(NODE, ["ipset"])
                assert "kubewire prefetch" in caught.value.hint
                return
            if subprocess.run(["docker", "exec", NODE, "apt-get", "update"], capture_output=True).returncode:
                pytest.skip("containers have no way to Debian's packages here")
            tools.install(NODE, ["ipset"])
            assert "ipset v" in script(NODE, "ipset --version")
        finally:
            docker("rm", "-f", NODE)
