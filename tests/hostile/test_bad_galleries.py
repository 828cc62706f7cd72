"""Galleries that are none, damaged, foreign or of another model: status 9 or 8, a sentence, and not a byte changed."""

import os
import shutil
import sqlite3
from pathlib import Path

import pytest

from tests.hostile.conftest import assert_refused


def _emptied(gallery: Path) -> None:
    (gallery / "gallery.db").write_bytes(b"")


def _garbled(gallery: Path) -> None:
    (gallery / "gallery.db").write_bytes(b"\x00\xff garbage" * 5000)


def _half(gallery: Path) -> None:
    data = (gallery / "gallery.db").read_bytes()
    (gallery / "gallery.db").write_bytes(data[: len(data) // 2])


def _flipped(gallery: Path) -> None:
    data = bytearray((gallery / "gallery.db").read_bytes())
    data[4096:8192] = bytes(4096)
    (gallery / "gallery.db").write_bytes(data)


def _foreign(gallery: Path) -> None:
    (gallery / "gallery.db").unlink()
    with sqlite3.connect(gallery / "gallery.db") as database:
        database.execute("CREATE TABLE person (name)")
    database.close()


def _newer(gallery: Path) -> None:
    with sqlite3.connect(gallery / "gallery.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()


def _without_database(gallery: Path) -> None:
    shutil.rmtree(gallery)
    gallery.mkdir()


def _a_file(gallery: Path) -> None:
    shutil.rmtree(gallery)
    gallery.write_bytes(b"I am a file")


def _a_link_to_itself(gallery: Path) -> None:
    shutil.rmtree(gallery)
    gallery.symlink_to(gallery.name)


def _database_is_a_folder(gallery: Path) -> None:
    (gallery / "gallery.db").unlink()
    (gallery / "gallery.db").mkdir()


def _database_is_a_fifo(gallery: Path) -> None:
    (gallery / "gallery.db").unlink()
    os.mkfifo(gallery / "gallery.db")


def _under_a_file(gallery: Path) -> None:
    (gallery.parent / "file").write_bytes(b"x")
    shutil.rmtree(gallery)
    gallery.symlink_to("file/below")


BAD_GALLERIES = [
    _emptied, _garbled, _half, _flipped, _foreign, _newer, _without_database, _a_file, _a_link_to_itself,
    _database_is_a_folder, _database_is_a_fifo, _under_a_file,
]  # fmt: skip

READING = [
    ("verify", "--json", "--as", "alice", "--", "{again}"),
    ("identify", "--json", "--", "{again}"),
    ("gallery", "list"),
    ("gallery", "show", "alice"),
    ("gallery", "remove", "--yes", "alice"),
    ("gallery", "rename", "alice", "eve"),
]


def _bytes_below(folder: Path) -> dict[str, bytes | str]:
    """All files below, but for SQLite's companions and the lock, which hold nothing of their own when it is closed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix != ".png" and not path.name.endswith(("-wal", "-shm", "lock")):
            found[str(path)] = path.read_bytes() if path.is_file() else path.lstat().st_mode.__str__()
    return found


@pytest.mark.parametrize("damage", BAD_GALLERIES)
def test_every_command_says_so_and_changes_nothing(run, people, damage):
    damage(people.folder / "gallery")
    before = _bytes_below(people.folder)
    for template in READING:
        words = [word.format(again=people.again) for word in template]
        done = run(*words)
        assert_refused(done, 9, command=words[0] if "--json" in words else "")
    if damage not in {_without_database, _a_link_to_itself}:  # one may be made there
        done = run("enroll", "--json", "--", "bob", people.bob)
        assert done.status in {9, 14}
        assert_refused(done, done.status, command="enroll")
    assert _bytes_below(people.folder) == before


def test_another_models_gallery(run, people):
    before = people.dump()
    for words in (
        ("verify", "--model", "other", "--json", "--as", "alice", "--", people.again),
        ("identify", "--model", "other", "--json", "--", people.again),
        ("enroll", "--model", "other", "--json", "--", "bob", people.bob),
    ):
        assert_refused(run(*words), 8, command=words[0])
    assert people.dump() == before


@pytest.mark.parametrize(
    "path", ["", " ", "\x1b[2J", "/dev/null", "/dev/zero", "/proc/self", "x" * 5000, "a\nb", "\udcff"], ids=ascii
)
def test_a_path_that_is_no_gallery(run, people, path):
    for words in (
        ("identify", "--json", "--gallery", path, "--", people.again),
        ("gallery", "list", "--gallery", path),
    ):
        done = run(*words)
        assert done.status in {2, 9}, done
        assert_refused(done, done.status, command="identify" if words[0] == "identify" else "")


@pytest.mark.parametrize("path", ["/dev/null", "/dev/null/x", "/proc/x", "x" * 5000], ids=ascii)
def test_a_place_where_no_gallery_can_be_made(run, people, path):
    done = run("enroll", "--json", "--gallery", path, "--", "bob", people.bob)
    assert done.status in {2, 9, 14}, done
    assert_refused(done, done.status, command="enroll")
