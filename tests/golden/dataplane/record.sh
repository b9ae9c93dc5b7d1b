#!/bin/bash
# Records golden snapshots from real kube-proxies: BIN=<folder with the Kubernetes binaries> ./record.sh OUTPUT_FOLDER
# With LARGE=1 only the cluster of more than 1000 endpoints; MODES and SETTLE (seconds) as wanted.
# Needs root. One sandbox with etcd, kube-apiserver and a few nodes that have nothing but a kube-proxy.
set -eu
if [ -z "${INSIDE:-}" ]; then
  export INSIDE=1
  exec unshare -n -m -p -f --kill-child --mount-proc "$0" "$@"
fi
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mount -t tmpfs none /run
mkdir -p /run/netns
mount --make-rshared /run
cd "$work"
export KUBERC=off HOME=$work
ip link set lo up
ip link add br0 type bridge
ip addr add 172.18.0.1/16 dev br0
ip addr add fc00:f853:ccd:e793::1/64 dev br0 nodad
ip link set br0 up
add_node() { # name number
  ip netns add "$1"
  ip link add "v$2" type veth peer name eth0 netns "$1"
  ip link set "v$2" master br0 up
  ip -n "$1" addr add "172.18.0.$2/16" dev eth0
  ip -n "$1" addr add "fc00:f853:ccd:e793::$2/64" dev eth0 nodad
  ip -n "$1" link set eth0 up
  ip -n "$1" link set lo up
  ip -n "$1" route add default via 172.18.0.1
}
openssl ecparam -name prime256v1 -genkey -noout -out sa.key 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.crt -subj /CN=ca -days 2 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout api.key -out api.csr -subj /CN=kube-apiserver 2>/dev/null
printf 'subjectAltName=IP:172.18.0.1,IP:10.96.0.1,IP:127.0.0.1' >ext
openssl x509 -req -in api.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out api.crt -days 2 -extfile ext 2>/dev/null
echo 'tok,admin,1,system:masters' >tokens
cat >kc <<K
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://172.18.0.1:6443", certificate-authority: $work/ca.crt}}]
users: [{name: u, user: {token: tok}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
K
"$BIN/etcd" --data-dir etcd --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380 >etcd.log 2>&1 &
"$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 \
  --service-cluster-ip-range=10.96.0.0/16,fd00:10:96::/112 --tls-cert-file=api.crt --tls-private-key-file=api.key \
  --service-account-key-file=sa.key --service-account-signing-key-file=sa.key \
  --service-account-issuer=https://kubernetes.default.svc --token-auth-file=tokens --advertise-address=172.18.0.1 \
  --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount >api.log 2>&1 &
kubectl() { "$BIN/kubectl" --kubeconfig kc "$@"; }
until kubectl get --raw /readyz >/dev/null 2>&1; do sleep 0.3; done
until kubectl get service kubernetes >/dev/null 2>&1; do sleep 0.3; done
make_node() { # name number zone
  add_node "$1" "$2"
  kubectl apply -f - >/dev/null <<N
apiVersion: v1
kind: Node
metadata: {name: $1, labels: {topology.kubernetes.io/zone: $3}}
spec: {podCIDR: 10.244.$2.0/24, podCIDRs: [10.244.$2.0/24, "fd00:10:244:$2::/64"]}
N
  kubectl patch node "$1" --subresource=status --type=merge -p '{"status":{"addresses":[
    {"type":"InternalIP","address":"172.18.0.'"$2"'"},{"type":"InternalIP","address":"fc00:f853:ccd:e793::'"$2"'"},
    {"type":"Hostname","address":"'"$1"'"}]}}' >/dev/null
}
make_node rich-worker 2 zone-a
make_node rich-worker2 3 zone-b
n=4
for name in masquerade-all addresses no-localhost bridge prefix node-cidr liberal one-family; do
  make_node "$name" $n zone-c
  n=$((n + 1))
done
kubectl apply --server-side --validate=ignore -f "$here/objects.yaml" >/dev/null
lb() { kubectl patch service "$1" --subresource=status --type=merge -p '{"status":{"loadBalancer":{"ingress":['"$2"']}}}' >/dev/null; }
lb lb '{"ip":"192.0.2.10"},{"ip":"192.0.2.11","ipMode":"VIP"}'
lb lb-local '{"ip":"192.0.2.12"}'
lb lb-proxy '{"ip":"192.0.2.13","ipMode":"Proxy"}'
lb empty '{"ip":"192.0.2.14"},{"ip":"2001:db8::14"}'

config() { # node mode cidrs extra-lines
  cat <<P
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: $2
hostnameOverride: $1
clusterCIDR: "$3"
conntrack: {maxPerCore: 0, tcpCloseWaitTimeout: 0s, tcpEstablishedTimeout: 0s}
clientConnection: {kubeconfig: /etc/kube-proxy/kubeconfig}
${4:-}
P
}
BOTH=10.244.0.0/16,fd00:10:244::/56
record() { # folder node mode cidrs extra-lines
  local to="$out/$1/nodes/$2" node=$2 family
  mkdir -p "$to"
  config "$node" "$3" "$4" "${5:-}" >"$to/kube-proxy.yaml"
  sed "s#/etc/kube-proxy/kubeconfig#$work/kc#" "$to/kube-proxy.yaml" >"$node.yaml"
  ip netns exec "$node" "$BIN/kube-proxy" --config "$node.yaml" -v 2 >"$node.log" 2>&1 &
  local pid=$!
  sleep "${SETTLE:-8}"
  "$BIN/kube-proxy" --version | sed 's/Kubernetes //' >"$to/kube-proxy-version"
  on_node() { ip netns exec "$node" "$@"; }
  on_node iptables-save >"$to/iptables-save.txt"
  on_node ip6tables-save -c >"$to/ip6tables-save.txt"
  for family in ip ip6; do
    if on_node nft -j list table $family kube-proxy >json 2>/dev/null; then
      cp json "$to/nft-$family.json"
      on_node nft list table $family kube-proxy >"$to/nft-$family.txt"
    fi
  done
  on_node ip -j addr >"$to/ip-addr.json"
  on_node python3 "$here/facts.py" >"$to/facts.json"
  kill $pid
  wait $pid || true
  kubectl get services,endpointslices.discovery.k8s.io,nodes,servicecidrs -A -o json >"$out/$1/cluster.json"
  grep -E '^[EF]' "$node.log" | head -5 >&2 || true
  on_node nft flush ruleset
}
version=$("$BIN/kube-proxy" --version | sed 's/Kubernetes //')
if [ -n "${LARGE:-}" ]; then # more than 1000 endpoints: rules of endpoints lose their comments
  for service in 1 2 3 4 5 6; do
    echo '---
apiVersion: v1
kind: Service
metadata: {name: big'$service', namespace: default}
spec: {clusterIP: 10.96.8.'$service', ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: big'$service', labels: {kubernetes.io/service-name: big'$service'}}
addressType: IPv4
ports: [{name: "", protocol: TCP, port: 80}]
endpoints:'
    for last in $(seq 1 180); do echo "  - {addresses: [10.244.10$service.$last]}"; done
  done | kubectl apply --server-side -f - >/dev/null
  record "large-iptables-$version" rich-worker iptables $BOTH
  gzip -9n "$out/large-iptables-$version/cluster.json" "$out/large-iptables-$version/nodes/rich-worker/"*save.txt
  exit
fi
for mode in ${MODES:-nftables iptables}; do
  if [ $mode = nftables ]; then section=nftables; else section=iptables; fi
  record "rich-$mode-$version" rich-worker $mode $BOTH
  record "rich-$mode-$version" rich-worker2 $mode $BOTH
  variants=variants-$mode-$version
  record $variants masquerade-all $mode $BOTH "$section: {masqueradeAll: true, masqueradeBit: 15}"
  record $variants addresses $mode $BOTH 'nodePortAddresses: [172.18.0.0/16, "fc00:f853:ccd:e793::/64"]'
  record $variants no-localhost $mode $BOTH 'iptables: {localhostNodePorts: false}'
  record $variants bridge $mode "" 'detectLocalMode: BridgeInterface
detectLocal: {bridgeInterface: cni0}'
  record $variants prefix $mode "" 'detectLocalMode: InterfaceNamePrefix
detectLocal: {interfaceNamePrefix: veth}'
  record $variants node-cidr $mode "" 'detectLocalMode: NodeCIDR'
  ip netns exec liberal sysctl -qw net.netfilter.nf_conntrack_tcp_be_liberal=1
  record $variants liberal $mode $BOTH 'nodePortAddresses: [127.0.0.0/8]'
  record $variants one-family $mode 10.244.0.0/16 'nodePortAddresses: [primary]'
done
