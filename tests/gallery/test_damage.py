"""What a gallery does when its files are not what it wrote: a sentence and status 9, never a wrong answer."""

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from galleries import PIN, fill, new, units

import facecli
from facecli.errors import ExitStatus, FacecliError, GalleryError, OutputError
from facecli.gallery import Gallery

DATABASE = "gallery.db"


def refusal(folder, *, writable=False):
    """The error that opening, listing and searching ends in; its message must be one printable sentence."""
    with pytest.raises(GalleryError) as caught, Gallery.open(folder, writable=writable, wait_s=0.1) as gallery:
        everything(gallery)
    assert caught.value.status is ExitStatus.GALLERY
    assert caught.value.message.isprintable()
    return caught.value


def everything(gallery):
    """All that a gallery holds and answers, in comparable form."""
    people = gallery.people()
    templates = [
        (person.name, t.id, t.vector.tobytes(), t.source, t.source_sha256, t.quality, t.enrolled_at)
        for person in people
        for t in gallery.templates(person.name)
    ]
    return gallery.id, gallery.pin, gallery.count(), people, templates, gallery.search(units(5, 5), 3)


def edit(folder, statement, *values):
    """Change the database behind the gallery's back."""
    connection = sqlite3.connect(folder / DATABASE)
    with connection:
        connection.execute(statement, values)
    connection.close()


def test_no_gallery_says_what_to_do(tmp_path):
    for folder in (tmp_path / "none", tmp_path):
        error = refusal(folder)
        assert "there is no gallery at" in error.message
        assert "facecli enroll" in error.hint


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("hello")
    assert "there is no gallery at" in refusal(tmp_path / "file").message
    with pytest.raises(OutputError, match="can't write"):
        Gallery.create(tmp_path / "file", PIN)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"\0" * 5000, os.urandom(8192), b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_that_is_no_database(filled, content):
    (filled / DATABASE).write_bytes(content)
    refusal(filled)
    refusal(filled, writable=True)


def test_a_database_of_something_else(filled):
    (filled / DATABASE).unlink()
    edit(filled, "CREATE TABLE meta (only INTEGER)")
    assert "is not a facecli gallery" in refusal(filled).message


@pytest.mark.parametrize("keep", [1, 99, 100, 512, 4095, 4096, 8192, 20000])
def test_a_truncated_database(filled, keep):
    data = (filled / DATABASE).read_bytes()
    assert keep < len(data)
    (filled / DATABASE).write_bytes(data[:keep])
    refusal(filled)


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), os.mkfifo, lambda path: path.symlink_to("/dev/null")])
def test_something_else_in_place_of_the_database(filled, make):
    (filled / DATABASE).unlink()
    make(filled / DATABASE)
    assert "is not a file" in refusal(filled).message


def test_a_gallery_of_a_newer_facecli(filled):
    edit(filled, "PRAGMA user_version = 3")
    error = refusal(filled)
    assert "was made by a newer facecli (its format is 3, this one knows 2)" in error.message
    assert error.hint == "update facecli"


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE meta SET dimension = 8", "its description fails its checksum"),
        ("UPDATE meta SET source_sha256 = 'f'", "its description fails its checksum"),
        ("UPDATE meta SET generation = generation - 1", "its description fails its checksum"),
        ("UPDATE meta SET people = 'many'", "missing or altered"),
        ("DELETE FROM meta", "missing or altered"),
        ("UPDATE person SET name = 'Eve' WHERE id = 3", 'the row of "Eve" fails its checksum'),
        ("UPDATE person SET subject = 'x' WHERE id = 3", 'the row of "person 2" fails its checksum'),
        ("UPDATE person SET templates = 1 WHERE id = 3", 'the row of "person 2" fails its checksum'),
        ("DELETE FROM person WHERE id = 3", "not as many people"),
        ("DELETE FROM template WHERE id = 7", '"person 3" has 1 of 2 templates'),
        ("UPDATE template SET person_id = 5 WHERE id = 7", '"person 3" has 1 of 2 templates'),
        ("UPDATE template SET person_id = 3 WHERE id = 7", 'template 7 of "person 2" fails its checksum'),
        ("UPDATE template SET id = 1000 WHERE id = 7", 'template 1000 of "person 3" fails its checksum'),
        ("UPDATE template SET source = 'x' WHERE id = 7", 'template 7 of "person 3" fails its checksum'),
        ("UPDATE template SET detection = 1 WHERE id = 7", 'template 7 of "person 3" fails its checksum'),
        ("UPDATE template SET enrolled_at = 'x' WHERE id = 7", 'template 7 of "person 3" fails its checksum'),
        ("UPDATE template SET vector = zeroblob(64) WHERE id = 7", 'template 7 of "person 3" fails its checksum'),
        ("UPDATE template SET vector = x'00' WHERE id = 7", 'template 7 of "person 3" is not of 16 values'),
        ("UPDATE template SET vector = 'text' WHERE id = 7", 'a template of "person 3" is altered'),
        ("UPDATE template SET digest = zeroblob(32) WHERE id = 7", 'template 7 of "person 3" fails its checksum'),
        ("DROP TABLE template", "no such table"),
    ],
)
def test_an_altered_row_is_noticed_and_named(filled, statement, found):
    edit(filled, statement)
    assert found in refusal(filled).message


def test_a_template_moved_over_from_another_gallery_is_noticed(filled, tmp_path):
    with Gallery.create(tmp_path / "other", PIN) as other:
        fill(other, 20, each=2)
    for column in ("vector", "digest"):
        source = sqlite3.connect(tmp_path / "other" / DATABASE)
        [value] = source.execute(f"SELECT {column} FROM template WHERE id = 7").fetchone()  # noqa: S608
        source.close()
        edit(filled, f"UPDATE template SET {column} = ? WHERE id = 7", value)  # noqa: S608
    assert "template 7" in refusal(filled).message


def test_a_score_is_never_computed_from_an_altered_row(filled):
    with Gallery.open(filled) as gallery:
        probe = gallery.templates("person 3")[0].vector
        edit(filled, "UPDATE template SET vector = ? WHERE person_id = 9", probe.tobytes())
        with pytest.raises(GalleryError, match="person 8"):
            gallery.score_person("person 8", probe)
        assert gallery.score_person("person 3", probe).score > 0.99


def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing(filled):
    """Every 101st byte of the database; SQLite's unused bytes may go unreported."""
    original = (filled / DATABASE).read_bytes()
    with Gallery.open(filled) as gallery:
        expected = everything(gallery)
    noticed = 0
    for offset in range(0, len(original), 101):
        data = bytearray(original)
        data[offset] ^= 1 << offset % 8
        (filled / DATABASE).write_bytes(data)
        for name in ("gallery.db-wal", "gallery.db-shm"):
            (filled / name).unlink(missing_ok=True)
        try:
            with Gallery.open(filled, wait_s=0.1) as gallery:
                assert everything(gallery) == expected, offset
        except FacecliError:
            noticed += 1
    assert noticed > 20


def test_a_crowded_lock_is_a_sentence(gallery, folder):
    with (
        gallery.exclusive(),
        Gallery.open(folder, writable=True, wait_s=0.05) as other,
        pytest.raises(GalleryError, match=r"locked by another process \(waited 0.05 s\)"),
    ):
        other.enrol("Ada", [new(units(1, 1)[0])])


def test_a_database_locked_by_another_program_is_a_sentence(gallery, folder):
    foreign = sqlite3.connect(folder / DATABASE, isolation_level=None)
    foreign.execute("BEGIN IMMEDIATE")
    with (
        Gallery.open(folder, writable=True, wait_s=0.05) as other,
        pytest.raises(GalleryError, match=r"locked by another process \(waited 0.05 s\)"),
    ):
        other.enrol("Ada", [new(units(1, 1)[0])])
    foreign.close()
    gallery.enrol("Ada", [new(units(1, 1)[0])])


def test_a_reader_leaves_the_log_to_the_writers(gallery, folder, tmp_path):
    """Checkpoints happen under the lock alone; a reader that closes last must not make one."""
    fill(gallery, 3)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in (DATABASE, "gallery.db-wal"):
        shutil.copy(folder / name, copy / name)  # as a killed writer leaves it
    before = [(copy / name).read_bytes() for name in (DATABASE, "gallery.db-wal")]
    with Gallery.open(copy) as reader:
        assert reader.count() == (3, 3)
    assert [(copy / name).read_bytes() for name in (DATABASE, "gallery.db-wal")] == before
    with Gallery.open(copy, writable=True) as writer, gallery.exclusive():
        writer.rename("person 0", "Ada")
    assert not (copy / "gallery.db-wal").exists()


def test_a_writer_that_closes_while_another_has_the_lock_leaves_the_log(gallery, folder):
    fill(gallery, 3)
    with Gallery.open(folder, writable=True) as other, other.exclusive():
        before = (folder / DATABASE).read_bytes()
        gallery.close()
        assert (folder / DATABASE).read_bytes() == before
    with Gallery.open(folder) as again:
        assert again.count() == (3, 3)


def test_a_half_made_gallery_is_none(folder, monkeypatch):
    monkeypatch.setattr(
        Path, "replace", lambda *_: os.kill(os.getpid(), 0) or (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(OutputError, match="can't write"):
        Gallery.create(folder, PIN)
    monkeypatch.undo()
    assert [path.name for path in folder.iterdir()] == ["lock"]
    Gallery.create(folder, PIN).close()


# --- places that can't be written ---


@pytest.fixture
def tmpfs(tmp_path):
    """A file system of 1 MiB to fill up or to make read-only."""
    place = tmp_path / "tmpfs"
    place.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("mounting a small file system needs root")
    if subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine does not let us mount a small file system")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill_up(path):
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(bytes(4096))


def test_a_full_disk_leaves_the_old_state_and_says_so(tmpfs):
    enrolled = 3
    with Gallery.create(tmpfs / "gallery", PIN) as gallery:
        fill(gallery, enrolled)
        fill_up(tmpfs / "filler")
        error = None
        while error is None:
            try:
                gallery.enrol(f"late {enrolled}", [new(units(enrolled, 1)[0])])
                enrolled += 1
            except OutputError as refused:
                error = refused
        assert error.status is ExitStatus.CANT_WRITE
        assert "full" in error.message
        assert gallery.count() == (enrolled, enrolled)
        expected = everything(gallery)
    with Gallery.open(tmpfs / "gallery") as gallery:
        assert everything(gallery) == expected
    (tmpfs / "filler").unlink()
    with Gallery.open(tmpfs / "gallery", writable=True) as gallery:
        gallery.enrol("Ada", [new(units(4, 1)[0])])
        assert len(gallery.people()) == enrolled + 1


def test_a_gallery_on_a_full_disk_is_read(tmpfs):
    with Gallery.create(tmpfs / "gallery", PIN) as gallery:
        fill(gallery, 3)
        expected = everything(gallery)
    fill_up(tmpfs / "filler")
    with Gallery.open(tmpfs / "gallery") as gallery:
        assert everything(gallery) == expected


def test_a_full_disk_makes_no_gallery(tmpfs):
    fill_up(tmpfs / "filler")
    with pytest.raises(OutputError):
        Gallery.create(tmpfs / "gallery", PIN)
    (tmpfs / "filler").unlink()
    Gallery.create(tmpfs / "gallery", PIN).close()


def test_a_gallery_on_read_only_media_is_read(tmpfs, filled):
    with Gallery.open(filled) as gallery:
        expected = everything(gallery)
    shutil.copytree(filled, tmpfs / "gallery")
    subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)
    with Gallery.open(tmpfs / "gallery") as gallery:
        assert everything(gallery) == expected
    with pytest.raises(OutputError, match="can't write to the gallery"):
        Gallery.open(tmpfs / "gallery", writable=True)
    with pytest.raises(OutputError):
        Gallery.create(tmpfs / "new", PIN)
    with pytest.raises(OutputError):
        Gallery.create(tmpfs / "gallery", PIN, exist_ok=True)


def test_a_pending_log_on_read_only_media_is_not_passed_over(tmpfs, gallery, folder):
    fill(gallery, 3)
    (tmpfs / "gallery").mkdir()
    for name in (DATABASE, "gallery.db-wal"):
        shutil.copy(folder / name, tmpfs / "gallery" / name)
    subprocess.run(["mount", "-o", "remount,ro", tmpfs], check=True)
    assert "pending in its log" in refusal(tmpfs / "gallery").message


def unable_to_make_companions(monkeypatch):
    """Let SQLite answer as it does in a folder that can't be written, even to root."""
    real = sqlite3.connect

    def connect(where, /, **options):
        if "immutable" in where:
            return real(where, **options)
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        return Unable(error)

    class Unable:
        def __init__(self, error):
            self.error = error

        def execute(self, *_):
            raise self.error

        def close(self):
            pass

    monkeypatch.setattr(sqlite3, "connect", connect)


def test_a_read_only_folder_is_read_without_the_log_and_watched(filled, monkeypatch):
    unable_to_make_companions(monkeypatch)
    with Gallery.open(filled) as gallery:
        assert gallery.count() == (20, 40)
        assert len(gallery.search(units(1, 1), 2)[0]) == 2
        os.utime(filled / DATABASE)
        with pytest.raises(GalleryError, match="changed while it was read"):
            gallery.count()


def test_a_gallery_that_can_only_be_read_is_not_opened_for_changes(filled, monkeypatch):
    unable_to_make_companions(monkeypatch)
    with pytest.raises(OutputError, match="can't write beside"):
        Gallery.open(filled, writable=True)


def test_a_log_pending_in_a_read_only_folder_is_not_passed_over(gallery, folder, monkeypatch):
    fill(gallery, 3)
    unable_to_make_companions(monkeypatch)
    assert "pending in its log" in refusal(folder).message


def test_no_permission_is_a_sentence(filled, tmp_path):
    """In a process without privileges, since the tests may run as root."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from facecli.gallery import Gallery; from facecli.errors import FacecliError\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: Gallery.open(Path(sys.argv[1]))\n"
        "except FacecliError as error: print(error.status.value, error.message)\n"
    )
    for parent in [filled, *filled.parents]:
        if parent.owner() == filled.owner() and parent != Path("/") and not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    (filled / DATABASE).chmod(0)
    sources = str(Path(facecli.__path__[0]).parent)
    done = subprocess.run(
        [sys.executable, "-c", code, filled], env={"PYTHONPATH": sources}, capture_output=True, text=True, check=False
    )
    if "ModuleNotFoundError" in done.stderr or "PermissionError" in done.stderr:
        pytest.skip("a user without privileges can't read the sources here")
    assert done.stdout.startswith("9 can't read the gallery")
    assert "ermission denied" in done.stdout
