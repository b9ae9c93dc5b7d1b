"""Operations inside a node container: each a POSIX script run by one `docker exec`."""

from __future__ import annotations

from collections.abc import Sequence

from kubewire.core.errors import LabError
from kubewire.core.processes import run

SECONDS = 60.0

# Stop kube-proxy with SIGSTOP and remove all its rules; the caller restarts it.
CLEANUP = r"""
net=$(readlink /proc/self/ns/net)
for process in /proc/[0-9]*; do
  read -r comm 2>/dev/null <"$process/comm" || continue
  [ "$comm" = kube-proxy ] && [ "$(readlink "$process/ns/net")" = "$net" ] || continue
  kill -STOP "${process#/proc/}"
  "$process/exe" --cleanup 2>&1 || exit 1
  exit 0
done
echo 'kube-proxy does not run'
"""

# $@: pod addresses. The name of the network namespace that has the address.
FIND_POD = r"""
for space in $(ip netns list | cut -d ' ' -f 1); do
  for address in "$@"; do
    ip -n "$space" -o addr show dev eth0 2>/dev/null | grep -qF " $address/" && { echo "$space"; exit 0; }
  done
done
exit 1
"""

# $@: wanted routes as DESTINATION=GATEWAY. Pod routes, and the gateway's address on the node's end, are those
# that each pod's own veth pair asks for.
_ROUTES = r"""
mend() { # family, destination, the rest of the route
  family=$1 destination=$2; shift 2
  current=$(ip "-$family" route show exact "$destination" | sed 's/ *$//')
  case "$current" in *"
"*) write "-$family" route flush exact "$destination" ;; "$destination $*"*) return ;; esac
  write "-$family" route replace "$destination" "$@" && echo "route $destination $* put back"
}
for route in "$@"; do
  destination=${route%%=*} gateway=${route#*=} family=4
  case $destination in *:*) family=6 ;; esac
  mend "$family" "$destination" via "$gateway"
done
for space in $(ip netns list | cut -d ' ' -f 1); do
  peer=$(ip -n "$space" -o link show dev eth0 2>/dev/null | sed -n 's/^[0-9]*: eth0@if\([0-9]*\):.*/\1/p')
  [ -n "$peer" ] || continue
  veth=$(ip -o link | sed -n "s/^$peer: \([^@:]*\).*/\1/p")
  [ -n "$veth" ] || continue
  case $(ip -o link show dev "$veth") in *[,'<']UP[,'>']*) ;; *)
    write link set "$veth" up && echo "veth $veth set up again" ;;
  esac
  for family in 4 6; do
    gateway=$(ip -n "$space" "-$family" route show default | sed -n 's/.* via \([0-9a-f.:]*\) .*/\1/p')
    [ -n "$gateway" ] || continue
    ip "-$family" -o addr show dev "$veth" | grep -qF " $gateway/" && continue
    length=32 flags=
    [ "$family" = 4 ] || length=128 flags=nodad
    write address replace "$gateway/$length" dev "$veth" $flags && echo "address $gateway of $veth put back"
  done
  addresses=$(ip -n "$space" -o addr show dev eth0 scope global | awk '{sub("/.*", "", $4); print $4}')
  for address in $addresses; do
    family=4
    case $address in *:*) family=6 ;; esac
    mend "$family" "$address" dev "$veth"
  done
done
"""
REPAIR = f'write() {{ ip "$@"; }}\n{_ROUTES}'
LOOK = f"write() {{ :; }}\n{_ROUTES}"
"""REPAIR without its writes; it prints the same."""


def prefix(node: str) -> tuple[str, ...]:
    """The argv prefix that runs a command on a node."""
    return ("docker", "exec", "-i", node)


def script(node: str, text: str, *arguments: str, seconds: float = SECONDS) -> str:
    """Run a script on a node; its output, or LabError with what it said."""
    outcome = run([*prefix(node), "sh", "-c", text, "kubewire", *arguments], timeout=seconds)
    if outcome.code:
        raise LabError(outcome.err or outcome.out.strip() or f"exit code {outcome.code}", where=node)
    return outcome.out


def pod_namespace(node: str, addresses: Sequence[str]) -> str:
    """The network namespace of the pod with these addresses, by its name on the node."""
    try:
        return script(node, FIND_POD, *addresses).strip()
    except LabError as error:
        raise LabError(f"no pod on the node has {' or '.join(addresses)}", where=node) from error
