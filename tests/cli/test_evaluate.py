"""`facecli evaluate` reads labelled data, prints every figure with its interval, and claims nothing it can't show."""

import csv
import json
import sys

import numpy as np
import pytest

from tests.fakes import photo


@pytest.fixture
def people(tmp_path):
    """Draw six people with three photographs each."""
    for person in range(1, 7):
        for number in range(1, 4):
            photo(tmp_path, f"lfw/P{person}/P{person}_{number:04d}.jpg.png", person, noise=12)
    for path in (tmp_path / "lfw").glob("*/*.png"):
        path.rename(path.with_suffix(""))
    return tmp_path / "lfw"


def lfw_list(path, folds=2):
    lines = [f"{folds}\t3"]
    for fold in range(folds):
        own = range(1 + 3 * fold, 4 + 3 * fold)
        lines += [f"P{p}\t1\t2" for p in own]
        lines += [f"P{p}\t1\tP{(p % 6) + 1}\t3" for p in own]
    path.write_text("\n".join(lines) + "\n")
    return path


def told(done):
    assert done.status == 0, done.err
    return [json.loads(line) for line in done.out.splitlines()]


def test_pairs_as_lfw_lists_them(run, tmp_path, people):
    done = run("evaluate", "pairs", lfw_list(tmp_path / "pairs.txt"), "--images", people)
    assert done.status == 0
    assert "6 mated and 6 non-mated comparisons of 6 people (12 listed pairs in 2 folds)" in done.out
    assert "accuracy, 2 folds\t" in done.out
    assert "\x1b" not in done.out, "plain text in a pipe"


def test_json_holds_every_figure_with_its_interval(run, tmp_path, people):
    (report,) = told(run("evaluate", "pairs", lfw_list(tmp_path / "pairs.txt"), "--images", people, "--json"))
    assert report["schema"] == "facecli.evaluate/1"
    assert report["kind"] == "verification"
    assert (report["mated"], report["non_mated"], report["lost"], report["fta"]["trials"]) == (6, 6, 0, 18)
    assert [point["target"] for point in report["points"]] == [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6]
    assert {point["support"] for point in report["points"]} == {"nothing"}, "six pairs show no rate"
    assert report["accuracy"]["trials"] == 12
    assert len(report["accuracy"]["folds"]) == 2
    assert report["provenance"]["pin"]["name"] == "sface"
    scores = [pair["score"] for pair in report["false_matches"]]
    assert scores == sorted(scores, reverse=True)
    assert report["false_non_matches"][0]["first_person"] == report["false_non_matches"][0]["second_person"]


def test_pairs_in_csv(run, tmp_path, people):
    path = tmp_path / "pairs.csv"
    rows = [("first", "second", "same"), ("lfw/P1/P1_0001.jpg", "lfw/P1/P1_0002.jpg", "yes")]
    rows += [("lfw/P1/P1_0001.jpg", "lfw/P2/P2_0001.jpg", "no")]
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    (report,) = told(run("evaluate", "pairs", path, "--json"))
    assert (report["mated"], report["non_mated"], report["accuracy"]) == (1, 1, None)


def test_a_photograph_without_a_face_is_counted_and_named(run, tmp_path, people):
    photo(tmp_path, "lfw/P7/empty.png")
    (tmp_path / "lfw/P7/broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = run("evaluate", "folder", people)
    assert done.status == 0
    assert "2 / 20" in done.out
    assert "failures to enrol (FTE)\t~14.29 %" in done.out
    assert "no face found in" in done.err
    assert "broken.jpg" in done.err
    (report,) = told(run("evaluate", "folder", people, "--json"))
    assert report["lost"] == 20 * 19 // 2 - 18 * 17 // 2
    assert {failure["kind"] for failure in report["failures"]} == {"NoFaceError", "ImageError"}


def test_a_folder_is_compared_all_with_all(run, people):
    (report,) = told(run("evaluate", "folder", people, "--json"))
    assert (report["mated"], report["non_mated"]) == (6 * 3, 15 * 9)
    assert report["points"][0]["support"] == "nothing", "15 pairs of people can't show 1 in 10"
    (part,) = told(run("evaluate", "folder", people, "--sample", "40", "--json"))
    assert (part["mated"], part["non_mated"]) == (18, 40)
    assert "40 non-mated ones drawn at random (seed 1)" in part["provenance"]["protocol"]


def test_two_models_stand_side_by_side(run, people):
    done = run("evaluate", "folder", people, "--model", "sface", "--model", "dlib")
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert [line[1] for line in lines if line[0] == "d'"] == ["sface", "dlib"]
    reports = told(run("evaluate", "folder", people, "--json", "--model", "sface", "--model", "dlib"))
    assert [report["provenance"]["model"] for report in reports] == ["sface", "dlib"]


def test_a_second_run_embeds_nothing(run, people, monkeypatch):
    first = told(run("evaluate", "folder", people, "--json"))
    calls = []
    monkeypatch.setattr("facecli.pipeline.Pipeline.sample", lambda *_: calls.append(1))
    again = told(run("evaluate", "folder", people, "--json"))
    assert not calls
    assert again == first


def test_scores_of_another_system(run, tmp_path):
    generator = np.random.default_rng(1)
    mated, other = generator.normal(3, 1, 400), generator.normal(0, 1, 4000)
    with (tmp_path / "ours.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["score", "mated"])
        rows.writerows([[s, 1] for s in mated] + [[s, 0] for s in other])
    np.savez(tmp_path / "theirs.npz", score=-np.append(mated, other), mated=np.arange(4400) < 400)
    (ours,) = told(run("evaluate", "scores", "ours.csv", "--json"))
    (theirs,) = told(run("evaluate", "scores", "theirs.npz", "--distance", "--json"))
    assert ours["eer"] == pytest.approx(theirs["eer"])
    assert ours["points"][1]["fnmr"] == theirs["points"][1]["fnmr"]
    assert [point["support"] for point in ours["points"]] == [
        "number",
        "number",
        "bound",
        "nothing",
        "nothing",
        "nothing",
    ]
    assert ours["points"][1]["fmr"]["errors"] == 40
    assert ours["points"][1]["fmr"]["method"] == "Clopper-Pearson"
    done = run("evaluate", "scores", "ours.csv", "theirs.npz")
    assert "taken as independent" in done.out


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "score\n1\n"),
        ("a.csv", "score,mated\nx,1\n"),
        ("a.csv", "score,mated\nnan,1\n"),
        ("a.csv", "score,mated\n0.5,perhaps\n"),
        ("a.csv", "score,mated\n0.5,1\n"),
        ("a.csv", "score,mated\n0.5\n"),
        ("a.csv", ""),
        ("a.ndjson", "{"),
        ("a.ndjson", "[1]"),
        ("a.ndjson", '{"score": 1}'),
        ("a.npz", "no zip"),
        ("missing.csv", None),
    ],
)
def test_what_is_no_list_of_scores_is_refused_in_a_sentence(run, tmp_path, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
    done = run("evaluate", "scores", name)
    assert done.status == 2
    assert done.err.startswith("facecli: ")


@pytest.mark.parametrize("text", ["", "x\n", "2\t300\n", "1\nP1 1 2\nP1 1\n", "1\nP1 1 2\nP1 1 P2 x\n"])
def test_what_is_no_list_of_pairs_is_refused_in_a_sentence(run, tmp_path, text):
    (tmp_path / "pairs.txt").write_text(text)
    done = run("evaluate", "pairs", "pairs.txt")
    assert done.status == 2
    assert done.err.startswith("facecli: ")


def test_contradicting_pairs_are_refused(run, tmp_path, people):
    (tmp_path / "pairs.csv").write_text("first,second,same\na,b,1\nb,c,1\na,c,0\n")
    done = run("evaluate", "pairs", "pairs.csv")
    assert done.status == 2
    assert "are said to be both one person's and not" in done.err


def test_one_person_alone_can_not_be_measured(run, tmp_path):
    for number in (1, 2):
        photo(tmp_path, f"alone/P/{number}.png", 1, noise=9)
    assert run("evaluate", "folder", "alone").status == 2


def test_searches_in_one_folder_take_single_photographs_for_strangers(run, tmp_path, people):
    for stranger in range(20, 25):
        photo(tmp_path, f"lfw/S{stranger}/1.png", stranger)
    (report,) = told(run("evaluate", "identify", people, "--json"))
    assert report["kind"] == "identification"
    assert (report["enrolled"], report["templates"], report["mated"], report["non_mated"]) == (6, 6, 12, 5)
    assert (report["ranks"][0]["errors"], report["ranks"][0]["trials"], report["ranks"][0]["value"]) == (12, 12, None)
    assert report["cmc"] == [1.0] * 6
    assert {point["support"] for point in report["points"]} == {"nothing"}
    assert report["used"]["fpir"]["trials"] == 5
    done = run("evaluate", "identify", people)
    assert "12 mated and 5 non-mated probes, 6 templates of 6 people" in done.out


def test_searches_in_two_folders(run, tmp_path, people):
    photo(tmp_path, "probes/P1/x.png", 1, noise=5)
    photo(tmp_path, "probes/Q/x.png", 77)
    photo(tmp_path, "probes/Q/none.png")
    photo(tmp_path, "probes/P9/x.png", 9)
    photo(tmp_path, "lfw/P9/none.png")
    (report,) = told(run("evaluate", "identify", people, "probes", "--json"))
    assert (report["templates"], report["mated"], report["non_mated"], report["lost"]) == (18, 1, 1, 1)
    assert (report["fta"]["errors"], report["fta"]["trials"]) == (1, 4)
    assert (report["fte"]["errors"], report["fte"]["trials"]) == (1, 7)
    assert report["misses"][0]["first"].endswith("probes/P1/x.png")


def test_searches_without_a_stranger_or_a_known_person(run, tmp_path, people):
    (report,) = told(run("evaluate", "identify", people, "--json"))
    assert (report["non_mated"], report["points"], report["curve"]) == (0, [], None)
    photo(tmp_path, "probes/Q/x.png", 77)
    done = run("evaluate", "identify", people, "probes")
    assert done.status == 2
    assert "no probe shows anybody who is enrolled" in done.err


def test_without_scipy_nothing_is_begun(run, people, monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    done = run("evaluate", "folder", people)
    assert done.status == 2
    assert "pip install 'facecli[evaluate]'" in done.err
    assert "no template" not in done.err
