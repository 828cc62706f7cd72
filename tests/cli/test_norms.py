"""`facecli evaluate folder --cohort` measures normalised scores beside the raw ones."""

import json

import pytest

from tests.fakes import photo


@pytest.fixture
def folders(tmp_path):
    """Draw twelve people to compare, and fifteen strangers."""
    for person in range(27):
        for number in (1, 2):
            photo(tmp_path / ("people" if person < 12 else "cohort"), f"p{person:02}/{number}.png", person, noise=20)
    return tmp_path / "people", tmp_path / "cohort"


@pytest.mark.parametrize("norm", ["z", "t", "s"])
def test_the_same_comparisons_are_measured_twice(run, folders, norm):
    people, cohort = folders
    done = run("evaluate", "folder", people, "--cohort", cohort, "--norm", norm, "--rounds", "20", "--json")
    assert done.status == 0, done.err
    raw, normalised = (json.loads(line) for line in done.out.splitlines())
    assert normalised["provenance"]["model"] == f"sface ({norm}-norm)"
    assert (normalised["mated"], normalised["non_mated"]) == (raw["mated"], raw["non_mated"]) == (12, 264)
    assert normalised["false_non_matches"][0]["first_person"] == normalised["false_non_matches"][0]["second_person"]
    assert max(pair["score"] for pair in normalised["false_matches"]) > 1, "in standard deviations"


def test_a_sample_and_the_nearest_strangers_will_do(run, folders):
    people, cohort = folders
    done = run("evaluate", "folder", people, "--cohort", cohort, "--nearest", "5", "--sample", "50", "--rounds", "20")
    assert done.status == 0, done.err
    assert "12 mated and 50 non-mated" in done.out


def test_a_cohort_of_the_same_people_is_refused(run, folders):
    people, _ = folders
    done = run("evaluate", "folder", people, "--cohort", people, "--rounds", "20")
    assert done.status == 2
    assert "12 people of the cohort are compared here too" in done.err


def test_a_norm_needs_strangers(run, folders):
    assert run("evaluate", "folder", folders[0], "--norm", "s").status == 2
