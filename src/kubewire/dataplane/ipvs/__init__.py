"""kube-proxy in ipvs mode: what it must write, what ipset and ipvsadm print, and how the two compare."""
