"""A cached graph is exactly what was stored for exactly this key, or it counts as absent."""

from __future__ import annotations

import stat
from dataclasses import fields, replace

import pytest

from facecli.errors import OutputError
from facecli.graph_cache import GRAPH, WEIGHTS, GraphKey, build, load, machine_identity

KEY = GraphKey("ab" * 32, "1.31.1", "CPUExecutionProvider", machine_identity())
CONTENT, NUMBERS = bytes(range(256)) * 10, bytes(range(255, -1, -1)) * 1000


def written(path):
    path.write_bytes(CONTENT)
    (path.parent / WEIGHTS).write_bytes(NUMBERS)


@pytest.fixture
def folder(tmp_path):
    build(tmp_path / "graphs", KEY, written)
    return tmp_path / "graphs"


def damage(path, position):
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1
    path.write_bytes(damaged)


def test_what_is_stored_is_what_comes_back(folder):
    cached = load(folder, KEY)
    assert cached.path.read_bytes() == CONTENT
    assert (cached.path.parent / WEIGHTS).read_bytes() == NUMBERS
    assert cached.has_its_weights()


def test_a_graph_may_have_no_large_weights(tmp_path):
    build(tmp_path, KEY, lambda path: path.write_bytes(CONTENT) and None)
    assert load(tmp_path, KEY).has_its_weights()


def test_only_its_owner_can_read_it_and_nothing_else_is_left(folder):
    (entry,) = folder.iterdir()
    assert sorted(path.name for path in entry.iterdir()) == ["digest", GRAPH, WEIGHTS]
    assert {stat.S_IMODE(path.stat().st_mode) for path in entry.iterdir()} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (folder, entry)} == {0o700}


def test_nothing_is_there_before(tmp_path):
    assert load(tmp_path, KEY) is None
    assert load(tmp_path / "missing", KEY) is None


@pytest.mark.parametrize("field", [field.name for field in fields(GraphKey)])
def test_another_key_has_another_graph(folder, field):
    assert load(folder, replace(KEY, **{field: "cd" * 32})) is None


def test_a_graph_under_another_name_is_refused(folder):
    """Renaming one model's graph to another's would otherwise run the wrong network."""
    other = replace(KEY, model_sha256="cd" * 32)
    (folder / KEY.name).rename(folder / other.name)
    assert load(folder, other) is None


@pytest.mark.parametrize("position", [0, 31, 32, 1000, -1])
def test_a_flipped_bit_is_noticed(folder, position):
    damage(folder / KEY.name / WEIGHTS, position)
    assert not load(folder, KEY).has_its_weights()
    damage(folder / KEY.name / GRAPH, position)
    assert load(folder, KEY) is None


@pytest.mark.parametrize("position", [0, 63, 70, -1])
def test_a_damaged_digest_vouches_for_nothing(folder, position):
    damage(folder / KEY.name / "digest", position)
    cached = load(folder, KEY)
    assert cached is None or not cached.has_its_weights()


@pytest.mark.parametrize("name", [GRAPH, WEIGHTS, "digest"])
def test_a_cut_or_missing_file_is_noticed(folder, name):
    path = folder / KEY.name / name
    path.write_bytes(path.read_bytes()[:-1])
    cached = load(folder, KEY)
    assert cached is None or not cached.has_its_weights()
    path.unlink()
    cached = load(folder, KEY)
    assert cached is None or not cached.has_its_weights()


def test_a_damaged_graph_is_replaced(folder):
    damage(folder / KEY.name / WEIGHTS, 5)
    build(folder, KEY, written)
    assert load(folder, KEY).has_its_weights()


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    build(tmp_path / "file", KEY, written)
    assert load(tmp_path / "file", KEY) is None


def test_a_disk_that_fills_up_leaves_nothing(tmp_path):
    def full(path):
        path.write_bytes(CONTENT[:10])
        raise OutputError("no space left")

    build(tmp_path, KEY, full)
    assert list(tmp_path.iterdir()) == []


def test_the_machine_is_the_same_each_time():
    assert machine_identity() == machine_identity()
    assert len(machine_identity()) == 64
