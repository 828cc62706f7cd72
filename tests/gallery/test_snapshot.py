"""Whole copies: taken while the gallery is used, verified, and put back in one step."""

import shutil
import sqlite3
import stat

import numpy as np
import pytest
from galleries import PIN, fill, new, units
from test_damage import edit, everything

from facecli.errors import GalleryError, OutputError, UsageError
from facecli.gallery import Gallery, check, index, schema
from facecli.gallery import snapshot as copies

DATABASE = "gallery.db"


def contents(folder):
    """All that it holds, but for the generation."""
    with Gallery.open(folder) as gallery:
        return everything(gallery)


def sound(folder):
    return not check.check(folder, wait_s=1).faults


@pytest.fixture
def copy(filled, tmp_path):
    copies.snapshot(filled, tmp_path / "copy", wait_s=1)
    return tmp_path / "copy"


def test_a_snapshot_put_back_elsewhere_is_the_same_gallery(filled, copy, tmp_path):
    made = copies.restore(copy, tmp_path / "again", wait_s=1)
    assert (made.people, made.templates) == (20, 40)
    assert contents(tmp_path / "again") == contents(filled)
    assert sound(tmp_path / "again")
    assert sorted(path.name for path in (tmp_path / "again").glob("*.db")) == [DATABASE]
    assert not list((tmp_path / "again").glob(".*"))


def test_a_snapshot_is_one_private_file(copy, tmp_path):
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "gallery"]


def test_a_snapshot_is_of_one_moment_and_includes_what_is_only_in_the_log(gallery, folder, tmp_path):
    fill(gallery, 3)
    made = copies.snapshot(folder, tmp_path / "copy", wait_s=1)
    gallery.enrol("late", [new(units(5, 1)[0])])
    assert made.people == 3
    copies.restore(tmp_path / "copy", tmp_path / "again", wait_s=1)
    with Gallery.open(tmp_path / "again") as again:
        assert [person.name for person in again.people()] == ["person 0", "person 1", "person 2"]


def test_a_snapshot_overwrites_nothing_unless_forced(filled, copy):
    before = copy.read_bytes()
    with pytest.raises(UsageError, match="there is a file at"):
        copies.snapshot(filled, copy, wait_s=1)
    assert copy.read_bytes() == before
    edit(filled, "VACUUM")
    with Gallery.open(filled, writable=True) as gallery:
        gallery.remove("person 3")
    assert copies.snapshot(filled, copy, wait_s=1, force=True).people == 19


def test_no_snapshot_is_put_into_the_gallery_itself(filled):
    with pytest.raises(UsageError, match="own folder"):
        copies.snapshot(filled, filled / "copy", wait_s=1)


def test_no_snapshot_is_taken_of_a_damaged_gallery(filled, tmp_path):
    edit(filled, "UPDATE template SET source = 'x' WHERE id = 7")
    with pytest.raises(GalleryError, match='template 7 of "person 3" fails its checksum'):
        copies.snapshot(filled, tmp_path / "copy", wait_s=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gallery"]


def test_a_gallery_is_not_replaced_unless_forced(filled, copy):
    before = contents(filled)
    with pytest.raises(UsageError, match="there is a gallery at"):
        copies.restore(copy, filled, wait_s=1)
    assert contents(filled) == before


def test_a_forced_restore_brings_the_old_state_back_even_to_who_has_it_open(filled, copy, monkeypatch):
    monkeypatch.setattr(index, "SMALL", 0)
    monkeypatch.setattr(index, "TAIL", 3)
    before = contents(filled)
    with Gallery.open(filled, writable=True) as writer, Gallery.open(filled) as reader:
        writer.remove("person 3")
        for number in range(30):
            writer.enrol(f"late {number}", [new(units(100 + number, 1)[0])])
        reader.search(units(1, 1), 1)
        generation = writer.generation
        copies.restore(copy, filled, wait_s=1, force=True)
        assert everything(reader) == before
        assert reader.generation > generation  # no index of either past fits it
        assert not (filled / index.INDEX).exists()
        probe = units(5, 1)
        writer.enrol("after", [new(probe[0])])
        assert reader.search(probe, 1)[0][0].person.name == "after"
    assert sound(filled)


def test_who_enrols_while_a_copy_is_verified_leaves_no_index_that_fits_the_restored_gallery(filled, copy, monkeypatch):
    """The generation of what comes back is chosen under the lock, above whatever was there at that moment."""
    real = copies._verified

    def verified(*arguments, **options):
        with Gallery.open(filled, writable=True) as gallery:
            for number in range(3):
                gallery.enrol(f"late {number}", [new(units(200 + number, 1)[0])])
        return real(*arguments, **options)

    monkeypatch.setattr(copies, "_verified", verified)
    with Gallery.open(filled) as reader:
        copies.restore(copy, filled, wait_s=1, force=True)
        assert reader.generation == 25
        assert reader.count() == (20, 40)


def test_a_network_file_system_is_not_restored_to(copy, tmp_path, monkeypatch):
    monkeypatch.setattr("facecli.gallery.place.file_system", lambda _folder: "nfs4")
    with pytest.raises(OutputError, match="network file system"):
        copies.restore(copy, tmp_path / "new", wait_s=1)
    assert not (tmp_path / "new").exists()


def test_a_damaged_gallery_is_replaced(filled, copy):
    before = contents(filled)
    data = bytearray((filled / DATABASE).read_bytes())
    data[:4096] = bytes(4096)
    (filled / DATABASE).write_bytes(data)
    (filled / "gallery.db-wal").write_bytes(b"remains of the old one")
    copies.restore(copy, filled, wait_s=1, force=True)
    assert contents(filled) == before
    assert sound(filled)


@pytest.mark.parametrize("content", [None, b"", b"hello", b"SQLite format 3\0" + b"\xff" * 4096])
def test_what_is_no_snapshot_is_not_put_back(filled, tmp_path, content):
    if content is not None:
        (tmp_path / "copy").write_bytes(content)
    before = contents(filled)
    for folder in (filled, tmp_path / "new"):
        with pytest.raises(GalleryError):
            copies.restore(tmp_path / "copy", folder, wait_s=1, force=True)
    assert contents(filled) == before
    assert not (tmp_path / "new" / DATABASE).exists()
    assert not list(filled.glob(".*"))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE template SET source = 'x' WHERE id = 7",
        "UPDATE meta SET people = 21",
        "DELETE FROM person WHERE id = 4",
        "CREATE TRIGGER evil AFTER INSERT ON person BEGIN DELETE FROM template; END",
        "CREATE VIEW evil AS SELECT 1",
    ],
)
def test_a_damaged_or_doctored_snapshot_is_not_put_back(filled, copy, statement):
    before = contents(filled)
    connection = sqlite3.connect(copy)
    with connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(GalleryError, match="the snapshot"):
        copies.restore(copy, filled, wait_s=1, force=True)
    assert contents(filled) == before


def test_a_snapshot_cut_anywhere_is_not_put_back(filled, copy):
    data = copy.read_bytes()
    before = contents(filled)
    for keep in range(0, len(data), len(data) // 11):
        copy.write_bytes(data[:keep])
        with pytest.raises(GalleryError):
            copies.restore(copy, filled, wait_s=1, force=True)
    assert contents(filled) == before


def test_a_snapshot_of_an_older_format_is_brought_up_to_date(filled, copy, tmp_path):
    connection = sqlite3.connect(copy)
    with connection:
        meta = schema.read_meta(connection)
        connection.execute("DROP TABLE calibration")
        connection.execute("DROP TABLE operating_point")
        connection.execute("PRAGMA user_version = 1")
        connection.execute("UPDATE meta SET digest = ?", (schema.meta_digest(meta, 1),))
    connection.close()
    copies.restore(copy, tmp_path / "new", wait_s=1)
    assert contents(tmp_path / "new") == contents(filled)
    assert sound(tmp_path / "new")


def test_a_restore_waits_for_a_writer_and_then_says_so(filled, copy):
    before = contents(filled)
    with (
        Gallery.open(filled, writable=True) as gallery,
        gallery.exclusive(),
        pytest.raises(GalleryError, match="locked by another process"),
    ):
        copies.restore(copy, filled, wait_s=0.05, force=True)
    assert contents(filled) == before


def test_a_snapshot_that_can_not_be_written_says_so(filled, tmp_path):
    with pytest.raises(OutputError, match="can't write"):
        copies.snapshot(filled, tmp_path / "none" / "copy", wait_s=1)


def test_compact_gives_back_the_room_of_removed_people_and_changes_nothing(folder):
    with Gallery.create(folder, PIN) as gallery:
        vectors = units(1, 600).reshape(6, 100, -1)
        for number, templates in enumerate(vectors):
            gallery.enrol(f"person {number}", [new(vector) for vector in templates])
        for number in range(4):
            gallery.remove(f"person {number}")
    expected = contents(folder)
    before, after = copies.compact(folder, wait_s=1)
    assert after < before / 2
    assert after == (folder / DATABASE).stat().st_size
    assert contents(folder) == expected
    assert sound(folder)


def test_compact_leaves_nothing_of_who_was_removed(folder):
    with Gallery.create(folder, PIN) as gallery:
        fill(gallery, 5)
        gone = units(77, 1)[0]
        gallery.enrol("gone", [new(gone)])
        gallery.remove("gone")
    copies.compact(folder, wait_s=1)
    for path in folder.iterdir():
        assert gone.tobytes() not in path.read_bytes()
        assert np.float32(gone[0]).tobytes() + np.float32(gone[1]).tobytes() not in path.read_bytes()


def test_compact_beside_a_reader_of_an_older_state(filled):
    before = contents(filled)
    with Gallery.open(filled) as reader, reader.snapshot():
        assert reader.count() == (20, 40)
        copies.compact(filled, wait_s=1)
        assert everything(reader) == before
    assert contents(filled) == before
    assert sound(filled)


def test_a_full_disk_leaves_the_gallery_as_it_was(filled, copy, monkeypatch, tmp_path):
    before = contents(filled)
    monkeypatch.setattr("os.fsync", lambda _handle: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left"):
        copies.restore(copy, tmp_path / "new", wait_s=1)
    with pytest.raises(OutputError, match="No space left"):
        copies.snapshot(filled, tmp_path / "other", wait_s=1)
    monkeypatch.undo()
    assert not (tmp_path / "other").exists()
    assert not (tmp_path / "new" / DATABASE).exists()
    assert contents(filled) == before
    shutil.rmtree(filled)
