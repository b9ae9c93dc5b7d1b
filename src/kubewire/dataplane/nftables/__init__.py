"""kube-proxy in nftables mode: what it must write, what nft prints, and how the two compare."""
