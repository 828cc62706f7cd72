"""Exit status 0 means accepted and nothing else does: verify, identify and enroll, as a script sees them."""

import json

import pytest

from tests.fakes import fake_engine, photo


@pytest.fixture
def people(tmp_path):
    """Draw two photographs of person 1 and one each of persons 2 and 3."""
    return {
        "a1": photo(tmp_path, "a1.png", 1),
        "a2": photo(tmp_path, "a2.png", 1, noise=2),
        "b": photo(tmp_path, "b.png", 2),
        "c": photo(tmp_path, "c.png", 3),
        "two": photo(tmp_path, "two.png", 1, 2),
        "none": photo(tmp_path, "none.png"),
    }


def test_verify_accepts_a_mated_pair_and_refuses_a_non_mated_one(run, people):
    assert run("verify", "--", people["a1"], people["a2"]).status == 0
    assert run("verify", "--", people["a1"], people["b"]).status == 1


def test_a_decision_carries_its_evidence(run, people):
    told = json.loads(run("verify", "--json", "--", people["a1"], people["a2"]).out)
    assert told["schema"] == "facecli.verify/1"
    assert told["accepted"] is True
    assert told["score"] >= told["operating_point"]["threshold"] == 0.98
    assert (
        told["operating_point"] | {"target": 1e-4, "supported": True, "status": "provisional", "people": 50}
        == (told["operating_point"])
    )
    assert told["model"]["name"] == "sface"
    assert told["device"] == "cpu"
    assert told["probe"]["quality"]["eye_distance_px"] > 0
    assert "vector" not in json.dumps(told)


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("none",), 3),
        (("two",), 4),
        (("missing",), 7),
    ],
)
def test_a_probe_that_allows_no_decision_has_its_own_status(run, people, tmp_path, arguments, status):
    paths = [people.get(name, str(tmp_path / name)) for name in arguments]
    done = run("verify", "--json", "--", *paths, people["a1"])
    assert done.status == status
    assert json.loads(done.out) == json.loads(done.out) | {"accepted": False, "status": status}
    assert done.err.startswith("facecli: ")


def test_verify_as_an_enrolled_person(run, people):
    run("enroll", "alice", people["a1"])
    assert run("verify", "--as", "alice", "--", people["a2"]).status == 0
    assert run("verify", "--as", "alice", "--", people["b"]).status == 1
    unknown = run("verify", "--as", "nobody", "--", people["a1"])
    assert unknown.status == 2
    assert "nobody" in unknown.err


def test_identify_names_the_known_and_refuses_strangers(run, people):
    run("enroll", "alice", people["a1"])
    run("enroll", "bob", people["b"])
    told = json.loads(run("identify", "--json", "--", people["a2"]).out)
    assert told["name"] == "alice"
    assert told["accepted"] is True
    assert [candidate["name"] for candidate in told["candidates"]] == ["alice", "bob"]
    assert told["margin"] == pytest.approx(told["candidates"][0]["score"] - told["candidates"][1]["score"])
    stranger = run("identify", "--json", "--", people["c"])
    assert stranger.status == 1
    assert json.loads(stranger.out)["accepted"] is False


def test_identify_several_probes(run, people):
    run("enroll", "alice", people["a1"])
    assert run("identify", "--", people["a1"], people["a2"]).status == 0
    assert run("identify", "--", people["a1"], people["c"]).status == 1
    some = run("identify", "--json", "--", people["a1"], people["none"])
    assert some.status == 11
    lines = [json.loads(line) for line in some.out.splitlines()]
    assert [line["status"] for line in lines] == [0, 3]


def test_identify_all_faces_wants_every_one_known(run, people):
    run("enroll", "alice", people["a1"])
    assert run("identify", "--faces", "all", "--", people["two"]).status == 1
    run("enroll", "bob", people["b"])
    assert run("identify", "--faces", "all", "--", people["two"]).status == 0


def test_faces_all_is_for_identify_alone(run, people):
    assert run("verify", "--faces", "all", "--", people["a1"], people["a2"]).status == 2
    assert run("enroll", "--faces", "all", "alice", people["a1"]).status == 2


def test_an_empty_gallery_knows_nobody_and_a_missing_one_is_an_error(run, people):
    assert run("identify", "--", people["a1"]).status == 9
    run("enroll", "alice", people["a1"])
    run("gallery", "remove", "--yes", "alice")
    assert run("identify", "--", people["a1"]).status == 1


def test_a_duplicate_is_refused_unless_allowed(run, people):
    run("enroll", "alice", people["a1"])
    refused = run("enroll", "mallory", people["a2"])
    assert refused.status == 1
    assert "alice" in refused.err
    assert "--allow-duplicate" in refused.err
    assert run("enroll", "--allow-duplicate", "mallory", people["a2"]).status == 0


def test_a_face_that_is_not_the_persons_own_is_refused_unless_forced(run, people):
    run("enroll", "alice", people["a1"])
    refused = run("enroll", "alice", people["b"])
    assert refused.status == 1
    assert "--force" in refused.err
    assert run("enroll", "--force", "alice", people["b"]).status == 0


def test_photographs_of_one_call_must_agree_with_each_other(run, people):
    assert run("enroll", "alice", people["a1"], people["b"]).status == 1
    assert run("gallery", "list").out == ""
    assert run("enroll", "alice", people["a1"], people["a2"]).status == 0


def test_enrolling_the_same_photograph_again_changes_nothing(run, people):
    run("enroll", "alice", people["a1"])
    again = run("enroll", "--json", "alice", people["a1"])
    assert again.status == 0
    assert json.loads(again.out) | {"added": 0, "known": 1, "templates": 1} == json.loads(again.out)


@pytest.mark.parametrize("metric", ["cosine", "angular", "euclidean"])
def test_the_metric_changes_what_is_shown_and_never_the_decision(run, people, metric):
    assert run("verify", "--metric", metric, "--", people["a1"], people["a2"]).status == 0
    assert run("verify", "--metric", metric, "--", people["a1"], people["b"]).status == 1


@pytest.mark.parametrize(
    ("metric", "loose", "tight"), [("cosine", "-1", "1"), ("angular", "180", "0"), ("euclidean", "2", "0")]
)
def test_a_threshold_by_hand_is_in_the_metrics_unit_and_marked_unsourced(run, people, metric, loose, tight):
    accepted = run("verify", "--json", "--metric", metric, "--threshold", loose, "--", people["a1"], people["b"])
    assert accepted.status == 0
    assert json.loads(accepted.out)["operating_point"]["status"] == "unsourced"
    assert run("verify", "--metric", metric, "--threshold", tight, "--", people["a1"], people["b"]).status == 1


@pytest.mark.parametrize("threshold", ["nan", "inf", "2", "-3", "x"])
def test_an_impossible_threshold_is_a_usage_error(run, people, threshold):
    assert run("verify", "--threshold", threshold, "--", people["a1"], people["a1"]).status == 2


@pytest.mark.parametrize("fmr", ["nan", "0", "1", "-1", "1e-5", "1e-300"])
def test_a_rate_that_no_data_support_is_a_usage_error(run, people, fmr):
    assert run("verify", "--fmr", fmr, "--", people["a1"], people["a1"]).status == 2


def test_a_gallery_of_another_model_is_refused(run, people):
    run("enroll", "alice", people["a1"])
    assert run("identify", "--model", "other", "--", people["a1"]).status == 8
    assert run("verify", "--model", "other", "--as", "alice", "--", people["a1"]).status == 8
    assert run("enroll", "--model", "other", "bob", people["b"]).status == 8


def test_a_search_is_never_looser_than_the_pair(run, people):
    run("enroll", "alice", people["a1"])
    point = json.loads(run("identify", "--json", "--", people["a1"]).out)["operating_point"]
    assert point | {"kind": "fpir", "target": 0.01, "threshold": 0.98, "templates_searched": 1} == point


def test_falling_back_to_the_cpu_is_said_once_on_stderr(run, people, tmp_path, monkeypatch):
    engine = fake_engine(tmp_path)
    engine.fell_back = "running on the CPU: no CUDA libraries"
    monkeypatch.setattr("facecli.cli._options._engine", lambda _flags: engine)
    done = run("verify", "--json", "--", people["a1"], people["a2"])
    assert done.status == 0
    assert done.err == "facecli: running on the CPU: no CUDA libraries\n"
