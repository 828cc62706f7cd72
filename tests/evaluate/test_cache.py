"""What was embedded once is found again, nothing else is, and damage is noticed."""

from __future__ import annotations

import sqlite3
import stat

import numpy as np
import pytest

from facecli.evaluate import cache
from facecli.evaluate.cache import Embedded, Refused, TemplateCache, context
from facecli.types import FacePolicy, Quality
from tests.fakes import fake_engine

PHOTO = "ab" * 32
FOUND = Embedded(np.array([0.6, 0.8], np.float32), Quality(0.9, 41.5, 0.25, 7.125))


def put(folder, result=FOUND, photo=PHOTO, about=b"context"):
    kept = TemplateCache(folder, about)
    kept.put(photo, result)
    kept.close()


def get(folder, photo=PHOTO, about=b"context"):
    kept = TemplateCache(folder, about)
    found = kept.get(photo)
    kept.close()
    return found


def the_file(folder):
    return folder / "evaluation" / "templates.sqlite"


def test_a_template_is_found_again_to_the_last_bit(tmp_path):
    put(tmp_path)
    found = get(tmp_path)
    assert found.vector.tobytes() == FOUND.vector.tobytes()
    assert found.vector.dtype == np.float32
    assert found.quality == FOUND.quality


def test_a_refusal_is_found_again(tmp_path):
    refused = Refused("NoFaceError", "no face found in {photo}, naïve")
    put(tmp_path, refused)
    assert get(tmp_path) == refused


def test_another_photograph_or_another_context_is_not_found(tmp_path):
    put(tmp_path)
    assert get(tmp_path, "cd" * 32) is None
    assert get(tmp_path, about=b"other") is None
    assert TemplateCache(None, b"context").get(PHOTO) is None


def test_it_is_readable_by_its_owner_alone(tmp_path):
    put(tmp_path)
    assert stat.S_IMODE(the_file(tmp_path).stat().st_mode) == 0o600
    assert stat.S_IMODE(the_file(tmp_path).parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("column", ["value", "digest"])
def test_a_damaged_row_is_as_good_as_none(tmp_path, column):
    put(tmp_path)
    database = sqlite3.connect(the_file(tmp_path))
    (whole,) = database.execute(f"SELECT {column} FROM template").fetchone()  # noqa: S608
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        database.execute(f"UPDATE template SET {column} = ?", (bytes(damaged),))  # noqa: S608
        database.commit()
        assert get(tmp_path) is None
    database.close()


def test_a_row_can_not_pass_for_another(tmp_path):
    put(tmp_path)
    put(tmp_path, photo="cd" * 32)
    database = sqlite3.connect(the_file(tmp_path))
    keys = [key for (key,) in database.execute("SELECT key FROM template ORDER BY age")]
    database.execute("DELETE FROM template WHERE key = ?", (keys[1],))
    database.execute("UPDATE template SET key = ?", (keys[1],))
    database.commit()
    database.close()
    assert get(tmp_path, "cd" * 32) is None


def test_a_file_that_is_no_database_is_made_anew(tmp_path):
    put(tmp_path)
    the_file(tmp_path).write_bytes(b"not a database" * 100)
    assert get(tmp_path) is None
    put(tmp_path)
    assert get(tmp_path) is not None


def test_a_place_that_can_not_be_written_costs_only_the_cache(tmp_path):
    (tmp_path / "evaluation").write_text("a file in the way")
    put(tmp_path)
    assert get(tmp_path) is None


def test_the_oldest_rows_go_first(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "LIMIT", 3)
    monkeypatch.setattr(cache, "BATCH", 2)
    names = [f"{n:02x}" * 32 for n in range(7)]
    for name in names:
        put(tmp_path, photo=name)
    assert [get(tmp_path, name) is not None for name in names] == [False] * 4 + [True] * 3


def test_everything_that_changes_a_template_changes_the_context(tmp_path):
    told = [
        context(fake_engine(tmp_path), FacePolicy.ONE),
        context(fake_engine(tmp_path), FacePolicy.CENTER),
        context(fake_engine(tmp_path, model="dlib"), FacePolicy.ONE),
        context(fake_engine(tmp_path, min_face=40.0), FacePolicy.ONE),
        context(fake_engine(tmp_path, min_sharpness=1.0), FacePolicy.ONE),
        context(fake_engine(tmp_path, max_pixels=10_000), FacePolicy.ONE),
    ]
    assert len(set(told)) == len(told)
    assert told[0] == context(fake_engine(tmp_path), FacePolicy.ONE)
