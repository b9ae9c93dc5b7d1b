"""kube-proxy in nftables mode: expected table, parsing of nft's JSON, comparison."""
