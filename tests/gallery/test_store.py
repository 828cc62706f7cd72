"""What a gallery remembers, and whom it finds."""

import stat
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from galleries import DIMENSION, PIN, QUALITY, fill, new, units
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli import match
from facecli.errors import GalleryError, ModelMismatchError, NotEnrolledError, UsageError
from facecli.gallery import Candidate, Gallery, NewTemplate
from facecli.types import Fusion, ModelPin, Quality


def everyone_scored(gallery, probe, fusion):
    """The ranking by definition: everyone's fused score, best first, then by name."""
    candidates = [
        Candidate(
            person,
            match.fuse([match.score(probe, t.vector) for t in gallery.templates(person.name)], fusion),
            person.templates,
        )
        for person in gallery.people()
    ]
    return sorted(candidates, key=lambda one: (-one.score, one.person.name))


def test_a_person_is_read_back_bit_for_bit(gallery, folder):
    vectors = units(1, 2)
    quality = Quality(0.987, 61.5, -0.0, 12.25)
    gallery.enrol("Ada", [NewTemplate(vector, "dir/ada.jpg", "a" * 64, quality) for vector in vectors])
    with Gallery.open(folder) as again:
        stored = again.templates("Ada")
        assert again.id == gallery.id
        assert again.pin == PIN
        assert again.count() == (1, 2)
    assert [t.vector.tobytes() for t in stored] == [v.tobytes() for v in vectors]
    assert [t.quality for t in stored] == [quality, quality]
    assert {(t.source, t.source_sha256) for t in stored} == {("dir/ada.jpg", "a" * 64)}
    assert [t.id for t in stored] == [1, 2]


def test_enrolling_again_adds_to_the_same_person_in_either_normal_form(gallery):
    first = gallery.enrol(unicodedata.normalize("NFD", "Zoë"), [new(units(1, 1)[0])])
    second = gallery.enrol("Zoë", [new(units(2, 1)[0])])
    assert (first.id, first.subject) == (second.id, second.subject)
    assert second.templates == 2
    assert gallery.count() == (1, 2)


def test_every_file_is_the_owners_alone(gallery, folder):
    fill(gallery, 3)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert files == dict.fromkeys(["gallery.db", "gallery.db-wal", "gallery.db-shm", "lock"], 0o600)


def test_closing_leaves_one_file_and_the_lock(filled):
    assert sorted(path.name for path in filled.iterdir()) == ["gallery.db", "lock"]


def test_a_hostile_source_name_is_stored_as_it_is_shown(gallery):
    gallery.enrol("Ada", [new(units(1, 1)[0], "\x1b[2J\udcff.jpg")])
    assert gallery.templates("Ada")[0].source == r"\x1b[2J\udcff.jpg"


@pytest.mark.parametrize(
    ("templates", "reason"),
    [
        ([], "at least one"),
        ([new(units(1, 1)[0] * np.float32(np.nan))], "not finite"),
        ([new(units(1, 1)[0] * 0)], "unit length"),
        ([new(units(1, 1)[0] * 2)], "unit length"),
        ([new(units(1, 1)[0]), new(units(1, 1, 8)[0])], "expected float32 templates"),
        ([new(units(1, 1)[0].astype(np.float64))], "expected float32 templates"),
        ([NewTemplate(units(1, 1)[0], "a", "b", Quality(np.nan, 0, 0, 0))], "not finite"),
    ],
)
def test_what_is_no_template_is_not_enrolled(gallery, templates, reason):
    with pytest.raises(ValueError, match=reason):
        gallery.enrol("Ada", templates)
    assert gallery.count() == (0, 0)
    assert gallery.generation == 1


def test_every_change_is_a_generation(gallery):
    fill(gallery, 3, each=2)
    assert gallery.generation == 4
    gallery.rename("person 0", "Ada")
    gallery.remove("person 1")
    gallery.remove_template(1)
    assert gallery.generation == 7
    assert gallery.count() == (2, 3)


def test_people_are_listed_by_name_and_filtered(gallery):
    for seed, name in enumerate(["Zoë Ávila", "ada", "Bob"]):
        gallery.enrol(name, [new(units(seed, 1)[0])])
    assert [person.name for person in gallery.people()] == ["Bob", "Zoë Ávila", "ada"]
    assert [person.name for person in gallery.people(like="ÁVI")] == ["Zoë Ávila"]
    assert gallery.people(like="x") == []


def test_a_renamed_person_keeps_templates_and_subject(gallery):
    before = gallery.enrol("Ada", [new(units(1, 1)[0])])
    after = gallery.rename("Ada", "Countess")
    assert (after.id, after.subject, after.name) == (before.id, before.subject, "Countess")
    assert gallery.templates("Countess")[0].vector.tobytes() == units(1, 1)[0].tobytes()
    with pytest.raises(NotEnrolledError, match='no one is enrolled as "Ada"'):
        gallery.person("Ada")


def test_a_name_that_is_taken_is_not_given_twice(gallery):
    fill(gallery, 2)
    with pytest.raises(UsageError, match="is another person"):
        gallery.rename("person 0", "person 1")
    assert gallery.rename("person 0", "person 0").name == "person 0"


def test_a_person_keeps_at_least_one_template(gallery):
    fill(gallery, 1, each=2)
    assert gallery.remove_template(1).templates == 1
    with pytest.raises(UsageError, match="the last one"):
        gallery.remove_template(2)
    with pytest.raises(UsageError, match="no template 1 "):
        gallery.remove_template(1)


def test_a_removed_person_is_in_no_file_any_more(gallery, folder):
    [vector] = units(7, 1)
    gallery.enrol("Ada Lovelace", [new(vector, "secret-holiday.jpg")])
    fill(gallery, 3)
    gallery.remove("Ada Lovelace")
    for path in folder.iterdir():
        data = path.read_bytes()
        assert vector.tobytes() not in data, path
        assert b"Lovelace" not in data, path
        assert b"secret-holiday" not in data, path


def test_keys_are_never_used_again(gallery):
    first = gallery.enrol("Ada", [new(units(1, 1)[0])])
    gallery.remove("Ada")
    second = gallery.enrol("Ada", [new(units(1, 1)[0])])
    assert (second.id, gallery.templates("Ada")[0].id) == (2, 2)
    assert first.subject != second.subject


def test_a_gallery_opened_for_reading_is_not_changed(filled):
    with Gallery.open(filled) as gallery, pytest.raises(GalleryError, match="for reading only"):
        gallery.remove("person 0")


def test_a_second_gallery_is_not_made_over_the_first(gallery, folder):
    with pytest.raises(GalleryError, match="already"):
        Gallery.create(folder, PIN)
    with Gallery.create(folder, PIN, exist_ok=True) as same:
        assert same.id == gallery.id


def test_another_model_is_told_apart(gallery):
    gallery.check_pin(PIN)
    other = ModelPin("fake", "0" * 64, "none-2", "1" * 64, DIMENSION)
    with pytest.raises(ModelMismatchError, match="differing: conversion"):
        gallery.check_pin(other)
    with pytest.raises(ModelMismatchError, match="with the model fake, not with sface"):
        gallery.check_pin(ModelPin("sface", "0" * 64, "none-2", "1" * 64, 128))


def test_a_snapshot_does_not_move(gallery, folder):
    fill(gallery, 2)
    with Gallery.open(folder) as reader, reader.snapshot():
        gallery.enrol("late", [new(units(9, 1)[0])])
        assert reader.count() == (2, 2)
        assert len(reader.search(units(9, 1), 5)[0]) == 2
    with Gallery.open(folder) as reader:
        assert reader.search(units(9, 1), 5)[0][0].person.name == "late"


# --- search ---


def test_an_empty_gallery_knows_no_one(gallery):
    assert gallery.search(units(1, 2), 5) == [[], []]
    assert gallery.search(units(1, 0), 5) == []


def test_more_people_asked_for_than_there_are(gallery):
    fill(gallery, 3, each=40)
    [found] = gallery.search(units(5, 1), 10)
    assert sorted(one.person.name for one in found) == ["person 0", "person 1", "person 2"]
    assert all(one.templates == 40 for one in found)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_probe_that_is_not_finite_finds_no_one(gallery, bad):
    fill(gallery, 3)
    probes = units(5, 2)
    probes[1, 3] = bad
    with pytest.raises(ValueError, match="not finite"):
        gallery.search(probes, 1)
    with pytest.raises(ValueError, match="not finite"):
        gallery.score_person("person 0", probes[1])


def test_equal_scores_are_ordered_by_name(gallery):
    [vector] = units(1, 1)
    for name in ["d", "b", "e", "a", "c"] + [f"x{number:02}" for number in range(40)]:
        gallery.enrol(name, [new(vector)])
    found = gallery.search(vector[None], 3)[0]
    assert [one.person.name for one in found] == ["a", "b", "c"]
    assert len({one.score for one in found}) == 1


@pytest.mark.parametrize("fusion", Fusion)
@pytest.mark.parametrize("small", [0, 4096])
def test_search_is_scoring_everyone(gallery, fusion, small, monkeypatch):
    monkeypatch.setattr("facecli.gallery.index.SMALL", small)
    monkeypatch.setattr("facecli.gallery.index.TAIL", 25)
    rng = np.random.default_rng(3)
    for number in range(60):  # some have many templates, some nearly the same ones
        base = units(number // 2, 1)[0]
        spread = rng.standard_normal((1 + number % 7, DIMENSION)).astype(np.float32) * np.float32(0.2)
        near = base + spread
        near /= np.linalg.norm(near, axis=1, keepdims=True)
        gallery.enrol(f"person {number}", [new(vector) for vector in near])
        gallery.search(units(99, 1), 1)  # the index grows as it would in use
    probes = np.concatenate([units(number, 1) for number in range(30)])
    expected = [everyone_scored(gallery, probe, fusion) for probe in probes]
    for k in (1, 3, 60, 100):
        assert gallery.search(probes, k, fusion) == [ranking[:k] for ranking in expected]


@pytest.mark.parametrize("fusion", Fusion)
def test_identify_and_verify_agree_to_the_last_bit_in_any_batch(folder, fusion):
    pin = ModelPin("fake", "0" * 64, "none-1", "1" * 64, 128)
    with Gallery.create(folder, pin) as gallery:
        for number, templates in enumerate(units(1, 1000, 128).reshape(40, 25, 128)):
            gallery.enrol(f"person {number}", [new(vector) for vector in templates])
        probes = units(2, 16, 128)
        batch = gallery.search(probes, 40, fusion)
        for probe, found in zip(probes, batch, strict=True):
            assert gallery.search(probe[None], 40, fusion) == [found]
            assert [gallery.score_person(one.person.name, probe, fusion) for one in found] == found
            assert all(one.score >= other.score for one, other in pairwise(found))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32), people=st.integers(1, 12), k=st.integers(1, 15), fusion=st.sampled_from(Fusion))
def test_search_is_scoring_everyone_whatever_the_vectors(tmp_path_factory, seed, people, k, fusion):
    rng = np.random.default_rng(seed)
    with Gallery.create(tmp_path_factory.mktemp("g") / "gallery", PIN) as gallery:
        # Vectors on a coarse grid: many ties, many duplicates.
        grid = rng.integers(-1, 2, (people * 3, DIMENSION)).astype(np.float32)
        grid[:, 0] += 3
        grid /= np.linalg.norm(grid, axis=1, keepdims=True)
        for number in range(people):
            mine = grid[rng.integers(0, len(grid), 1 + number % 3)]
            gallery.enrol(f"p{number}", [new(vector) for vector in mine])
        probe = grid[0]
        assert gallery.search(probe[None], k, fusion)[0] == everyone_scored(gallery, probe, fusion)[:k]


def test_k_is_at_least_one(gallery):
    with pytest.raises(ValueError, match="at least 1"):
        gallery.search(units(1, 1), 0)


def test_one_claimed_who_is_not_enrolled(gallery):
    with pytest.raises(NotEnrolledError, match='"Eve"') as refusal:
        gallery.score_person("Eve", units(1, 1)[0])
    assert refusal.value.status == 2


def test_quality_is_kept(gallery):
    gallery.enrol("Ada", [new(units(1, 1)[0])])
    assert gallery.templates("Ada")[0].quality == QUALITY
