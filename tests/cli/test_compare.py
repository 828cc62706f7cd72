"""`facecli compare` writes every photograph against every other, as other tools can read it."""

import csv
import json

import numpy as np
import pytest

from facecli.evaluate import matrix
from tests.fakes import photo


@pytest.fixture
def people(tmp_path, monkeypatch):
    """Draw three people with two photographs each; blocks are small."""
    monkeypatch.setattr(matrix, "CELLS", 7)
    return [photo(tmp_path, f"lfw/P{p}/{n}.png", p, noise=9) for p in (1, 2, 3) for n in (1, 2)]


def scores_by_verify(run, sources):
    pairs = [(a, b) for i, a in enumerate(sources) for b in sources[i + 1 :]]
    return {(a, b): json.loads(run("verify", "--json", "--", a, b).out)["score"] for a, b in pairs}


def test_each_pair_is_printed_once_with_the_score_that_verify_gives(run, people):
    expected = scores_by_verify(run, people)
    done = run("compare", *people)
    assert done.status == 0
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert {(a, b): float(score) for a, b, score in lines} == pytest.approx(expected, abs=1e-10)
    assert len(lines) == 15
    told = [json.loads(line) for line in run("compare", "--json", *people).out.splitlines()]
    assert {(one["first"], one["second"]): one["score"] for one in told} == pytest.approx(expected, abs=1e-10)
    assert {one["schema"] for one in told} == {"facecli.compare/1"}


@pytest.mark.parametrize("ending", ["csv", "ndjson"])
def test_what_is_written_can_be_evaluated(run, people, tmp_path, ending):
    assert run("compare", "--from", "lfw", "--out", f"s.{ending}").status == 0
    (told,) = [json.loads(line) for line in run("evaluate", "scores", f"s.{ending}", "--json").out.splitlines()]
    assert (told["mated"], told["non_mated"], told["provenance"]["people"]) == (3, 12, 3)
    (direct,) = [json.loads(line) for line in run("evaluate", "folder", "lfw", "--json").out.splitlines()]
    assert told["d_prime"] == pytest.approx(direct["d_prime"])
    assert {pair["first"] for pair in told["false_non_matches"]} <= {f"lfw/P{p}/1.png" for p in (1, 2, 3)}


def test_the_whole_matrix_in_npz(run, people, tmp_path):
    assert run("compare", "--out", "m.npz", *people).status == 0
    with np.load(tmp_path / "m.npz") as archive:
        assert archive["images"].tolist() == people
        assert archive["people"].tolist() == [""] * 6
        scores = archive["scores"]
    assert (scores.dtype, scores.shape) == (np.float32, (6, 6))
    assert np.array_equal(scores, scores.T)
    assert np.diag(scores) == pytest.approx(1)
    for (a, b), score in scores_by_verify(run, people).items():
        assert scores[people.index(a), people.index(b)] == pytest.approx(score, abs=1e-7)


def test_a_photograph_that_fails_is_named_and_the_others_compared(run, people, tmp_path):
    photo(tmp_path, "empty.png")
    done = run("compare", *people[:2], "empty.png")
    assert done.status == 11
    assert len(done.out.splitlines()) == 1
    assert "not compared: no face found in empty.png" in done.err
    assert run("compare", people[0], "empty.png").status == 2


def test_names_that_a_spreadsheet_would_run_are_made_inert(run, tmp_path):
    names = [photo(tmp_path, "=cmd.png", 1), photo(tmp_path, "b.png", 2)]
    assert run("compare", "--out", "s.csv", "--", "=cmd.png", "b.png").status == 0
    with (tmp_path / "s.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows[0] == ["first", "second", "score"]
    assert rows[1][:2] == ["'=cmd.png", "b.png"]
    assert float(rows[1][2]) < 1
    assert names


@pytest.mark.parametrize("arguments", [[], ["a.png"], ["--from", "lfw", "a.png"], ["--out", "x.txt", "a.png", "b.png"]])
def test_what_makes_no_sense_is_refused(run, people, arguments):
    done = run("compare", *arguments)
    assert done.status == 2
    assert done.out == ""


def test_a_place_that_can_not_be_written_is_14(run, people):
    assert run("compare", "--out", "nowhere/s.csv", *people).status == 14
