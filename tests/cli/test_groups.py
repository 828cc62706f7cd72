"""`facecli evaluate --groups` tells what one threshold does to each group, and what the data can't show."""

import json
import re
from dataclasses import replace

import pytest

from tests.fakes import photo


@pytest.fixture
def people(tmp_path):
    """Draw 24 people with two photographs each; the first twelve are blue, the others red, and one has no label."""
    rows = ["image,colour,size"]
    for person in range(1, 25):
        for number in (1, 2):
            name = f"p{person:02}/{number}.png"
            photo(tmp_path / "people", name, person, noise=25)
            rows.append(f"{name},{'blue' if person <= 12 else 'red'},{'' if person == 24 else 'small'}")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path / "people"


@pytest.fixture
def labels(tmp_path):
    return tmp_path / "labels.csv"


def told(done):
    assert done.status == 0, done.err
    (line,) = done.out.splitlines()
    return json.loads(line)["groups"]


def test_the_report_is_there_as_text(run, people, labels):
    done = run("evaluate", "folder", people, "--groups", labels, "--group-by", "colour", "--rounds", "20")
    assert done.status == 0, done.err
    assert "by colour" in done.out
    assert "at 0.9800: FMR 0.0001 (provisional: drawn people" in done.out
    assert "blue\t12\t24" in done.out
    assert "blue x red" in done.out
    assert "GARBE" in done.out
    assert "not a sample of everybody" in done.out
    assert "Too few pairs of people to show FMR 0.0001 within: blue; red" in done.out


def test_the_report_as_data_counts_every_comparison_once(run, people, labels):
    groups = told(run("evaluate", "folder", people, "--groups", labels, "--group-by", "colour", "--json"))
    blue, red = groups["groups"]
    assert (blue["name"], blue["people"], blue["images"], blue["fta"]["trials"]) == ("blue", 12, 24, 24)
    within = 12 * 11 // 2 * 4
    assert blue["fmr"]["trials"] == red["fmr"]["trials"] == within
    assert [one["fmr"]["trials"] for one in groups["cross"]] == [12 * 12 * 4]
    assert blue["fnmr"]["trials"] == 12
    assert groups["operating_point"]["threshold"] == 0.98
    assert groups["compared"] == ["blue", "red"]
    assert blue["quality"]["sharpness"] > 0


def test_listed_pairs_have_groups_too(run, people, labels, tmp_path):
    rows = [f"p{a:02}/1.png,p{b:02}/2.png,{int(a == b)}" for a in range(1, 25) for b in range(1, 25)]
    (tmp_path / "pairs.csv").write_text("first,second,same\n" + "\n".join(rows) + "\n")
    done = run(
        "evaluate", "pairs", tmp_path / "pairs.csv", "--images", people, "--groups", labels, "--group-by", "colour",
        "--json",
    )  # fmt: skip
    groups = told(done)
    assert [one["fmr"]["trials"] for one in groups["groups"]] == [132, 132]
    assert [one["fnmr"]["trials"] for one in groups["groups"]] == [12, 12]
    assert groups["cross"][0]["fmr"]["trials"] == 288


def test_several_attributes_make_one_group_and_an_empty_cell_none(run, people, labels):
    groups = told(run("evaluate", "folder", people, "--groups", labels, "--group-by", "colour,size", "--json"))
    assert [one["name"] for one in groups["groups"]] == ["blue, small", "red, small"]
    assert groups["unlabelled"] == 2
    assert "2 photographs have no label and take no part." in groups["sentences"]
    assert told(run("evaluate", "folder", people, "--groups", labels, "--json"))["by"] == ["colour", "size"]


def test_a_group_of_few_people_is_marked_and_left_out(run, people, labels):
    text = labels.read_text().replace("p01/1.png,blue", "p01/1.png,green").replace("p01/2.png,blue", "p01/2.png,green")
    labels.write_text(text)
    groups = told(run("evaluate", "folder", people, "--groups", labels, "--group-by", "colour", "--json"))
    assert groups["compared"] == ["blue", "red"]
    assert any("green (1 people)" in sentence for sentence in groups["sentences"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--group-by", "colour"), "needs the table of labels"),
        (("--groups", "none.csv"), "is no file"),
        (("--groups", "labels.csv", "--group-by", "age"), "lacks in its first line: age"),
        (("--groups", "foreign.csv"), "none of the photographs has a label"),
        (("--groups", "many.csv"), "makes 48 groups"),
    ],
)
def test_labels_that_make_no_sense_are_usage_errors(run, people, tmp_path, arguments, said):
    (tmp_path / "foreign.csv").write_text("image,colour\nelsewhere.png,blue\n")
    names = [f"p{person:02}/{number}.png,{person}.{number}" for person in range(1, 25) for number in (1, 2)]
    (tmp_path / "many.csv").write_text("image,age\n" + "\n".join(names) + "\n")
    done = run("evaluate", "folder", people, *arguments)
    assert done.status == 2
    assert said in done.err


def test_the_page_tells_of_groups_too(run, people, labels, tmp_path):
    text = labels.read_text().replace("blue", '<b>"$x_2$').replace(",small", ",")
    labels.write_text(text)
    done = run(
        "evaluate", "folder", people, "--groups", labels, "--group-by", "colour", "--rounds", "20",
        "--report", tmp_path / "page.html", "--no-faces",
    )  # fmt: skip
    assert done.status == 0, done.err
    page = re.sub(r"<!--.*?-->", "", (tmp_path / "page.html").read_text(), flags=re.DOTALL)  # matplotlib notes texts
    assert "Groups of people: sface" in page
    assert "Impostors of one group against people of another" in page
    assert "&lt;b&gt;" in page
    assert '<b>"' not in page
    assert 'id="groups-0-' in page


def test_the_deployed_threshold_is_the_gallerys_where_it_was_calibrated(run, people, labels, tmp_path):
    from facecli.evidence import Calibration
    from facecli.gallery import Gallery
    from tests.fakes import MEASUREMENT, FakeEmbedder

    own = replace(MEASUREMENT, status="calibrated", data="the door")
    with Gallery.create(tmp_path / "gallery", FakeEmbedder("sface").pin) as gallery:
        gallery.calibrate(Calibration(own, fmr=1e-3, fpir=0.01))
    arguments = ("evaluate", "folder", people, "--groups", labels, "--group-by", "colour", "--json")
    point = told(run(*arguments))["operating_point"]
    assert (point["threshold"], point["target"], point["status"]) == (0.95, 1e-3, "calibrated")
    assert told(run(*arguments, "--model", "other"))["operating_point"]["status"] == "provisional"


def test_where_not_one_error_would_be_expected_no_threshold_is_stated(run, people, labels):
    """66 pairs of people at FMR 1e-4 say nothing of the threshold that would hold it."""
    groups = told(run("evaluate", "folder", people, "--groups", labels, "--group-by", "colour", "--json"))
    assert [one["own_threshold"] for one in groups["groups"]] == [None, None]
    assert any(sentence.startswith("The people are too few to say which threshold") for sentence in groups["sentences"])
    assert any("was seen in any group" in sentence for sentence in groups["sentences"])
