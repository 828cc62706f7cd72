"""The index nominates; it is derived, and used only where it is exactly what was written."""

import numpy as np
import pytest
from galleries import DIMENSION, PIN, fill, new, units
from hypothesis import given
from hypothesis import strategies as st

from facecli import match
from facecli.gallery import Gallery, index
from facecli.gallery.index import Block, Index
from facecli.gallery.rows import Rows

NAME = "index.faiss"


@pytest.fixture(autouse=True)
def _faiss_at_any_size(monkeypatch):
    monkeypatch.setattr(index, "SMALL", 0)
    monkeypatch.setattr(index, "TAIL", 5)


@pytest.fixture
def indexed(folder):
    """The folder of a closed gallery of twenty people, its index saved."""
    with Gallery.create(folder, PIN) as gallery:
        fill(gallery, 20)
        gallery.search(units(1, 1), 1)
    assert (folder / NAME).stat().st_mode & 0o777 == 0o600
    return folder


def answers(folder):
    with Gallery.open(folder) as gallery:
        return [[(one.person.name, one.score) for one in found] for found in gallery.search(units(5, 10), 3)]


def loaded(folder):
    with Gallery.open(folder) as gallery:
        return index.load(folder / NAME, gallery.id, DIMENSION)


def block(vectors):
    keys = np.arange(1, len(vectors) + 1)
    return Block(keys, keys, vectors)


def test_neither_faiss_nor_numpy_names_anyone_who_is_not_there(monkeypatch):
    vectors = units(1, 3)
    for small in (0, 100):
        monkeypatch.setattr(index, "SMALL", small)
        [nominees] = Index(block(vectors), 1).nominate(units(2, 1), 50)
        assert sorted(nominees.people.tolist()) == [1, 2, 3]
        assert (np.diff(nominees.products) <= 0).all()
    assert Index(index.new_block(0, DIMENSION), 1).nominate(units(2, 1), 50) == []


def test_a_probe_that_is_not_finite_is_an_error_and_not_the_last_template():
    probe = units(2, 1) * np.float32(np.nan)
    with pytest.raises(ValueError, match="not finite"):
        Index(block(units(1, 3)), 1).nominate(probe, 2)


@given(st.integers(0, 2**32), st.sampled_from([8, 128, 512]))
def test_a_product_is_within_the_slack_of_the_score(seed, dimension):
    vectors, probes = units(seed, 20, dimension), units(seed + 1, 3, dimension)
    for probe, nominees in zip(probes, Index(block(vectors), 1).nominate(probes, 20), strict=True):
        for person, product in zip(nominees.people, nominees.products, strict=True):
            assert abs(float(product) - match.score(probe, vectors[person - 1])) <= index.slack(dimension)


def test_a_saved_index_is_used(indexed, monkeypatch):
    expected = answers(indexed)
    assert len(loaded(indexed)) == 20
    asked = []
    real = Rows.newer
    monkeypatch.setattr(
        "facecli.gallery.rows.Rows.newer", lambda *arguments: asked.append(arguments[2:]) or real(*arguments)
    )
    assert answers(indexed) == expected
    assert asked == []


def test_enrolling_does_not_touch_the_file_and_a_search_sees_the_new(indexed):
    before = (indexed / NAME).read_bytes()
    [vector] = units(50, 1)
    with Gallery.open(indexed, writable=True) as gallery:
        gallery.enrol("late", [new(vector)])
    assert (indexed / NAME).read_bytes() == before
    with Gallery.open(indexed) as gallery:
        assert gallery.search(vector[None], 1)[0][0].person.name == "late"
    assert (indexed / NAME).read_bytes() == before


def test_the_file_is_written_anew_when_the_tail_has_grown(indexed):
    with Gallery.open(indexed, writable=True) as gallery:
        for number, vector in enumerate(units(50, 7)):
            gallery.enrol(f"late {number}", [new(vector)])
    answers(indexed)
    assert len(loaded(indexed)) == 27


def test_one_removed_is_gone_from_the_index_at_once(indexed):
    old = (indexed / NAME).read_bytes()
    with Gallery.open(indexed, writable=True) as gallery:
        name = gallery.search(units(5, 1), 1)[0][0].person.name
        gallery.remove(name)
        assert not (indexed / NAME).exists()
        assert name not in [one.person.name for one in gallery.search(units(5, 1), 20)[0]]
    (indexed / NAME).write_bytes(old)  # as if it had been killed before the file was gone
    assert name not in [found[0][0] for found in answers(indexed)]


def test_an_index_saved_late_does_not_bring_back_one_removed(indexed):
    (indexed / NAME).unlink()
    with Gallery.open(indexed) as reader:
        reader.search(units(5, 1), 1)
        with Gallery.open(indexed, writable=True) as writer:
            writer.remove("person 3")
    assert not (indexed / NAME).exists()


@pytest.mark.parametrize("where", ["magic", "dimension", "count", "generation", "gallery", "digest", "keys", "vectors"])
def test_a_flipped_bit_anywhere_in_the_file_changes_no_answer(indexed, where):
    expected = answers(indexed)
    offset = {"magic": 0, "dimension": 8, "count": 12, "generation": 20, "gallery": 30, "digest": 50, "keys": 90}
    data = bytearray((indexed / NAME).read_bytes())
    data[offset.get(where, len(data) - 7)] ^= 0x10
    (indexed / NAME).write_bytes(data)
    assert loaded(indexed) is None
    assert answers(indexed) == expected
    assert len(loaded(indexed)) == 20  # made again


@pytest.mark.parametrize("length", [0, 10, 44, 76, 500, -1])
def test_a_truncated_file_changes_no_answer(indexed, length):
    expected = answers(indexed)
    (indexed / NAME).write_bytes((indexed / NAME).read_bytes()[:length])
    assert answers(indexed) == expected


def test_a_longer_file_or_a_folder_in_its_place_changes_no_answer(indexed):
    expected = answers(indexed)
    with (indexed / NAME).open("ab") as stream:
        stream.write(b"more")
    assert answers(indexed) == expected
    (indexed / NAME).unlink()
    (indexed / NAME).mkdir()
    assert answers(indexed) == expected


def test_the_index_of_another_gallery_is_not_used(indexed, tmp_path):
    expected = answers(indexed)
    with Gallery.create(tmp_path / "other", PIN) as other:
        fill(other, 20, seed=9)
        other.search(units(1, 1), 1)
    (indexed / NAME).write_bytes((tmp_path / "other" / NAME).read_bytes())
    assert loaded(indexed) is None
    assert answers(indexed) == expected


def test_a_faiss_file_is_not_parsed(indexed):
    faiss = pytest.importorskip("faiss")
    expected = answers(indexed)
    foreign = faiss.IndexFlatIP(DIMENSION)
    foreign.add(units(77, 20))
    faiss.write_index(foreign, str(indexed / NAME))
    assert answers(indexed) == expected


def test_an_index_from_the_future_is_not_used(indexed, folder):
    """As after a database was put back from an older copy, the index beside it left as it was."""
    old = (folder / "gallery.db").read_bytes()
    with Gallery.open(folder, writable=True) as gallery:
        for number, vector in enumerate(units(50, 9)):
            gallery.enrol(f"late {number}", [new(vector)])
        gallery.search(units(5, 1), 1)
    assert len(loaded(folder)) == 29
    (folder / "gallery.db").write_bytes(old)
    assert all(not name.startswith("late") for found in answers(folder) for name, _ in found)


def test_a_small_gallery_needs_no_file(folder, monkeypatch):
    monkeypatch.setattr(index, "SMALL", 100)
    with Gallery.create(folder, PIN) as gallery:
        fill(gallery, 20)
        gallery.search(units(1, 1), 1)
    assert not (folder / NAME).exists()
