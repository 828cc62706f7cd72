"""Enrolling thousands: one bad photograph stops no other, everything refused is named, a second run goes on."""

import json
from pathlib import Path

import pytest

from tests.fakes import photo


@pytest.fixture
def folder(tmp_path):
    """Draw two people with two photographs each, and beside them what can go wrong."""
    for name, number in (("alice", 1), ("bob", 2)):
        photo(tmp_path, f"people/{name}/1.png", number)
        photo(tmp_path, f"people/{name}/2.png", number, noise=2)
    return tmp_path / "people"


def _spoil(folder: Path) -> None:
    photo(folder, "alice/nobody.png")
    photo(folder, "alice/two.png", 1, 2)
    photo(folder, "bob/a-stranger.png", 3)
    (folder / "bob" / "notes.txt").write_text("no photograph")
    (folder / "bob" / ".hidden").write_text("left out")
    photo(folder, "-bad-name/1.png", 4)


def test_a_folder_with_one_sub_folder_a_person(run, folder):
    done = run("enroll", "--from", folder)
    assert done.status == 0
    assert done.out.splitlines()[0] == "enrolled 2 people, 4 templates"
    assert run("gallery", "list").out.split()[:2] == ["alice", "2"]


def test_a_second_run_adds_nothing(run, folder):
    run("enroll", "--from", folder)
    again = json.loads(run("enroll", "--json", "--from", folder).out)
    assert again["summary"] == {"people": 0, "added": 0, "known": 4, "refused": 0, "suspects": 0}


def test_a_second_run_takes_what_is_new(run, folder):
    run("enroll", "--from", folder)
    photo(folder, "carol/1.png", 5)
    again = json.loads(run("enroll", "--json", "--from", folder).out)
    assert again["summary"] == {"people": 1, "added": 1, "known": 4, "refused": 0, "suspects": 0}


def test_what_is_refused_is_named_with_its_reason(run, folder):
    _spoil(folder)
    done = run("enroll", "--json", "--from", folder)
    assert done.status == 11
    lines = [json.loads(line) for line in done.out.splitlines()]
    refused = {Path(line["source"]).name: line["error"]["kind"] for line in lines if "error" in line}
    assert refused == {
        "nobody.png": "no-face",
        "two.png": "several-faces",
        "notes.txt": "image",
        "a-stranger.png": "enrolment-refused",
        "1.png": "usage",
    }
    assert lines[-1]["status"] == 11


def test_the_text_summary_counts_each_reason(run, folder):
    _spoil(folder)
    done = run("enroll", "--from", folder)
    assert "refused 1 photograph: no face" in done.out
    assert "refused 1 photograph: several faces (choose with --faces largest or --faces center)" in done.out
    assert "refused 1 photograph: unreadable" in done.out
    assert f"refused alice: no face found in {folder / 'alice' / 'nobody.png'}" in done.err


def test_suspected_duplicates_are_enrolled_and_listed_for_review(run, folder):
    photo(folder, "mallory/1.png", 1, noise=1)
    done = run("enroll", "--json", "--from", folder)
    assert done.status == 0
    suspects = [json.loads(line)["suspect"] for line in done.out.splitlines() if "suspect" in json.loads(line)]
    assert [suspect["other"] for suspect in suspects] == ["alice"]
    assert suspects[0]["score"] >= suspects[0]["threshold"]


def test_duplicates_can_be_refused_in_bulk_too(run, folder):
    photo(folder, "mallory/1.png", 1, noise=1)
    assert run("enroll", "--duplicates", "refuse", "--from", folder).status == 11
    assert "mallory" not in run("gallery", "list").out


def test_a_csv_file_with_paths_beside_it(run, tmp_path, folder):
    (tmp_path / "staff.csv").write_text("name,image\nAlice A.,people/alice/1.png\nAlice A.,people/alice/2.png\n")
    assert run("enroll", "--from", tmp_path / "staff.csv").status == 0
    assert run("gallery", "list").out.split("\t")[:2] == ["Alice A.", "2"]


@pytest.mark.parametrize("text", ["", "name,photo\na,b\n", "name,image\n"])
def test_a_csv_file_that_is_no_list_is_a_usage_error(run, tmp_path, text):
    (tmp_path / "staff.csv").write_text(text)
    assert run("enroll", "--from", tmp_path / "staff.csv").status == 2


def test_a_csv_row_with_too_few_cells_is_refused_and_named(run, tmp_path, folder):
    (tmp_path / "staff.csv").write_text("name,image\nalice\nbob,people/bob/1.png\n")
    done = run("enroll", "--from", tmp_path / "staff.csv")
    assert done.status == 11
    assert "enrolled 1 person, 1 template" in done.out


def test_an_empty_or_missing_folder_is_a_usage_error(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert run("enroll", "--from", tmp_path / "empty").status == 2
    assert run("enroll", "--from", tmp_path / "missing").status == 2


def test_names_and_folders_do_not_mix(run, folder):
    assert run("enroll", "alice", "--from", folder).status == 2
