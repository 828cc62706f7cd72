"""A cached graph is exactly what was stored for exactly this key, or it counts as absent."""

from __future__ import annotations

import stat
from dataclasses import fields, replace

import pytest

from facecli import graph_cache
from facecli.errors import OutputError
from facecli.graph_cache import GraphKey, build, load, machine_identity

KEY = GraphKey("ab" * 32, "1.31.1", "CPUExecutionProvider", machine_identity())
GRAPH = bytes(range(256)) * 1000


@pytest.fixture
def folder(tmp_path):
    build(tmp_path / "graphs", KEY, lambda path: path.write_bytes(GRAPH) and None)
    return tmp_path / "graphs"


def test_what_is_stored_is_what_comes_back(folder):
    assert load(folder, KEY) == GRAPH


def test_only_its_owner_can_read_it_and_nothing_else_is_left(folder):
    (path,) = folder.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


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
    path = folder / KEY.name
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1
    path.write_bytes(damaged)
    assert load(folder, KEY) is None


@pytest.mark.parametrize("length", [0, 10, 32, 33, len(GRAPH)])
def test_a_cut_file_is_noticed(folder, length):
    path = folder / KEY.name
    path.write_bytes(path.read_bytes()[:length])
    assert load(folder, KEY) is None


def test_large_graphs_are_digested_in_pieces_and_every_piece_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(graph_cache, "_PIECE_BYTES", 1000)
    build(tmp_path, KEY, lambda path: path.write_bytes(GRAPH) and None)
    assert load(tmp_path, KEY) == GRAPH
    path = tmp_path / KEY.name
    whole = path.read_bytes()
    path.write_bytes(whole[:32] + whole[1032:2032] + whole[32:1032] + whole[2032:])
    assert load(tmp_path, KEY) is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    build(tmp_path / "file", KEY, lambda path: path.write_bytes(GRAPH) and None)
    assert load(tmp_path / "file", KEY) is None


def test_a_disk_that_fills_up_leaves_nothing(tmp_path):
    def full(path):
        path.write_bytes(GRAPH[:10])
        raise OutputError("no space left")

    build(tmp_path, KEY, full)
    assert list(tmp_path.iterdir()) == []


def test_the_machine_is_the_same_each_time():
    assert machine_identity() == machine_identity()
    assert len(machine_identity()) == 64
