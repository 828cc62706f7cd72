"""Lists of comparisons are read as their formats say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from facecli.errors import UsageError
from facecli.evaluate.identification import split
from facecli.evaluate.protocols import (
    Image,
    Pair,
    Protocol,
    read_csv_pairs,
    read_groups,
    read_lfw_pairs,
    read_scores,
    sampled,
)


def test_lfws_folds_are_half_mated_half_not(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_text("2\t1\nAda\t1\t2\nAda\t1\tBob\t12\nBob\t1\t2\nCy\t3\tAda\t2\n")
    protocol = read_lfw_pairs(path, tmp_path / "lfw")
    assert protocol.images[0] == Image(str(tmp_path / "lfw/Ada/Ada_0001.jpg"), "Ada")
    assert protocol.images[2] == Image(str(tmp_path / "lfw/Bob/Bob_0012.jpg"), "Bob")
    assert [(pair.mated, pair.fold) for pair in protocol.pairs] == [(True, 0), (False, 0), (True, 1), (False, 1)]
    assert len(protocol.images) == 6, "each photograph once"
    assert protocol.told == "4 listed pairs in 2 folds"


def test_a_view_1_list_has_no_folds(tmp_path):
    path = tmp_path / "pairsDevTest.txt"
    path.write_text("1\nAda\t1\t2\nAda\t1\tBob\t1\n")
    protocol = read_lfw_pairs(path, tmp_path)
    assert {pair.fold for pair in protocol.pairs} == {0}


@pytest.mark.shared
def test_the_real_list_is_read_whole(shared):
    protocol = read_lfw_pairs(shared / "lfw-dev" / "pairs.txt", shared / "lfw-dev" / "lfw")
    assert len(protocol.pairs) == 1200
    assert sum(pair.mated for pair in protocol.pairs) == 600
    assert np.bincount([pair.fold for pair in protocol.pairs]).tolist() == [600, 600]


def test_photographs_that_mated_pairs_tie_together_are_one_persons(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("first,second,same\na,b,1\nc,b,same\nd,e,no\na,d,different\n")
    protocol = read_csv_pairs(path)
    people = {image.source.rsplit("/", 1)[-1]: image.person for image in protocol.images}
    assert people["a"] == people["b"] == people["c"]
    assert len({people[name] for name in "ade"}) == 3


def test_named_people_folds_and_another_folder(tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("first,second,same,first_person,second_person,fold\na,b,0,Ada,Bob,3\n")
    protocol = read_csv_pairs(path, tmp_path / "photos")
    assert protocol.images == (Image(str(tmp_path / "photos/a"), "Ada"), Image(str(tmp_path / "photos/b"), "Bob"))
    assert protocol.pairs == (Pair(0, 1, mated=False, fold=3),)


def everyone(sizes):
    return Protocol(tuple(Image(f"{p}/{n}", str(p)) for p, size in enumerate(sizes) for n in range(size)), None, "all")


@pytest.mark.parametrize("count", [1, 7, 10_000])
def test_a_sample_has_all_mated_pairs_and_each_other_once(count):
    protocol = everyone((3, 1, 4))
    taken = sampled(protocol, count, seed=5)
    mated = [pair for pair in taken.pairs if pair.mated]
    other = [(pair.first, pair.second) for pair in taken.pairs if not pair.mated]
    assert len(mated) == 3 + 6
    assert len(other) == len(set(other)) == min(count, 3 + 12 + 4)
    assert all(taken.images[a].person != taken.images[b].person for a, b in other)
    assert taken == sampled(protocol, count, seed=5)


def test_a_sample_is_even():
    counts = np.zeros(5)
    for seed in range(600):
        counts[[pair.second for pair in sampled(everyone((1, 1, 1, 1, 1)), 1, seed=seed).pairs if pair.first == 0]] += 1
    assert (np.abs(counts[1:] - 60) < 30).all()


def test_scores_in_every_format_are_the_same(tmp_path):
    rows = [(0.5, 1, "a", "a"), (0.25, 0, "a", "b"), (-0.125, 0, "b", "c")]
    heading = ("score", "mated", "first_person", "second_person")
    for name, mark in (("s.csv", ","), ("s.tsv", "\t")):
        text = "\n".join(mark.join(map(str, row)) for row in [heading, *rows])
        (tmp_path / name).write_text(text)
    (tmp_path / "s.ndjson").write_text("\n".join(json.dumps(dict(zip(heading, row, strict=True))) for row in rows))
    columns = dict(zip(heading, map(np.array, zip(*rows, strict=True)), strict=True))
    np.savez(tmp_path / "s.npz", **columns)
    for name in ("s.csv", "s.tsv", "s.ndjson", "s.npz"):
        scores = read_scores(tmp_path / name)
        assert scores.score.tolist() == [0.5, 0.25, -0.125]
        assert scores.mated.tolist() == [True, False, False]
        assert scores.second_person.tolist() == ["a", "b", "c"]
        assert (scores.first, scores.fold) == (None, None)
        assert read_scores(tmp_path / name, distance=True).score.tolist() == [-0.5, -0.25, 0.125]


def test_arrays_that_hold_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "s.npz", score=np.array([object()]), mated=np.array([1]))
    with pytest.raises(UsageError):
        read_scores(tmp_path / "s.npz")
    np.savez(tmp_path / "s.npz", score=np.array([0.5, 0.5]), mated=np.array([1]))
    with pytest.raises(UsageError, match="of one length"):
        read_scores(tmp_path / "s.npz")


def test_groups_leave_empty_cells_out(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_text("image,gender,age\na/1.jpg,female,young\nb/1.jpg,,old\n")
    assert read_groups(path) == {"a/1.jpg": {"gender": "female", "age": "young"}, "b/1.jpg": {"age": "old"}}
    assert read_groups(path, ["gender"])["b/1.jpg"] == {}
    with pytest.raises(UsageError, match="height"):
        read_groups(path, ["height"])


def test_a_split_enrols_the_first_photograph_of_who_has_several():
    protocol = split(everyone((3, 1, 2)))
    assert [image.source for image in protocol.gallery] == ["0/0", "2/0"]
    assert [image.source for image in protocol.probes] == ["0/1", "0/2", "1/0", "2/1"]
