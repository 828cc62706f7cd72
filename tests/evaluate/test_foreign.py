"""bob's and openbr's score files are read as they are documented, and whatever is wrong with one is told."""

import struct

import numpy as np
import pytest

from facecli.errors import UsageError
from facecli.evaluate.protocols import read_scores

FOUR = """\
ann ann probes/ann_2 0.91
ann bob probes/bob_2 0.12

bob bob probes/bob_2 -1.5e-1
"""
FIVE = """\
ann models/ann_1 ann probes/ann_2 0.91
ann models/ann_1 bob probes/bob_2 0.12
bob models/bob_1 bob probes/bob_2 nan
"""
CSV = """\
probe_template_id,probe_subject_id,bio_ref_template_id,bio_ref_subject_id,probe_gender,score
p/ann_2,ann,m/ann_1,ann,f,0.91
p/bob_2,bob,m/ann_1,ann,m,0.12
p/eve_2,eve,m/ann_1,ann,f,nan
"""


def written(path, content):
    (path.write_bytes if isinstance(content, bytes) else path.write_text)(content)
    return path


def openbr(path, cells, *, kind=None, first=b"S2", order="<", sets=(b"targets", b"queries"), mutate=lambda data: data):
    """Write a matrix as openbr's BEE::writeMatrix does."""
    kind = kind or (b"MB" if cells.dtype == np.uint8 else b"MF")
    size = b"%s %d %d " % (kind, *cells.shape) + struct.pack(f"{order}I", 0x12345678)
    data = b"\n".join([first, *sets, size]) + b"\n" + cells.astype(cells.dtype.newbyteorder(order)).tobytes()
    return written(path, mutate(data))


def pair(folder, scores, mask, **options):
    openbr(folder / "a.mask", np.array(mask, np.uint8), **{**options, "first": b"S2"})
    return openbr(folder / "a.mtx", np.array(scores, np.float32), **options)


@pytest.mark.parametrize("name", ["scores-dev", "scores-dev.txt"])
def test_four_columns_of_bob(tmp_path, name):
    scores = read_scores(written(tmp_path / name, FOUR))
    assert scores.score.tolist() == [0.91, 0.12, -0.15]
    assert scores.mated.tolist() == [True, False, True]
    assert scores.first_person.tolist() == ["ann", "ann", "bob"]
    assert scores.second_person.tolist() == ["ann", "bob", "bob"]
    assert scores.first.tolist() == ["ann", "ann", "bob"], "the model is known by its person alone"
    assert scores.second.tolist() == ["probes/ann_2", "probes/bob_2", "probes/bob_2"]
    assert scores.lost == 0


def test_five_columns_of_bob_and_a_comparison_that_was_not_made(tmp_path):
    scores = read_scores(written(tmp_path / "scores-dev", FIVE))
    assert scores.score.tolist() == [0.91, 0.12]
    assert scores.first.tolist() == ["models/ann_1"] * 2
    assert scores.lost == 1


@pytest.mark.parametrize("name", ["template_id", "reference_id"])
def test_csv_of_bob(tmp_path, name):
    scores = read_scores(written(tmp_path / "scores-dev.csv", CSV.replace("template_id", name)))
    assert scores.score.tolist() == [0.91, 0.12]
    assert scores.mated.tolist() == [True, False]
    assert scores.first_person.tolist() == ["ann", "ann"]
    assert scores.second_person.tolist() == ["ann", "bob"]
    assert scores.first.tolist() == ["m/ann_1", "m/ann_1"]
    assert scores.second.tolist() == ["p/ann_2", "p/bob_2"]
    assert scores.lost == 1


def test_csv_of_bob_without_names_of_samples(tmp_path):
    rows = "bio_ref_subject_id,probe_subject_id,score\nann,ann,0.5\nann,bob,0.1\n"
    scores = read_scores(written(tmp_path / "a.csv", rows))
    assert scores.first is None
    assert scores.mated.tolist() == [True, False]


def test_our_own_csv_is_read_as_before(tmp_path):
    scores = read_scores(written(tmp_path / "a.csv", "score,mated\n0.5,1\n0.25,0\n"), distance=True)
    assert scores.score.tolist() == [-0.5, -0.25]


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_matrix_of_openbr_with_its_mask(tmp_path, order):
    """Rows are queries. 0xFF is mated, 0x7F non-mated, and 0 is not to be used."""
    scores = read_scores(
        pair(tmp_path, [[0.5, 0.25, 9], [0.125, -1, np.nan]], [[255, 127, 0], [127, 255, 127]], order=order)
    )
    assert scores.score.tolist() == [0.5, 0.25, 0.125, -1.0]
    assert scores.mated.tolist() == [True, False, False, True]
    assert scores.first.tolist() == ["query 1", "query 1", "query 2", "query 2"]
    assert scores.second.tolist() == ["target 1", "target 2", "target 1", "target 2"]
    assert scores.lost == 1


def test_a_distance_matrix_of_openbr_is_negated(tmp_path):
    scores = read_scores(pair(tmp_path, [[0.5, 0.25]], [[255, 127]], first=b"D2"))
    assert scores.score.tolist() == [-0.5, -0.25]
    assert scores.distance


def test_samples_that_mated_comparisons_tie_together_are_one_person_s(tmp_path):
    mask = [[255, 255, 127], [127, 127, 255]]
    scores = read_scores(pair(tmp_path, np.arange(6).reshape(2, 3), mask))
    same = scores.first_person == scores.second_person
    assert same.tolist() == scores.mated.tolist()
    assert len({*scores.first_person, *scores.second_person}) == 2


def test_a_set_against_itself_counts_each_comparison_once(tmp_path):
    cells = [[9, 0.5, 0.25], [0.5, 9, 0.125], [0.25, 0.125, 9]]
    mask = [[0, 255, 127], [255, 0, 127], [127, 127, 0]]
    scores = read_scores(pair(tmp_path, cells, mask, sets=(b"all", b"all")))
    assert scores.score.tolist() == [0.5, 0.25, 0.125]
    assert scores.first.tolist() == ["1", "1", "2"]
    assert scores.second.tolist() == ["2", "3", "3"]
    cells[0][1] = 0.75
    assert len(read_scores(pair(tmp_path, cells, mask, sets=(b"all", b"all"))).score) == 6, "not symmetric: all count"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.txt", "ann ann probe\n", "3 columns"),
        ("a.txt", "ann ann probe 0.5\nann m ann probe 0.5\n", "line 2: 5 columns"),
        ("a.txt", "ann ann probe high\n", "no score"),
        ("a.txt", "ann ann probe inf\n", "infinite"),
        ("a.txt", "ann ann probe nan\n", "holds no scores"),
        ("a.txt", "", "holds no scores"),
        ("a.txt", b"\xff\xfe\x00", "can't read"),
        ("a.csv", "bio_ref_subject_id,probe_subject_id\nann,ann\n", "lacks in its first line: score"),
        ("a.mtx", b"hello\n", "no matrix of openbr"),
        ("a.mtx", b"", "no matrix of openbr"),
        ("a.mtx", b"S2\nt\nq\nMF -1 3 \x78\x56\x34\x12\n", "can't be read"),
        ("a.mtx", b"S2\nt\nq\nMF 99999999 99999999 \x78\x56\x34\x12\n", "can't be read"),
        ("a.mtx", b"S2\nt\nq\nMF 1 1 abcd\n\0\0\0\0", "byte order"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(tmp_path, name, content, told):
    with pytest.raises(UsageError, match=told):
        read_scores(written(tmp_path / name, content))


def test_a_matrix_needs_its_mask(tmp_path):
    path = openbr(tmp_path / "a.mtx", np.zeros((1, 2), np.float32))
    with pytest.raises(UsageError, match=r"a\.mask is no file"):
        read_scores(path)
    openbr(tmp_path / "a.mask", np.full((1, 3), 255, np.uint8))
    with pytest.raises(UsageError, match="not of one size"):
        read_scores(path)
    openbr(tmp_path / "a.mask", np.full((1, 2), 1, np.uint8))
    with pytest.raises(UsageError, match="0x01"):
        read_scores(path)


@pytest.mark.parametrize("mutate", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_a_matrix_that_is_cut_short_or_too_long_is_damaged(tmp_path, mutate):
    path = pair(tmp_path, [[0.5]], [[255]])
    openbr(path, np.zeros((1, 1), np.float32), mutate=mutate)
    with pytest.raises(UsageError, match="damaged"):
        read_scores(path)


def test_a_mask_in_the_place_of_a_matrix_is_refused(tmp_path):
    path = pair(tmp_path, [[0.5]], [[255]])
    openbr(path, np.full((1, 1), 255, np.uint8))
    with pytest.raises(UsageError, match="other values"):
        read_scores(path)
