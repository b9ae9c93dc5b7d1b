"""The image archive: shared layers once, digests true, nothing of the builder in it."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

from kubewire.providers.kind.image.archive import Image, make_layer, write


def read(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as opened:
        members = opened.getmembers()
        assert len({member.name for member in members}) == len(members)
        contents = {member.name: opened.extractfile(member) for member in members}
        return {name: stream.read() for name, stream in contents.items() if stream}


def test_layers_are_shared_and_known_by_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("x")
    (tmp_path / "tool").chmod(0o755)
    base = make_layer(tmp_path / "base.tar", links={"bin": "usr/bin"}, folders=("usr",))
    tool = make_layer(tmp_path / "tool.tar", {"usr/bin/tool": tmp_path / "tool"})
    images = [
        Image(("a:1",), (base,)),
        Image(("b:1", "b:2"), (base, tool), entrypoint=("tool",), user="65534", labels={"k": "v"}),
    ]
    target = tmp_path / "images.tar"
    write(target, images, "amd64")
    files = read(target)
    manifest = json.loads(files["manifest.json"])
    assert [entry["RepoTags"] for entry in manifest] == [["a:1"], ["b:1", "b:2"]]
    assert sum(name.endswith(".tar") for name in files) == 2
    for entry in manifest:
        config = json.loads(files[entry["Config"]])
        assert hashlib.sha256(files[entry["Config"]]).hexdigest() + ".json" == entry["Config"]
        digests = [f"sha256:{hashlib.sha256(files[layer]).hexdigest()}" for layer in entry["Layers"]]
        assert config["rootfs"]["diff_ids"] == digests
        assert (config["architecture"], config["os"]) == ("amd64", "linux")
    config = json.loads(files[manifest[1]["Config"]])["config"]
    assert (config["Entrypoint"], config["User"], config["Labels"]) == (["tool"], "65534", {"k": "v"})


def test_a_layer_is_the_same_whoever_makes_it_whenever(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    one = make_layer(tmp_path / "1.tar", {"srv": tmp_path / "folder"})
    (tmp_path / "folder" / "file").touch()
    two = make_layer(tmp_path / "2.tar", {"srv": tmp_path / "folder"})
    assert one.digest == two.digest
    with tarfile.open(one.file) as archive:
        assert {(m.uid, m.gid, m.uname, m.mtime) for m in archive} == {(0, 0, "", 0)}
        assert archive.getnames() == ["srv", "srv/file"]
