"""The script that runs on a node, run here for real, and the reading of what it prints."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from kubewire.core.processes import TIMED_OUT, run
from kubewire.dataplane.core.snapshot import NODE_FILES
from kubewire.snapshot.node import SCRIPT, Section, facts, node_snapshot, split_sections, with_hostname

MARK = "0123456789abcdef"


def framed(*sections: tuple[str, str, int, str], end: bool = True) -> str:
    text = "".join(
        f"{MARK} out {name}\n{out}\n{MARK} err {name} {code}\n{err}\n" for name, out, code, err in sections
    )
    return text + (f"{MARK} end\n" if end else "")


def test_the_script_runs_in_a_plain_shell_and_every_section_comes_back() -> None:
    mark = secrets.token_hex(16)
    outcome = run(["sh", "-c", SCRIPT, "kubewire", mark], timeout=30)
    sections, whole = split_sections(outcome.out, mark)
    assert outcome.code == 0
    assert whole
    assert {"kube-proxy.yaml", "sysctls", "accounting", "ip-addr.json", "route4", "nft-ip6.json"} <= set(
        sections
    )
    if shutil.which("ip"):
        assert "lo" in {link["ifname"] for link in json.loads(sections["ip-addr.json"].out)}
        assert isinstance(json.loads(sections["route4"].out or "[]"), list)
    most = Path("/proc/sys/net/netfilter/nf_conntrack_max")
    if most.exists():
        found = facts(sections)["sysctls"]
        assert found["net.netfilter.nf_conntrack_max"] == most.read_text().strip()
        assert (
            found["net.ipv4.conf.lo.rp_filter"]
            == Path("/proc/sys/net/ipv4/conf/lo/rp_filter").read_text().strip()
        )
        assert sections["conntrack.txt"].code == 0


def test_kube_proxys_child_is_not_taken_for_it(tmp_path: Path) -> None:
    """What kube-proxy starts has its name until it runs its own program."""
    program, config = tmp_path / "kube-proxy", tmp_path / "config.yaml"
    shutil.copy("/bin/sh", program)
    config.write_text("mode: nftables\n")
    forks = f"{program} -c 'echo; read line; :' & {program} -c 'echo; read line; :'; wait"
    with subprocess.Popen(
        [program, "-c", forks, f"--config={config}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as proxy:
        assert proxy.stdin is not None
        assert proxy.stdout is not None
        assert [proxy.stdout.readline(), proxy.stdout.readline()] == [b"\n", b"\n"]
        sections, _ = split_sections(run(["sh", "-c", SCRIPT, "kubewire", MARK], timeout=30).out, MARK)
        proxy.stdin.write(b"\n\n")
    assert sections["kube-proxy.yaml"].out == "mode: nftables\n"


def test_an_output_is_kept_to_the_byte_and_its_stderr_beside_it() -> None:
    text = framed(
        ("iptables-save.txt", "*nat\nCOMMIT\n", 0, ""), ("ipset-save.txt", "", 127, "sh: ipset: not found")
    )
    sections, whole = split_sections(text, MARK)
    assert whole
    assert sections["iptables-save.txt"] == Section("*nat\nCOMMIT\n", 0, "")
    assert sections["ipset-save.txt"] == Section("", 127, "sh: ipset: not found")


@pytest.mark.parametrize("length", range(0, 160, 7))
def test_a_cut_answer_is_never_whole_and_never_raises(length: int) -> None:
    text = framed(("iptables-save.txt", "*nat\nCOMMIT\n", 0, ""), ("ip-addr.json", "[]", 0, ""))
    sections, whole = split_sections(text[:length], MARK)
    assert whole is False
    node = node_snapshot("w", sections, "v1.37.2")
    assert set(node.files).isdisjoint(node.errors.keys() - {"kube-proxy-version"})


def test_a_failed_dump_is_an_error_and_not_an_empty_file() -> None:
    sections, _ = split_sections(framed(("nft-ip.json", "", 1, "Error: No such file or directory")), MARK)
    node = node_snapshot("w", sections, "")
    assert "nft-ip.json" not in node.files
    assert node.errors["nft-ip.json"] == "exit code 1: Error: No such file or directory"
    assert node.errors["iptables-save.txt"].startswith("not taken")


def test_files_are_those_of_the_contract() -> None:
    text = framed(
        ("kube-proxy.yaml", "mode: iptables\n", 0, ""),
        ("kube-proxy-version", "Kubernetes v1.37.2\n", 0, ""),
        ("route4", "[]", 0, ""),
        ("route6", "", 0, ""),
        *((name, "x", 0, "") for name in ("iptables-save.txt", "ipset-save.txt", "ip-addr.json")),
    )
    node = node_snapshot("w", split_sections(text, MARK)[0], "")
    assert set(node.files) <= set(NODE_FILES)
    assert node.files["kube-proxy-version"] == "v1.37.2"
    assert node.files["ip-route.json"] == "[]"


def test_without_a_running_kube_proxy_the_labs_version_stands_in() -> None:
    sections, _ = split_sections(framed(("kube-proxy-version", "", 3, "kube-proxy does not run")), MARK)
    assert node_snapshot("w", sections, "v1.37.2").files["kube-proxy-version"] == "v1.37.2"
    assert "kube-proxy-version" not in node_snapshot("w", sections, "").files


def test_the_hostname_that_a_flag_gives_is_put_into_the_configuration() -> None:
    assert yaml.safe_load(with_hostname("mode: ipvs\n", "w"))["hostnameOverride"] == "w"
    assert yaml.safe_load(with_hostname("hostnameOverride: other\n", "w"))["hostnameOverride"] == "other"
    assert with_hostname(": not yaml [", "w") == ": not yaml ["


def test_facts_that_the_node_cannot_tell_are_absent() -> None:
    text = framed(
        ("sysctls", "", 0, ""),
        ("accounting", "", 3, "no kernel symbols to look in"),
        ("tools", "6.1\n", 0, ""),
    )
    found = facts(split_sections(text, MARK)[0])
    assert "nfacct" not in found
    assert "tcp_be_liberal" not in found
    assert found["kube_proxy_running"] is False


@pytest.mark.parametrize(("said", "fact"), [("yes\n", True), ("no\n", False)])
def test_facts_the_rules_depend_on(said: str, fact: bool) -> None:
    sysctls = "net/netfilter/nf_conntrack_tcp_be_liberal=1\nnet/ipv4/conf/all/route_localnet=0\n"
    text = framed(
        ("arguments", "kube-proxy\n", 0, ""), ("sysctls", sysctls, 0, ""), ("accounting", said, 0, "")
    )
    found = facts(split_sections(text, MARK)[0])
    assert (found["nfacct"], found["tcp_be_liberal"], found["route_localnet"]) == (fact, 1, 0)
    assert found["kube_proxy_running"] is True
    assert found["sysctls"]["net.ipv4.conf.all.route_localnet"] == "0"


def test_a_command_past_its_deadline_is_killed_with_its_children() -> None:
    outcome = run(["sh", "-c", "sleep 30 & sleep 30; echo late"], timeout=0.3)
    assert outcome.code == TIMED_OUT
    assert "no answer within 0.3 s" in outcome.err


def test_a_command_that_is_not_there_is_an_outcome() -> None:
    assert run(["/nonexistent/tool"], timeout=1).code == 127


def test_tables_of_other_owners_are_one_document() -> None:
    """Those of iptables-nft are in iptables-save, those of kube-proxy in files of their own."""
    if not shutil.which("nft") or not shutil.which("iptables") or os.geteuid():
        pytest.skip("needs root, nft and iptables")
    rules = """
    table ip kube-proxy { }
    table inet fw { chain c { type filter hook input priority 5; policy drop; tcp dport 22 accept; }; }
    table ip other { }
    """
    made = f"iptables -A INPUT -m addrtype --dst-type LOCAL; echo '{rules}' | nft -f -; exec \"$@\""
    script = ["sh", "-c", SCRIPT, "kubewire", MARK]
    ran = run(["unshare", "-n", "sh", "-ec", made, "sh", *script], timeout=30)
    node = node_snapshot("w", split_sections(ran.out, MARK)[0], "")
    found = json.loads(node.files["nft-foreign.json"])["nftables"]
    tables = {(item["table"]["family"], item["table"]["name"]) for item in found if "table" in item}
    assert tables - {("ip", "filter")} == {("inet", "fw"), ("ip", "other")}
    [chain] = [item["chain"] for item in found if "chain" in item and item["chain"]["name"] == "c"]
    assert (chain["hook"], chain["prio"], chain["policy"]) == ("input", 5, "drop")


def test_a_table_that_nft_cannot_print_is_named_and_the_others_stay() -> None:
    whole = '{"nftables": [{"metainfo": {}}, {"table": {"family": "ip", "name": "b"}}]}'
    out = f'inet a\n{{"nftables": [{{"rule\nip b\n{whole}\nbridge c\n\n'
    for told, why in (("Error: no", "Error: no"), ("", "nft printed no JSON, or more than 2 MiB of it")):
        sections, _ = split_sections(framed(("nft-foreign.json", out, 0, told)), MARK)
        assert json.loads(node_snapshot("w", sections, "").files["nft-foreign.json"])["nftables"] == [
            {"table": {"family": "inet", "name": "a", "unread": why}},
            {"table": {"family": "ip", "name": "b"}},
            {"table": {"family": "bridge", "name": "c", "unread": why}},
        ]
    failed, _ = split_sections(framed(("nft-foreign.json", "", 127, "sh: nft: not found")), MARK)
    assert "not found" in node_snapshot("w", failed, "").errors["nft-foreign.json"]


def test_listeners_are_read_from_what_ss_prints() -> None:
    text = (
        "udp   UNCONN 0      0         127.0.0.53%lo:53         0.0.0.0:*\n"
        "tcp   LISTEN 0      128             [::1]:30080           [::]:*    "
        'users:(("kube-proxy",pid=46,fd=9),("kube-proxy",pid=47,fd=9))\n'
        'tcp   LISTEN 0      128                 *:8080               *:*    users:(("a b",pid=5,fd=3))\n'
        "nonsense\n"
    )
    found = facts({"listeners": Section(text, 0, "")})["listeners"]
    assert found == [
        {"protocol": "udp", "address": "127.0.0.53%lo", "port": 53},
        {"protocol": "tcp", "address": "::1", "port": 30080, "process": "kube-proxy", "pid": 46},
        {"protocol": "tcp", "address": "*", "port": 8080, "process": "a b", "pid": 5},
    ]
    assert "listeners" not in facts({"listeners": Section("", 3, "the tool ss is missing")})
    assert "listeners" not in facts({"listeners": Section(text * 500, 0, "")})
