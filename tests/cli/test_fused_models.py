"""A fused model is listed, told and fetched as the parts that it is made of."""

import json

from facecli.registry import Registry


def test_it_is_told_by_its_parts(run):
    told = run("models", "info", "fused").out
    assert "part           sface, weight 0.45: SFace" in told
    assert "part           dlib, weight 0.55: dlib" in told
    assert "licence        Apache-2.0 AND CC0-1.0, free for commercial use" in told
    assert "sha256" not in told


def test_its_data_name_the_parts_and_no_file(run):
    data = json.loads(run("models", "info", "fused", "--json").out)
    assert data["parts"] == [{"model": "sface", "weight": 0.45}, {"model": "dlib", "weight": 0.55}]
    assert (data["sha256"], data["size"], data["dimension"]) == (None, 10667852 + 22466066, 256)
    assert data["model"]["conversion"] == "concatenated-1"
    assert "sources" not in data


def test_the_list_has_it_with_the_state_of_its_parts(run):
    rows = [json.loads(line) for line in run("models", "list", "--json").out.splitlines()]
    (fused,) = [row for row in rows if row["name"] == "fused"]
    assert (fused["state"], fused["task"], fused["commercial_use"]) == ("absent", "embed", True)


def test_fetching_it_fetches_each_part_once(run, monkeypatch):
    asked = []
    monkeypatch.setattr(Registry, "fetch", lambda _, name: asked.append(name))
    monkeypatch.setattr(Registry, "converted", lambda _, name: asked.append(f"{name} converted"))
    done = run("models", "fetch", "fused")
    assert done.status == 0, done.err
    assert asked == ["sface", "sface converted", "dlib", "dlib converted"]
    assert "fused: ready (Apache-2.0 AND CC0-1.0, 33.1 MB)" in done.err + done.out


def test_offline_the_part_that_is_missing_is_named(run):
    done = run("models", "fetch", "fused", "--offline")
    assert done.status == 8
    assert "the model sface is not on this machine, and --offline forbids fetching it" in done.err
