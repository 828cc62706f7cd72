"""Files are replaced whole or not at all."""

import errno
import os
import stat

import pytest

from facecli.errors import OutputError
from facecli.files import make_private_folder, replacing, sha256_of


def test_the_new_content_replaces_the_old(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with replacing(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def _fail_half_way(path):
    with replacing(path) as stream:
        stream.write(b"half")
        raise RuntimeError


def test_a_failure_leaves_the_old_content_and_nothing_else(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        _fail_half_way(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["fsync", "fchmod"])
def test_a_disk_that_refuses_is_one_sentence_with_a_remedy(tmp_path, monkeypatch, call):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(OutputError, match="No space left") as caught, replacing(tmp_path / "x") as stream:
        stream.write(b"new")
    assert "free some space" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_its_owners_alone(tmp_path):
    folder = make_private_folder(tmp_path / "a" / "b")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_under_a_file_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't write"):
        make_private_folder(tmp_path / "file" / "folder")


def test_the_digest_is_of_the_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_of(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
