"""A check finds whatever damage changes what a gallery holds or answers, and repair mends what is derived."""

import contextlib
import json
import os
import shutil
import sqlite3
import stat

import numpy as np
import pytest
from galleries import PIN, fill, new, units
from test_damage import edit, everything

from facecli.errors import FacecliError, GalleryError, UsageError
from facecli.gallery import Gallery, check, index, log, repair, schema
from facecli.gallery.check import Remedy

DATABASE = "gallery.db"


def looked_over(folder, **options):
    return check.check(folder, wait_s=0.5, **options)


def kinds(folder, **options):
    return {(fault.kind, fault.remedy.value) for fault in looked_over(folder, **options).faults}


def mended(folder, quarantine=None):
    """Repair, and return what a further check finds."""
    repair.repair(folder, looked_over(folder), wait_s=0.5, quarantine=quarantine)
    return looked_over(folder).faults


@pytest.fixture
def indexed(filled, monkeypatch):
    """A gallery whose index is on the disk."""
    monkeypatch.setattr(index, "SMALL", 0)
    monkeypatch.setattr(index, "TAIL", 3)
    with Gallery.open(filled) as gallery:
        gallery.search(units(1, 1), 1)
    assert (filled / index.INDEX).exists()
    return filled


def answers(folder):
    """All that a gallery holds and answers, or None where it refuses."""
    with contextlib.suppress(FacecliError), Gallery.open(folder, wait_s=0.1) as gallery:
        return everything(gallery)
    return None


def test_a_sound_gallery_has_no_fault(indexed):
    steps = []
    found = looked_over(indexed, step=lambda *step: steps.append(step))
    assert (found.people, found.templates, found.faults, found.notes) == (20, 40, [], [])
    assert steps == [(40, 40)]


def test_a_gallery_in_use_has_no_fault(gallery, folder):
    fill(gallery, 5)
    gallery.remove("person 2")
    assert looked_over(folder).faults == []


def test_an_empty_gallery_has_no_fault(folder):
    Gallery.create(folder, PIN).close()
    assert looked_over(folder).faults == []


def test_where_there_is_no_gallery_there_is_nothing_to_check(tmp_path):
    with pytest.raises(GalleryError, match="there is no gallery"):
        looked_over(tmp_path)


def test_what_is_not_ours_is_a_note(filled):
    (filled / "README").touch()
    found = looked_over(filled)
    assert found.faults == []
    assert found.notes == ["README is not facecli's"]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("UPDATE meta SET templates = 41", {("meta", "restore")}),
        ("UPDATE meta SET source_sha256 = 'f'", {("meta", "restore")}),
        ("DELETE FROM meta", {("meta", "restore")}),
        ("DROP TABLE operating_point", {("database", "restore")}),
        ("CREATE TRIGGER evil AFTER INSERT ON person BEGIN DELETE FROM template; END", {("schema", "restore")}),
        ("CREATE TABLE planted (x)", {("schema", "restore")}),
        ("DROP INDEX template_of_person", {("schema", "restore")}),
        ("UPDATE person SET name = 'Eve' WHERE id = 3", {("row", "quarantine")}),
        ("UPDATE person SET enrolled_at = x'ff' WHERE id = 3", {("row", "quarantine")}),
        ("UPDATE person SET name = CAST(x'ff41' AS TEXT) WHERE id = 3", {("row", "quarantine")}),
        ("DELETE FROM template WHERE id = 7", {("count", "quarantine")}),
        ("UPDATE template SET vector = zeroblob(64) WHERE id = 7", {("row", "quarantine")}),
        ("UPDATE template SET source = 'x' WHERE id = 7", {("row", "quarantine")}),
        ("DELETE FROM person WHERE id = 3", {("row", "quarantine"), ("count", "quarantine")}),
        ("UPDATE template SET person_id = 1000 WHERE id = 7", {("row", "quarantine"), ("count", "quarantine")}),
        ("UPDATE sqlite_sequence SET seq = 7 WHERE name = 'template'", {("sequence", "repair")}),
        ("DELETE FROM sqlite_sequence", {("sequence", "repair")}),
        ("PRAGMA user_version = 77", {("database", "restore")}),
        ("PRAGMA application_id = 7", {("database", "restore")}),
    ],
)
def test_a_planted_fault_is_found(filled, statement, expected):
    edit(filled, statement)
    assert kinds(filled) == expected


def test_a_template_that_is_none_is_found_though_its_checksum_holds(filled):
    for number, vector in ((7, np.full(16, np.nan, "<f4")), (9, np.full(16, 1.0, "<f4"))):
        with Gallery.open(filled) as gallery:
            owner = gallery.people()[[p.id for p in gallery.people()].index((number + 1) // 2)]
            [stored] = [t for t in gallery.templates(owner.name) if t.id == number]
            bad = schema.StoredTemplate(
                number, vector, stored.source, stored.source_sha256, stored.quality, stored.enrolled_at
            )
            digest = schema.template_digest(gallery.id, owner.subject, bad)
        edit(filled, "UPDATE template SET vector = ?, digest = ? WHERE id = ?", vector.tobytes(), digest, number)
    found = looked_over(filled).faults
    assert [fault.row for fault in found] == [("template", 7), ("template", 9)]
    assert all("not finite and of unit length" in fault.what for fault in found)


def test_another_model_of_the_same_name_is_found(filled):
    assert kinds(filled, known=lambda _name: PIN) == set()
    other = schema.ModelPin("fake", "9" * 64, "none-1", "1" * 64, 16)
    [fault] = looked_over(filled, known=lambda _name: other).faults
    assert fault.kind == "model"
    assert "source_sha256" in fault.what
    assert looked_over(filled, known=lambda _name: None).notes == ["its model fake is not known on this machine"]


# --- what is derived -------------------------------------------------------------------------------------------------


def test_wrong_permissions_are_found_and_mended(indexed):
    indexed.chmod(0o755)
    for name in (DATABASE, index.INDEX, "lock"):
        (indexed / name).chmod(0o644)
    found = looked_over(indexed).faults
    assert [(fault.kind, fault.file) for fault in found] == [
        ("permissions", name) for name in (".", DATABASE, index.INDEX, "lock")
    ]
    assert mended(indexed) == []
    assert stat.S_IMODE(indexed.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in indexed.iterdir())


def test_what_a_killed_process_left_is_found_and_removed(filled):
    for name in (".gallery.db.abc.part", ".gallery.db.abc.part-journal", ".index.faiss.xyz.part"):
        (filled / name).touch(0o600)
    assert [fault.kind for fault in looked_over(filled).faults] == ["leftover"] * 3
    assert mended(filled) == []
    assert not list(filled.glob(".*"))


def test_an_index_of_another_gallery_or_state_is_found_and_made_again(indexed, tmp_path):
    sound = (indexed / index.INDEX).read_bytes()
    with Gallery.create(tmp_path / "other", PIN) as other:
        fill(other, 20, each=2)
        other.search(units(1, 1), 1)
    foreign = (tmp_path / "other" / index.INDEX).read_bytes()
    with Gallery.open(indexed) as gallery:
        rows = index.load(indexed / index.INDEX, gallery.id, 16)
        block = rows.saved_block
        plants = {"foreign": foreign, "cut": sound[:-7], "empty": b""}
        for name, change in (
            ("moved", index.Block(block.ids, np.roll(block.people, 1), block.vectors)),
            ("turned", index.Block(block.ids, block.people, -block.vectors)),
            (
                "hollow",
                index.Block(block.ids[::2].copy(), block.people[::2].copy(), np.ascontiguousarray(block.vectors[::2])),
            ),
            ("longer", index.Block(block.ids + 1, block.people, block.vectors)),
        ):
            index.Index(change, gallery.generation).save(tmp_path / name, gallery.id)
            plants[name] = (tmp_path / name).read_bytes()
        for name, generation in (("newer", gallery.generation + 1),):
            index.Index(block, generation).save(tmp_path / name, gallery.id)
            plants[name] = (tmp_path / name).read_bytes()
    for name, content in plants.items():
        (indexed / index.INDEX).write_bytes(content)
        assert kinds(indexed) == {("index", "repair")}, name
        assert mended(indexed) == [], name
        assert (indexed / index.INDEX).read_bytes() == sound, name


def test_an_index_older_than_a_removal_is_found(indexed):
    outdated = (indexed / index.INDEX).read_bytes()
    with Gallery.open(indexed, writable=True) as gallery:
        gallery.remove("person 3")
    (indexed / index.INDEX).write_bytes(outdated)
    (indexed / index.INDEX).chmod(0o600)
    [fault] = looked_over(indexed).faults
    assert "removed since" in fault.what
    assert mended(indexed) == []


def test_an_index_that_newer_templates_have_left_behind_is_no_fault(indexed):
    with Gallery.open(indexed, writable=True) as gallery:
        gallery.enrol("Ada", [new(units(7, 1)[0])])
    assert looked_over(indexed).faults == []


def test_a_sqlite_index_that_lacks_a_row_is_made_again(filled):
    connection = sqlite3.connect(filled / DATABASE)
    connection.execute("PRAGMA writable_schema = ON")
    with connection:
        connection.execute("UPDATE sqlite_master SET sql = sql || ' WHERE id <> 7' WHERE name = 'template_of_person'")
    connection.close()
    connection = sqlite3.connect(filled / DATABASE)
    connection.execute("PRAGMA writable_schema = ON")
    with connection:
        connection.execute("REINDEX template_of_person")
        connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ' WHERE id <> 7', '') WHERE name = 'template_of_person'"
        )
    connection.close()
    assert ("sqlite-index", "repair") in kinds(filled)
    assert mended(filled) == []


def test_keys_are_never_given_twice_after_a_repair(filled):
    edit(filled, "DELETE FROM sqlite_sequence")
    assert mended(filled) == []
    with Gallery.open(filled, writable=True) as gallery:
        assert gallery.enrol("Ada", [new(units(7, 1)[0])]).id == 21


# --- what is enrolled ------------------------------------------------------------------------------------------------


def test_repair_alone_never_takes_a_row_out(filled):
    edit(filled, "UPDATE template SET source = 'x' WHERE id = 7")
    (filled / DATABASE).chmod(0o640)
    before = looked_over(filled).faults
    assert mended(filled) == [fault for fault in before if fault.kind == "row"]


def test_quarantine_copies_damaged_rows_out_and_leaves_the_rest_whole(filled, tmp_path):
    with Gallery.open(filled) as gallery:
        kept = {p.name: [t.vector.tobytes() for t in gallery.templates(p.name)] for p in gallery.people()}
    edit(filled, "UPDATE template SET source = ? WHERE id = 7", "caf\u00e9\n")
    edit(filled, "UPDATE person SET name = CAST(x'ff41' AS TEXT) WHERE id = 9")
    edit(filled, "DELETE FROM template WHERE id = 31")
    edit(filled, "DELETE FROM template WHERE person_id = 20")
    found = looked_over(filled)
    done = repair.repair(filled, found, wait_s=0.5, quarantine=tmp_path / "out")
    assert any('removed "person 19"' in sentence for sentence in done)
    assert looked_over(filled).faults == []
    rows = [json.loads(line) for line in (tmp_path / "out" / repair.QUARANTINED).read_text().splitlines()]
    assert [(row["table"], row["key"]) for row in rows] == [
        *(("template", key) for key in (7, 17, 18)),
        ("person", 9),
    ]
    assert rows[0]["row"]["source"] == {"hex": "caf\u00e9\n".encode().hex()}
    assert bytes.fromhex(rows[0]["row"]["vector"]["hex"]) == kept["person 3"][0]
    assert rows[3]["row"]["name"] == {"hex": "ff41"}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    with Gallery.open(filled) as gallery:
        assert gallery.count() == (18, 34)
        assert [t.vector.tobytes() for t in gallery.templates("person 3")] == kept["person 3"][1:]
        assert [t.vector.tobytes() for t in gallery.templates("person 15")] == kept["person 15"][1:]


def test_quarantine_overwrites_nothing(filled, tmp_path):
    edit(filled, "UPDATE template SET source = 'x' WHERE id = 7")
    with pytest.raises(UsageError, match="already"):
        mended(filled, quarantine=tmp_path)
    assert kinds(filled) == {("row", "quarantine")}


def test_what_only_a_snapshot_can_mend_is_left_alone(filled, tmp_path):
    edit(filled, "UPDATE meta SET templates = 41")
    before = (filled / DATABASE).read_bytes()
    assert [fault.remedy for fault in mended(filled, quarantine=tmp_path / "out")] == [Remedy.RESTORE]
    assert (filled / DATABASE).read_bytes() == before


# --- every region of every file --------------------------------------------------------------------------------------


def flipped(path, offset):
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << offset % 8
    path.write_bytes(data)


def assert_found_or_harmless(folder, path, offset, expected):
    """What a check does not report must change nothing."""
    if not looked_over(folder).faults:
        assert answers(folder) == expected, (path.name, offset)
        return 0
    return 1


def test_a_flipped_bit_anywhere_in_the_database_is_found_or_changes_nothing(filled):
    expected = answers(filled)
    original = (filled / DATABASE).read_bytes()
    found = 0
    for offset in [*range(100), *range(101, len(original), 211)]:
        flipped(filled / DATABASE, offset)
        found += assert_found_or_harmless(filled, filled / DATABASE, offset, expected)
        for name in ("gallery.db-wal", "gallery.db-shm"):
            (filled / name).unlink(missing_ok=True)
        (filled / DATABASE).write_bytes(original)
    assert found > 60


def test_a_flipped_bit_anywhere_in_the_index_is_found(indexed):
    original = (indexed / index.INDEX).read_bytes()
    for offset in [*range(80), *range(80, len(original), 97)]:
        flipped(indexed / index.INDEX, offset)
        assert kinds(indexed) == {("index", "repair")}, offset
        (indexed / index.INDEX).write_bytes(original)


@pytest.fixture
def crashed(gallery, folder, tmp_path):
    """A gallery as a killed writer leaves it: its last changes are only in the log."""
    fill(gallery, 3)
    gallery.close()
    with Gallery.open(folder, writable=True) as writer:
        writer.enrol("Ada", [new(vector) for vector in units(7, 3)])
        writer.rename("person 1", "Bob")
        copy = tmp_path / "crashed"
        copy.mkdir(0o700)
        for name in (DATABASE, "gallery.db-wal"):
            shutil.copy(folder / name, copy / name)
    return copy


def test_a_log_left_by_a_killed_writer_is_sound(crashed):
    assert looked_over(crashed).faults == []
    assert log.state_of(crashed / "gallery.db-wal") is log.LogState.SOUND


def test_a_flipped_bit_anywhere_in_the_log_is_found_or_changes_nothing(crashed):
    path = crashed / "gallery.db-wal"
    expected = answers(crashed)
    assert any(person.name == "Bob" for person in expected[3])
    original, truth = path.read_bytes(), (crashed / DATABASE).read_bytes()
    size = 24 + 4096
    frames = [32 + size * number + byte for number in range(len(original) // size) for byte in (*range(24), 24, 999)]
    found = 0
    for offset in [*range(32), *frames]:
        flipped(path, offset)
        found += assert_found_or_harmless(crashed, path, offset, expected)
        (crashed / "gallery.db-shm").unlink(missing_ok=True)
        path.write_bytes(original)
        (crashed / DATABASE).write_bytes(truth)
    assert found > 100


def test_a_log_that_was_cut_within_a_change_is_found_and_mended(crashed):
    data = (crashed / "gallery.db-wal").read_bytes()
    for keep in (10, len(data) - 1, len(data) - 4000, len(data) - 4120):
        (crashed / "gallery.db-wal").write_bytes(data[:keep])
        assert kinds(crashed) == {("log", "repair")}, keep
    assert mended(crashed) == []


def test_changes_behind_damage_in_the_log_are_not_dropped_without_a_copy(crashed, tmp_path):
    flipped(crashed / "gallery.db-wal", 32 + 24 + 50)
    damaged = (crashed / "gallery.db-wal").read_bytes()
    assert kinds(crashed) == {("log", "quarantine")}
    found = looked_over(crashed)
    repair.repair(crashed, found, wait_s=0.5, quarantine=tmp_path / "out")
    assert looked_over(crashed).faults == []
    assert (tmp_path / "out" / "gallery.db-wal").read_bytes() == damaged


@pytest.mark.parametrize("name", [DATABASE, index.INDEX])
def test_a_file_cut_anywhere_is_found(indexed, name):
    data = (indexed / name).read_bytes()
    for keep in range(0, len(data), max(1, len(data) // 23)):
        (indexed / name).write_bytes(data[:keep])
        assert looked_over(indexed).faults, keep
        for companion in ("gallery.db-wal", "gallery.db-shm"):
            (indexed / companion).unlink(missing_ok=True)


def test_a_check_waits_for_a_writer_and_then_says_so(gallery, folder):
    with gallery.exclusive(), pytest.raises(GalleryError, match="locked by another process"):
        check.check(folder, wait_s=0.05)


def test_a_gallery_on_read_only_media_is_checked(filled, monkeypatch):
    monkeypatch.setattr(os, "access", lambda _path, mode: mode != os.W_OK)
    assert looked_over(filled).faults == []
