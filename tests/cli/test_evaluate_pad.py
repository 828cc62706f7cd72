"""`facecli evaluate pad`: every species for itself, the worst decides, and the whole system where it was tested."""

import json

import numpy as np
import pytest


def written(path, rows, columns="score,label,species,match_score"):
    path.write_text(columns + "\n" + "".join(f"{row}\n" for row in rows))
    return path


@pytest.fixture
def system(tmp_path):
    """100 bona fide presentations, 40 prints that never pass, 20 masks of which five pass and two of them match."""
    rows = [f"0.9,bona-fide,,{0.8 if number >= 3 else 0.1}" for number in range(90)]
    rows += ["0.2,bona-fide,,0.8"] * 8 + [",bona-fide,,0.8"] * 2
    rows += ["0.1,attack,print,0.7"] * 40
    rows += ["0.6,attack,mask,0.7"] * 2 + ["0.6,attack,mask,0.0"] * 3 + ["0.1,attack,mask,0.7"] * 15
    return written(tmp_path / "system.csv", rows)


def told(done):
    assert done.status == 0, done.err
    return json.loads(done.out)


def test_each_species_at_the_deployed_threshold(run, system):
    report = told(run("evaluate", "pad", system, "--threshold", 0.5, "--json"))
    assert report["schema"] == "facecli.evaluate/1"
    assert report["kind"] == "pad"
    assert (report["bona_fide"], report["attacks"]) == (98, {"mask": 20, "print": 40})
    point = report["deployed"]
    assert [one["name"] for one in point["species"]] == ["mask", "print"], "the worst first"
    mask, paper = (one["apcer"] for one in point["species"])
    assert (mask["errors"], mask["trials"], mask["value"]) == (5, 20, 0.25)
    assert (mask["low"], mask["high"]) == pytest.approx((0.0866, 0.4910), abs=1e-4)  # Clopper and Pearson
    assert paper["value"] is None, "none of 40 is no rate of 0"
    assert (point["bpcer"]["errors"], point["bpcer"]["trials"]) == (8, 98)
    assert point["species"][0]["iapar"] is None
    assert report["no_answer"]["bona fide"]["errors"] == 2


def test_the_whole_system_with_a_match_threshold(run, system):
    report = told(run("evaluate", "pad", system, "--threshold", 0.5, "--match-threshold", 0.36, "--json"))
    point = report["deployed"]
    assert point["frr"]["errors"] == 8 + 3, "refused by the detector or by the comparison"
    mask = point["species"][0]
    assert mask["iapar"]["errors"] == 2
    assert mask["riapar"] == pytest.approx(2 / 20 + 11 / 98)


def test_thresholds_for_apcer_targets_are_those_of_the_worst_species(run, system):
    points = told(run("evaluate", "pad", system, "--json"))["points"]
    assert [point["target_apcer"] for point in points] == [0.1, 0.05, 0.01]
    assert {point["threshold"] for point in points} == {0.9}
    assert [point["supported"] for point in points] == [False, False, False], "20 masks show no APCER of 10 %"


def test_the_table_in_the_terminal(run, system):
    done = run("evaluate", "pad", system, "--threshold", 0.5, "--match-threshold", 0.36)
    assert done.status == 0, done.err
    assert "98 bona fide presentations; attacks: 20 mask, 40 print" in done.out
    assert "deployed\tAPCER mask\t~25.00 %\t8.66 to 49.10 %\t5 / 20\t0.5000" in done.out
    assert "too few attacks" in done.out
    assert "RIAPAR mask\t21.22 %" in done.out
    assert "ACER" not in done.out.replace("APCER", "").replace("BPCER", "")


def test_a_page_and_a_figure(run, tmp_path, system):
    done = run(
        *("evaluate", "pad", system, "--threshold", 0.5, "--match-threshold", 0.36),
        *("--report", tmp_path / "pad.html", "--plot", tmp_path / "pad.svg"),
    )
    assert done.status == 0, done.err
    page = (tmp_path / "pad.html").read_text()
    assert "RIAPAR" in page
    assert "5 of 20" in page
    assert "<script" not in page
    assert (tmp_path / "pad.svg").read_text().startswith("<?xml")


def test_hostile_species_are_text(run, tmp_path):
    rows = ["0.9,1,"] * 9 + ["0.1,0,<script>alert(1)</script>\x1b[31m$x_{$"] * 9
    path = written(tmp_path / "a.csv", rows, "score,label,species")
    done = run("evaluate", "pad", path, "--report", tmp_path / "pad.html")
    assert done.status == 0, done.err
    assert "\x1b" not in done.out
    page = (tmp_path / "pad.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_ndjson_and_attacks_without_a_species(run, tmp_path):
    lines = [{"score": 0.9, "label": "live"}, {"score": 0.2, "label": "spoof"}, {"score": None, "label": "spoof"}]
    path = tmp_path / "a.ndjson"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    report = told(run("evaluate", "pad", path, "--json"))
    assert report["attacks"] == {"attack": 1}
    assert report["no_answer"]["attack"]["errors"] == 1


def test_a_folder_needs_a_liveness_model(run, tmp_path):
    done = run("evaluate", "pad", tmp_path)
    assert done.status == 2
    assert "no liveness model is installed" in done.err
    assert "score,label,species" in done.err.replace(", ", ",")


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (["0.9,bona-fide,"], (), "no attack presentation"),
        (["0.9,attack,print"], (), "no bona fide presentation"),
        (["0.9,perhaps,"], (), "'perhaps' is no label"),
        (["high,attack,print"], (), "'high' is no score"),
        (["nan,attack,print"], (), "not finite"),
        (["0.9,1,", "0.1,0,print"], ("--match-threshold", 0.3), "no comparison scores"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(run, tmp_path, rows, options, message):
    done = run("evaluate", "pad", written(tmp_path / "a.csv", rows, "score,label,species"), *options)
    assert done.status == 2
    assert message in done.err


def test_comparison_scores_must_be_complete(run, tmp_path):
    done = run("evaluate", "pad", written(tmp_path / "a.csv", ["0.9,1,,0.5", "0.1,0,print,"]))
    assert done.status == 2
    assert "row 2: a match_score is there in some rows and missing in others" in done.err


def test_two_detectors_on_one_page(run, tmp_path):
    generator = np.random.default_rng(1)
    for name, distance in (("ours", 3), ("theirs", 2)):
        rows = [f"{score:.4f},1," for score in generator.normal(distance, 1, 200)]
        rows += [f"{score:.4f},0,{species}" for species in ("print", "mask") for score in generator.normal(0, 1, 300)]
        written(tmp_path / f"{name}.csv", rows, "score,label,species")
    done = run("evaluate", "pad", tmp_path / "ours.csv", tmp_path / "theirs.csv", "--report", tmp_path / "pad.html")
    assert done.status == 0, done.err
    page = (tmp_path / "pad.html").read_text()
    assert page.index("<h2>ours</h2>") < page.index("<h2>theirs</h2>")
