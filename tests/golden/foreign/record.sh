#!/bin/bash
# Records a node with kube-proxy's rules next to Docker's, flannel's and libvirt's: ./record.sh
# Needs root and Docker's daemon. In network namespaces: kube-proxy's rules as they were recorded, a real
# Docker engine that writes its own, flannel's and libvirt's as those write them; then what the tools save.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if [ -z "${VARIANT:-}" ]; then
  for VARIANT in nft legacy nftables; do
    export VARIANT
    unshare -n -m -p -f --kill-child --mount-proc "$0"
  done
  exit
fi
out=$here/$VARIANT
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/bin"
mount -t tmpfs none /run
variant=$VARIANT
[ "$VARIANT" = nftables ] && variant=nft
for tool in iptables ip6tables iptables-save iptables-restore ip6tables-restore ip6tables-save; do
  ln -s "/usr/sbin/xtables-$variant-multi" "$work/bin/$tool"
done
export PATH="$work/bin:$PATH" DOCKER_HOST=unix:///run/docker.sock
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1
golden=$here/../versions/v1.37.2-iptables/nodes/default
if [ "$VARIANT" != nftables ]; then # whose table is its own, whatever else is there
  python3 "$here/counters.py"
  zcat "$golden/iptables-save.txt.gz" | iptables-restore
  zcat "$golden/ip6tables-save.txt.gz" | ip6tables-restore
fi
dockerd --data-root "$work/docker" --exec-root /run/docker -p /run/docker.pid -H "$DOCKER_HOST" \
  --storage-driver vfs --ip6tables --experimental >"$work/log" 2>&1 &
pid=$!
trap 'kill $pid; wait $pid || true; rm -rf "$work"' EXIT
until docker version >/dev/null 2>&1; do kill -0 $pid; read -rt 0.2 <> <(:) || :; done
docker network create --subnet 172.30.7.0/24 somewhere >/dev/null
iptables-restore --noflush <"$here/libvirt.rules"
iptables-restore --noflush <"$here/flannel.rules"
iptables-save >"$out/iptables-save.txt"
ip6tables-save >"$out/ip6tables-save.txt"
iptables-restore --noflush <"$here/before-own-chains.rules"
iptables-save >"$out/iptables-save-old.txt"
gzip -9nf "$out"/*
