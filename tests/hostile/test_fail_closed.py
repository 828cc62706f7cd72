"""S1: whatever breaks inside, nobody is let in. Each part in turn gives nonsense; no command may end in 0."""

import json
import sqlite3

import numpy as np
import pytest

from facecli.testing import FakeDetector, FakeEmbedder
from facecli.types import Box, Face
from tests.hostile.conftest import assert_refused

_embed, _face = FakeEmbedder.embed, FakeDetector._face


def _everywhere(value):
    return lambda vectors: np.full_like(vectors, value)


BAD_VECTORS = {
    "NaN": _everywhere(np.nan),
    "one NaN": lambda v: np.where(np.arange(v.shape[1]) == 3, np.nan, v).astype(np.float32),
    "infinity": _everywhere(np.inf),
    "minus infinity": _everywhere(-np.inf),
    "one infinity": lambda v: np.where(np.arange(v.shape[1]) == 0, np.inf, v).astype(np.float32),
    "zero": _everywhere(0),
    "too long": lambda v: v * 3,
    "too long by a little": lambda v: v * np.float32(1.01),
    "too short": lambda v: v / 3,
    "huge": lambda v: v * np.float32(1e30),
    "denormal": lambda v: v * np.float32(1e-40),
    "one value too many": lambda v: np.column_stack([v, v[:, :1] * 0]),
    "one value too few": lambda v: v[:, :-1],
    "no values": lambda v: v[:, :0],
    "no row": lambda v: v[:0],
    "a row too many": lambda v: np.concatenate([v, v]),
    "flat": lambda v: v.ravel(),
    "doubles": lambda v: v.astype(np.float64),
    "integers": lambda v: np.ones_like(v, np.int32),
    "bytes": lambda v: (v > 0).astype(np.uint8),
}

COMMANDS = {
    "verify": ("verify", "--json", "--", "{again}", "{again}"),
    "verify --as": ("verify", "--json", "--as", "alice", "--", "{again}"),
    "identify": ("identify", "--json", "--", "{again}"),
    "enroll": ("enroll", "--json", "--", "bob", "{bob}"),
    "enroll, forced": ("enroll", "--json", "--force", "--allow-duplicate", "--", "alice", "{bob}"),
}


def _words(command, people):
    return [word.format(again=people.again, bob=people.bob) for word in COMMANDS[command]]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", BAD_VECTORS)
def test_an_embedder_that_gives_nonsense(run, people, monkeypatch, command, damage):
    before = people.dump()
    with np.errstate(all="ignore"):
        monkeypatch.setattr(FakeEmbedder, "embed", lambda self, crops: BAD_VECTORS[damage](_embed(self, crops)))
        done = run(*_words(command, people))
    assert_refused(done, 8, command=_words(command, people)[0])
    assert people.dump() == before


@pytest.mark.parametrize("damage", BAD_VECTORS)
def test_a_loose_threshold_does_not_help_it(run, people, monkeypatch, damage):
    monkeypatch.setattr(FakeEmbedder, "embed", lambda self, crops: BAD_VECTORS[damage](_embed(self, crops)))
    with np.errstate(all="ignore"):
        assert run("verify", "--threshold", "-1", "--", people.alice, people.bob).status == 8
        assert run("identify", "--threshold", "-1", "--", people.bob).status == 8


BAD_FACES = {
    "NaN points": lambda f: Face(f.box, f.points * np.nan, f.score),
    "infinite points": lambda f: Face(f.box, f.points + np.inf, f.score),
    "one point": lambda f: Face(f.box, f.points * 0 + 50, f.score),
    "points far away": lambda f: Face(f.box, f.points + 1e5, f.score),
    "points far apart": lambda f: Face(f.box, f.points * 1e6, f.score),
    "NaN box": lambda f: Face(Box(*[float("nan")] * 4), f.points, f.score),
    "infinite box": lambda f: Face(Box(0, 0, float("inf"), float("inf")), f.points, f.score),
    "empty box": lambda f: Face(Box(9, 9, 0, 0), f.points, f.score),
    "box outside": lambda f: Face(Box(-900, -900, 50, 50), f.points, f.score),
    "NaN score": lambda f: Face(f.box, f.points, float("nan")),
    "no score": lambda f: Face(f.box, f.points, 0.0),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("damage", BAD_FACES)
def test_a_detector_that_gives_nonsense(run, people, monkeypatch, command, damage):
    before = people.dump()
    monkeypatch.setattr(FakeDetector, "_face", lambda self, box: BAD_FACES[damage](_face(self, box)))
    done = run(*_words(command, people))
    assert_refused(done, 5, command=_words(command, people)[0])
    assert people.dump() == before


def test_two_flat_crops_do_not_match_each_other(run, people, tmp_path):
    """Without contrast the network sees no one, and says the same of everyone."""
    from facecli.image import write_png

    for name, value in (("black.png", 0), ("white.png", 255)):
        write_png(tmp_path / name, np.full((200, 200, 3), value, np.uint8))
        done = run("verify", "--json", "--threshold", "-1", "--", str(tmp_path / name), str(tmp_path / name))
        assert_refused(done, 5, command="verify")


@pytest.mark.parametrize(
    "error", [ValueError("x"), ZeroDivisionError(), KeyError("k"), RecursionError(), AssertionError()]
)
def test_a_score_that_fails(run, people, monkeypatch, error):
    def fail(*_):
        raise error

    for place in ("facecli.recognition.score", "facecli.match.score", "facecli.match.fuse"):
        monkeypatch.setattr(place, fail)
    for command in ("verify", "verify --as", "identify"):
        assert run(*_words(command, people)).status == 70


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "x"])
def test_a_score_that_is_none(run, people, monkeypatch, value):
    """A comparison with NaN is false, so it is a no at the most, and no JSON can hold it."""
    monkeypatch.setattr("facecli.recognition.score", lambda *_: value)
    done = run("verify", "--json", "--", people.alice, people.again)
    assert done.status not in {0, 1}


DAMAGE = {
    "vector": "UPDATE template SET vector = zeroblob(32)",
    "vector cut": "UPDATE template SET vector = substr(vector, 1, 8)",
    "vector null": "UPDATE template SET vector = x''",
    "owner": "UPDATE template SET person_id = 2",
    "name": "UPDATE person SET name = 'bob'",
    "digest": "UPDATE template SET digest = zeroblob(32)",
    "gone": "DELETE FROM template",
    "person gone": "DELETE FROM person",
    "meta gone": "DELETE FROM meta",
    "dimension": "UPDATE meta SET dimension = 4",
    "count": "UPDATE meta SET templates = 0, people = 0",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_rows(run, people, damage):
    with sqlite3.connect(people.folder / "gallery" / "gallery.db") as database:
        database.execute("PRAGMA ignore_check_constraints = ON")
        database.execute(DAMAGE[damage])
    database.close()
    for command in ("verify --as", "identify"):
        done = run(*_words(command, people))
        assert done.status != 0, damage
        (line,) = done.out.splitlines()
        assert json.loads(line)["accepted"] is False
        if not (damage in {"name", "person gone"} and done.status == 2):  # then there is no alice
            assert_refused(done, 9, command=_words(command, people)[0])
