"""People move between galleries unchanged, and a hostile file changes nothing."""

import base64
import hashlib
import io
import json
import zipfile

import numpy as np
import pytest
from galleries import DIMENSION, PIN, new, units
from test_damage import edit, everything

from facecli.errors import FacecliError, GalleryError, ModelMismatchError, NotEnrolledError, UsageError
from facecli.gallery import Gallery, check, transfer
from facecli.types import ModelPin

FORMATS = [False, True]


def exported(folder, *, person=None, as_npz=False):
    stream = io.BytesIO()
    transfer.export(folder, stream, wait_s=1, person=person, as_npz=as_npz)
    return stream.getvalue()


def imported(folder, data, **options):
    return transfer.import_(folder, transfer.Source(io.BytesIO(data), "file"), wait_s=1, **options)


def held(folder):
    """All that is held on people, but for the gallery's own keys."""
    with Gallery.open(folder) as gallery:
        return {
            (person.name, person.subject, person.enrolled_at): [
                (t.vector.tobytes(), t.source, t.source_sha256, t.quality, t.enrolled_at)
                for t in gallery.templates(person.name)
            ]
            for person in gallery.people()
        }


@pytest.fixture
def other(tmp_path):
    """Another gallery, empty, of the same model."""
    Gallery.create(tmp_path / "other", PIN).close()
    return tmp_path / "other"


@pytest.mark.parametrize("as_npz", FORMATS)
def test_people_arrive_as_they_left_bit_for_bit(filled, other, as_npz):
    steps = []
    done = imported(other, exported(filled, as_npz=as_npz), step=lambda *step: steps.append(step))
    assert (done.people, done.added, done.known) == (20, 40, 0)
    assert held(other) == held(filled)
    assert steps == [(40, 40)]
    assert not check.check(other, wait_s=1).faults


@pytest.mark.parametrize("as_npz", FORMATS)
def test_an_empty_gallery_makes_an_empty_file(other, filled, as_npz):
    done = imported(filled, exported(other, as_npz=as_npz))
    assert (done.people, done.added, done.known) == (0, 0, 0)


@pytest.mark.parametrize("as_npz", FORMATS)
def test_a_second_import_adds_nothing(filled, other, as_npz):
    data = exported(filled, as_npz=as_npz)
    imported(other, data)
    before = held(other)
    done = imported(other, data)
    assert (done.people, done.added, done.known) == (0, 0, 40)
    assert held(other) == before


def test_the_lines_are_what_the_page_says(filled):
    header, first, *_, trailer = map(json.loads, exported(filled).splitlines())
    assert header["schema"] == "facecli.gallery-export/1"
    assert (header["people"], header["templates"], header["model"]["dimension"]) == (20, 40, DIMENSION)
    assert set(first) == {
        *("person", "subject", "person_enrolled_at", "source", "sha256", "quality", "enrolled_at", "vector")
    }
    assert (trailer["end"], trailer["templates"], len(trailer["sha256"])) == (True, 40, 64)


def test_one_person_is_given_all_that_is_held_on_him(filled, other):
    data = exported(filled, person="person 3")
    assert {json.loads(line)["person"] for line in data.splitlines()[1:-1]} == {"person 3"}
    imported(other, data)
    assert held(other) == {key: rows for key, rows in held(filled).items() if key[0] == "person 3"}
    with pytest.raises(NotEnrolledError):
        exported(filled, person="nobody")
    with pytest.raises(UsageError):
        exported(filled, person="../../etc")


def test_a_damaged_gallery_is_not_exported(filled):
    edit(filled, "UPDATE template SET source = 'x' WHERE id = 7")
    with pytest.raises(GalleryError, match="fails its checksum"):
        exported(filled)


def test_templates_of_another_model_are_refused(filled, tmp_path):
    pin = ModelPin("fake", "9" * 64, "none-1", "1" * 64, DIMENSION)
    Gallery.create(tmp_path / "other", pin).close()
    with pytest.raises(ModelMismatchError, match="in another version"):
        imported(tmp_path / "other", exported(filled))


def test_who_has_the_same_name_is_not_taken_for_the_same_person(filled, other):
    with Gallery.open(other, writable=True) as gallery:
        gallery.enrol("person 3", [new(units(50, 1)[0])])
    before = held(other)
    with pytest.raises(UsageError, match='someone else is enrolled as "person 3" already'):
        imported(other, exported(filled))
    assert held(other) == before
    done = imported(other, exported(filled), merge=True)
    assert (done.people, done.added) == (19, 40)
    with Gallery.open(other) as gallery:
        assert gallery.person("person 3").templates == 3
    assert not check.check(other, wait_s=1).faults


def test_who_was_renamed_is_not_enrolled_twice(filled, other):
    data = exported(filled)
    imported(other, data)
    with Gallery.open(other, writable=True) as gallery:
        gallery.rename("person 3", "Ada")
    with pytest.raises(UsageError, match='"person 3" of file is enrolled already, as "Ada"'):
        imported(other, data)
    assert imported(other, data, merge=True).people == 1
    assert not check.check(other, wait_s=1).faults


def test_people_come_in_batches_each_whole(filled, other, monkeypatch):
    monkeypatch.setattr(transfer, "PEOPLE_AT_ONCE", 3)
    data = exported(filled)
    steps = []

    def step(done, _total):
        steps.append(done)
        with Gallery.open(other) as gallery:
            assert gallery.count() == (done // 2, done)
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        imported(other, data, step=step)
    assert steps == [6, 12]
    assert imported(other, data).known == 12
    assert held(other) == held(filled)


def test_a_gallery_is_made_for_a_file(filled, tmp_path):
    data = exported(filled)
    transfer.create_for(tmp_path / "new", transfer.Source(io.BytesIO(data), "file"), wait_s=1)
    imported(tmp_path / "new", data)
    assert held(tmp_path / "new") == held(filled)
    with pytest.raises(UsageError):
        transfer.create_for(tmp_path / "newer", transfer.Source(io.BytesIO(data[:-20]), "file"), wait_s=1)
    assert not (tmp_path / "newer").exists()


# --- hostile files ---------------------------------------------------------------------------------------------------


def refused(folder, data):
    """The sentence in which a file is refused; nothing may have changed."""
    before = held(folder)
    with pytest.raises(FacecliError) as caught:
        imported(folder, data)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 400
    assert held(folder) == before
    return caught.value.message


def signed(lines):
    """Lines with a trailer whose digest fits."""
    stream = io.BytesIO()
    data = b"".join(line + b"\n" for line in lines)
    trailer = {"end": True, "templates": len(lines) - 1, "sha256": hashlib.sha256(data).hexdigest()}
    stream.write(data + json.dumps(trailer).encode() + b"\n")
    return stream.getvalue()


def changed(filled, line, **values):
    """An export of one person with some values of a line exchanged, its digest right again."""
    lines = exported(filled, person="person 3").splitlines()[:-1]
    fields = json.loads(lines[line])
    for path, value in values.items():
        *outer, last = path.split("__")
        inner = fields
        for key in outer:
            inner = inner[key]
        if value is KeyError:
            del inner[last]
        else:
            inner[last] = value
    lines[line] = json.dumps(fields).encode()
    return signed(lines)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"person": "../../etc/passwd"}, "separates folders"),
        ({"person": "=cmd()"}, "spreadsheet"),
        ({"person": ""}, "empty"),
        ({"person": "a\u202eb"}, "invisible"),
        ({"person": "x" * 5000}, "at most 4,096"),
        ({"person": 7}, "person must be text"),
        ({"person": ["a"]}, "person must be text"),
        ({"subject": "7"}, "subject must be a uuid"),
        ({"enrolled_at": "yesterday"}, "enrolled_at must be a time"),
        ({"person_enrolled_at": None}, "person_enrolled_at must be text"),
        ({"quality__cut": float("nan")}, "NaN is no number"),
        ({"quality__cut": float("inf")}, "Infinity is no number"),
        ({"quality__cut": 10**400}, "cut must be a finite number"),
        ({"quality__cut": True}, "cut must be a finite number"),
        ({"quality__cut": KeyError}, "cut must be a finite number"),
        ({"quality": 3}, "quality must be an object"),
        ({"vector": "AAAA"}, "must have 16 values"),
        ({"vector": "%%%%"}, "no base64"),
        ({"vector": [0.1] * 16}, "vector must be text"),
        ({"extra": 1}, "extra is no field"),
        ({"source": KeyError}, "source is missing"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_and_its_line_named(filled, other, values, expected):
    message = refused(other, changed(filled, 2, **values))
    assert "file, line 3: " in message
    assert expected in message


@pytest.mark.parametrize("vector", [np.full(16, np.nan), np.zeros(16), np.full(16, 1.0), np.full(16, np.inf)])
def test_a_vector_that_is_no_template_is_refused(filled, other, vector):
    text = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    message = refused(other, changed(filled, 1, vector=text))
    assert "not finite" in message or "unit length" in message


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"schema": "facecli.gallery-export/2"}, "its schema is not"),
        ({"model": None}, "model must be an object"),
        ({"model__dimension": 0}, "at least one value"),
        ({"model__dimension": 10**9}, "dimension must be a whole number"),
        ({"model__dimension": 16.0}, "dimension must be a whole number"),
        ({"templates": 3}, "and says 3"),
        ({"people": 2}, "and says 2"),
        ({"people": -1}, "people must be a whole number"),
    ],
)
def test_a_header_that_does_not_fit_is_refused(filled, other, values, expected):
    assert expected in refused(other, changed(filled, 0, **values))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "no export"),
        (b"hello\n", "no JSON"),
        (b"\xff\xfe\n", "not UTF-8"),
        (b"7\n", "no JSON object"),
        (b"[" * 100_000 + b"\n", "nested too deeply"),
        (b"{" + b" " * (1 << 21), "longer than 1,048,576 bytes"),
        (b"1" * 10_000 + b"\n", ""),
        (b"PK\x03\x04 no archive", "damaged"),
    ],
)
def test_what_is_no_export_is_refused(other, data, expected):
    assert expected in refused(other, data)


def test_a_file_cut_at_any_line_or_within_one_is_refused(filled, other):
    data = exported(filled)
    for keep in (*range(0, len(data), 997), len(data) - 1):
        refused(other, data[:keep])


def test_an_altered_file_is_refused(filled, other):
    data = bytearray(exported(filled))
    for offset in range(0, len(data), 311):
        data[offset] ^= 1
        refused(other, bytes(data))
        data[offset] ^= 1
    refused(other, bytes(data) + b"{}\n")


def test_templates_of_one_person_must_stand_together_and_be_one_persons(filled, other):
    header, *lines = exported(filled).splitlines()[:-1]
    assert "do not stand together" in refused(other, signed([header, lines[0], *lines[2:], lines[1]]))
    fields = json.loads(lines[1])
    lines[1] = json.dumps({**fields, "subject": json.loads(lines[4])["subject"]}).encode()
    assert "is two people" in refused(other, signed([header, *lines]))


def rezipped(data, change, *, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", method) as made:
        for entry in old.namelist():
            content = change(entry, old.read(entry))
            if content is not None:
                made.writestr(entry, content)
    return out.getvalue()


def as_npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("vector.npy", None, "vector.npy"),
        ("vector.npy", as_npy(np.zeros((40, 8), "<f4")), "has the shape (40, 8)"),
        ("vector.npy", as_npy(np.zeros((40, 16), "<f8")), "must be float32"),
        ("vector.npy", as_npy(np.zeros((40, 16), "<f4")), "altered"),
        ("person.npy", as_npy(np.array([{}] * 40, dtype=object), allow_pickle=True), "wrong type"),
        ("person.npy", b"hello", ""),
        ("person.npy", as_npy(np.array(["a"] * 39)), "has the shape (39,)"),
        ("header.npy", as_npy(np.array("{}")), "no export"),
        ("header.npy", as_npy(np.array("[]")), "no export"),
        ("header.npy", as_npy(np.array("hello")), ""),
        ("quality.npy", as_npy(np.zeros((40, 4), ">f8")), "wrong type"),
    ],
)
def test_hostile_arrays_are_refused(filled, other, name, content, expected):
    data = exported(filled, as_npz=True)
    plant = rezipped(data, lambda entry, old: content if entry == name else old)
    assert expected in refused(other, plant)


def test_an_array_that_claims_to_be_huge_takes_no_memory(filled, other):
    def claim(entry, old):
        return old.replace(b"(40, 16), ", b"(4000000000000, 16), ") if entry == "vector.npy" else old

    refused(other, rezipped(exported(filled, as_npz=True), claim))


def test_a_compressed_file_is_refused(filled, other):
    data = rezipped(exported(filled, as_npz=True), lambda _entry, old: old, method=zipfile.ZIP_DEFLATED)
    assert "compressed" in refused(other, data)


def test_an_archive_cut_or_flipped_is_refused_or_the_same(filled, other):
    data = exported(filled, as_npz=True)
    for keep in range(0, len(data), 2503):
        refused(other, data[:keep])
    for offset in range(0, len(data), 1499):
        plant = bytearray(data)
        plant[offset] ^= 1
        try:
            imported(other, bytes(plant))
        except FacecliError:
            assert held(other) == {}
        else:
            assert held(other) == held(filled)
            with Gallery.open(other, writable=True) as gallery:
                for person in gallery.people():
                    gallery.remove(person.name)


def test_text_of_strangers_is_stored_as_it_is_shown(filled, other):
    imported(other, changed(filled, 1, source="\x1b[2J\u202e.jpg"))
    with Gallery.open(other) as gallery:
        assert gallery.templates("person 3")[0].source == "\\x1b[2J\\u202e.jpg"


def test_nothing_is_changed_by_a_search_after_an_import(filled, other):
    with Gallery.open(other) as reader:
        reader.search(units(1, 1), 1)
        imported(other, exported(filled))
        assert everything(reader)[2] == (20, 40)
        assert len(reader.search(units(1, 1), 3)[0]) == 3
