"""kube-proxy in iptables mode: expected rules, parsing of iptables-save, comparison."""
