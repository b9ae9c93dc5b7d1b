"""kube-proxy in iptables mode: what it must write, what iptables-save says, and how the two compare."""
