"""Who may enter a gallery, decided and written under one lock."""

import multiprocessing

import pytest

from facecli.enrolment import Duplicates, EnrolmentRules, enrol, enrol_what_fits
from facecli.errors import EnrolmentRefusedError
from facecli.recognition import Rules
from tests.fakes import MEASUREMENT, fake_engine, photo

RULES = EnrolmentRules(Rules(MEASUREMENT))


@pytest.fixture
def engine(tmp_path):
    return fake_engine(tmp_path)


def samples(engine, folder, *names_and_people):
    return engine.samples([photo(folder, f"{name}.png", person, noise=1) for name, person in names_and_people])


def test_a_duplicate_names_whose_face_it_is_and_changes_nothing(engine, tmp_path):
    with engine.gallery(writable=True) as gallery:
        enrol(gallery, "alice", samples(engine, tmp_path, ("a", 1)), RULES)
        generation = gallery.generation
        with pytest.raises(EnrolmentRefusedError, match="alice"):
            enrol(gallery, "mallory", samples(engine, tmp_path, ("b", 1)), RULES)
        assert gallery.generation == generation
        assert gallery.count() == (1, 1)


def test_one_refused_photograph_refuses_the_call(engine, tmp_path):
    with engine.gallery(writable=True) as gallery:
        with pytest.raises(EnrolmentRefusedError, match="own"):
            enrol(gallery, "alice", samples(engine, tmp_path, ("a", 1), ("b", 2)), RULES)
        assert gallery.count() == (0, 0)


def test_in_bulk_what_fits_is_enrolled_and_the_rest_named(engine, tmp_path):
    with engine.gallery(writable=True) as gallery:
        done = enrol_what_fits(gallery, "alice", samples(engine, tmp_path, ("a", 1), ("b", 2), ("c", 1)), RULES)
        assert (done.added, len(done.refused)) == (2, 1)
        assert done.refused[0][0].endswith("b.png")
        assert gallery.count() == (1, 2)


def test_names_in_two_normal_forms_are_one_person(engine, tmp_path):
    with engine.gallery(writable=True) as gallery:
        enrol(gallery, "Zo\u00eb", samples(engine, tmp_path, ("a", 1)), RULES)
        done = enrol(gallery, "Zoe\u0308", samples(engine, tmp_path, ("b", 1)), RULES)
        assert done.person.templates == 2
        assert done.person.name == "Zo\u00eb"


def test_a_persons_own_face_is_no_duplicate_of_itself(engine, tmp_path):
    with engine.gallery(writable=True) as gallery:
        enrol(gallery, "alice", samples(engine, tmp_path, ("a", 1)), RULES)
        done = enrol(gallery, "alice", samples(engine, tmp_path, ("b", 1)), RULES)
        assert done.added == 1
        assert done.suspects == ()


def test_a_suspect_is_reported_with_its_evidence(engine, tmp_path):
    reporting = EnrolmentRules(Rules(MEASUREMENT), duplicates=Duplicates.REPORT)
    with engine.gallery(writable=True) as gallery:
        enrol(gallery, "alice", samples(engine, tmp_path, ("a", 1)), reporting)
        (suspect,) = enrol(gallery, "mallory", samples(engine, tmp_path, ("b", 1)), reporting).suspects
        assert suspect.other.person.name == "alice"
        assert suspect.other.score >= suspect.point.threshold
        assert suspect.point.target == 0.001


def _enrol_as(name, folder, ready):
    """Wait for the others, then enrol the same face under this name; return the name if it was let in."""
    engine = fake_engine(folder)
    ready.wait()
    try:
        with engine.gallery(writable=True) as gallery:
            enrol(gallery, name, engine.samples([str(folder / "face.png")]), RULES)
    except EnrolmentRefusedError:
        return None
    return name


def test_two_processes_cannot_enrol_one_face_under_two_names(engine, tmp_path):
    photo(tmp_path, "face.png", 1)
    with engine.gallery(writable=True):
        pass
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, context.Pool(4) as pool:
        ready = manager.Barrier(4)
        entered = pool.starmap(_enrol_as, [(f"name {number}", tmp_path, ready) for number in range(4)])
    assert len([name for name in entered if name]) == 1
    with engine.gallery() as gallery:
        assert gallery.count() == (1, 1)
