"""A fused embedder's cosine is the weighted sum of its parts', and its pin is made of theirs."""

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loopback import serving
from test_registry import graph

from facecli.embed import FusedEmbedder, OnnxEmbedder
from facecli.errors import ConfigError, ModelError, ModelIntegrityError, ModelMissingError
from facecli.known_answer import check
from facecli.manifest import FusedManifest, Part, bundled_folder, manifests, read_manifest, read_model
from facecli.manifest_reader import toml_of
from facecli.match import checked, score
from facecli.pipeline import Pipeline
from facecli.registry import Registry
from facecli.runtime import Device
from facecli.testing import FAKE_INPUT, FakeDetector, drawn_photo

WEIGHTS = (0.3, 0.7)


class Blocks:
    """Looks at a crop through a fixed random projection of its mean colours in a grid."""

    device = Device("cpu")

    def __init__(self, manifest, seed):
        self.manifest, self.seed = manifest, seed
        self.pin, self.inputs = manifest.pin(), manifest.inputs

    def embed(self, *crops):
        (faces,) = crops
        side = self.inputs[0].width_px
        assert all(crop.shape == (side, side, 3) for crop in faces)
        small = np.stack([crop[:: side // 8, :: side // 8].astype(float).ravel()[:192] for crop in faces]) - 127
        raw = small @ np.random.default_rng(self.seed).standard_normal((192, self.manifest.dimension))
        return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def manifest(name, side_px, dimension):
    points = tuple((x * side_px / 112, y * side_px / 112) for x, y in FAKE_INPUT.points)
    spec = replace(FAKE_INPUT, width_px=side_px, height_px=side_px, points=points)
    return replace(read_manifest(bundled_folder() / "sface.toml"), name=name, input=spec, dimension=dimension)


def fused_manifest(weights=WEIGHTS):
    models = (manifest("small", 112, 128), manifest("large", 160, 64))
    parts = tuple(Part(model, weight) for model, weight in zip(models, weights, strict=True))
    return FusedManifest("both", "both", "", parts, None, None)


def fused_embedder(weights=WEIGHTS):
    both = fused_manifest(weights)
    return FusedEmbedder([Blocks(model, seed) for seed, model in enumerate(both.members)], both)


@given(st.floats(0.01, 0.99))
def test_the_cosine_is_the_weighted_sum_of_the_cosines(weight):
    fused = fused_embedder((weight, 1 - weight))
    photos = [drawn_photo(person, noise=5, name=f"{person}") for person in range(4)]
    both = [sample.vector for sample in Pipeline(FakeDetector(), fused).embed(prepared(fused, photos))]
    alone = [
        [sample.vector for sample in Pipeline(FakeDetector(), part).embed(prepared(part, photos))]
        for part in fused._parts
    ]
    checked(np.stack(both), 192)
    for (a, b), *parts in zip(pairwise(both), *map(pairwise, alone), strict=True):
        wanted = sum(w * score(x, y) for w, (x, y) in zip((weight, 1 - weight), parts, strict=True))
        assert score(a, b) == pytest.approx(wanted, abs=1e-6)


def prepared(embedder, photos):
    pipeline = Pipeline(FakeDetector(), embedder)
    return [pipeline.prepare(photo) for photo in photos]


def test_each_part_gets_its_own_crop_and_the_first_is_shown():
    (face,) = prepared(fused_embedder(), [drawn_photo(1)])
    assert [crop.shape for crop in face.crops] == [(112, 112, 3), (160, 160, 3)]
    assert face.crop is face.crops[0]


def test_no_faces_make_no_templates():
    nobody = SimpleEmpty()
    both = fused_manifest()
    assert FusedEmbedder([nobody, nobody], both).embed([], []).shape == (0, 6)


class SimpleEmpty:
    def embed(self, *_crops):
        return np.empty((0, 3), np.float32)


def test_a_part_that_fails_is_not_made_up_for_by_the_others():
    class Broken(Blocks):
        def embed(self, *_crops):
            raise ModelIntegrityError("no usable vector")

    both = fused_manifest()
    fused = FusedEmbedder([Blocks(both.members[0], 0), Broken(both.members[1], 1)], both)
    with pytest.raises(ModelIntegrityError, match="no usable vector"):
        Pipeline(FakeDetector(), fused).sample(drawn_photo(1))


def test_crops_for_another_number_of_parts_are_refused():
    face = np.zeros((112, 112, 3), np.uint8)
    face[::2] = 255
    with pytest.raises(ValueError, match="shorter"):
        fused_embedder().embed([face])


def test_the_pin_differs_wherever_a_part_a_weight_or_the_order_does():
    both = fused_manifest()
    first, second = both.parts
    other_file = replace(first.model, file=replace(first.model.file, sha256="0" * 64))
    other_input = replace(first.model, input=replace(first.model.input, colour="RGB"))
    pins = {
        both.pin(),
        fused_manifest((0.4, 0.6)).pin(),
        replace(both, parts=(second, first)).pin(),
        replace(both, parts=(Part(other_file, 0.3), second)).pin(),
        replace(both, parts=(Part(replace(first.model, conversion="none-2"), 0.3), second)).pin(),
        replace(both, parts=(Part(other_input, 0.3), second)).pin(),
    }
    assert len(pins) == 6
    assert both.pin() == fused_manifest().pin()
    assert both.pin().dimension == 192


def test_the_licence_is_all_of_the_parts():
    both = fused_manifest()
    closed = replace(both.members[1], licence=replace(both.members[1].licence, name="Mine", commercial_use=False))
    mixed = replace(both, parts=(both.parts[0], Part(closed, 0.7)))
    assert both.licence.commercial_use
    assert both.licence.name == "Apache-2.0"
    assert mixed.licence.name == "Apache-2.0 AND Mine"
    assert not mixed.licence.commercial_use


def test_the_bundled_one_is_made_of_the_two_free_models():
    fused = manifests()["fused"]
    assert [part.model for part in fused.parts] == [manifests()["sface"], manifests()["dlib"]]
    assert (fused.dimension, fused.licence.commercial_use) == (256, True)
    assert sum(part.weight for part in fused.parts) == pytest.approx(1)


PARTS = '[[parts]]\nmodel = "sface"\nweight = 0.5\n[[parts]]\nmodel = "dlib"\nweight = 0.5\n'


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (PARTS.replace("0.5", "0.4"), "`parts` must have weights that sum to 1"),
        (PARTS.replace("dlib", "sface"), "`parts` must name at least two different models"),
        ('[[parts]]\nmodel = "sface"\nweight = 0.999\n', "`parts` must name at least two different models"),
        (PARTS.replace("dlib", "yunet"), r"`parts\[1\].model` must be an embedder"),
        (PARTS.replace("weight = 0.5", "weight = 0"), r"`parts\[0\].weight` must be a number"),
        (PARTS.replace("dlib", "nobody"), r"can't read the model manifest .*nobody\.toml"),
        (PARTS.replace("dlib", "fused"), r"`task` is missing"),
        (PARTS.replace("weight", "wait"), r"`parts\[0\].weight` is missing"),
        (f"{PARTS}more = 1\n", r"`parts\[1\].more` is not a key"),
    ],
)
def test_a_wrong_manifest_names_the_key(tmp_path, parts, message):
    path = tmp_path / "mine.toml"
    path.write_text(f'schema = 1\nname = "mine"\ntitle = "mine"\n{parts}')
    with pytest.raises(ConfigError, match=message):
        read_model(path)


def published(home: Path, address: str, name: str, data: bytes) -> None:
    model = manifest(name, 112, 4)
    digest = hashlib.sha256(data).hexdigest()
    model = replace(
        model, file=replace(model.file, name=f"{name}.onnx", sha256=digest, size=len(data)), conversion="none-1"
    )
    text = f'{toml_of(model)}\n[[sources]]\nkind = "url"\nurl = "{address}/{name}.onnx"\n'
    (home / f"{name}.toml").write_text(text)


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A registry with two small models and their fusion, and a server that has the parts."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    user = tmp_path / "user"
    user.mkdir()
    files = {"a.onnx": b"published a", "b.onnx": b"published b"}
    with serving(**files) as (address, _):
        for name, data in files.items():
            published(user, address, name.removesuffix(".onnx"), data)
        parts = PARTS.replace("sface", "a").replace("dlib", "b")
        (user / "both.toml").write_text(f'schema = 1\nname = "both"\ntitle = "a and b"\n{parts}')
        yield Registry(tmp_path / "cache", user, convert=lambda _recipe, _source: graph(), may_fetch=True)


def test_making_it_ready_fetches_and_converts_its_parts(registry):
    both = registry.model("both")
    assert registry.state(both) == "absent"
    registry.fetch("a")
    assert registry.state(both) == "absent", "it is as its worst part"
    registry.converted("a")
    registry.fetch("b")
    assert registry.state(both) == "source"
    assert registry.make_ready("both") == both
    assert registry.state(both) == registry.check(both) == "ready"
    registry.source_path(both.members[1]).write_bytes(b"published x")
    assert registry.state(both) == "ready"
    assert registry.check(both) == "altered"


def test_it_has_no_file_of_its_own(registry):
    with pytest.raises(ModelError, match="both has no file of its own: it is made of a and b"):
        registry.fetch("both")


def test_at_a_door_the_missing_part_is_named(registry):
    with pytest.raises(ModelMissingError, match="the model a is not on this machine"):
        replace(registry, may_fetch=False).make_ready("both")


@pytest.fixture(scope="module")
def real(weights_cache):
    """Return the bundled fused embedder."""
    from facecli.config import Settings
    from facecli.engine import Engine

    engine = Engine(Settings(cache=weights_cache, model="fused", device="cpu", threads=1))
    if engine.registry.state(engine.manifest) != "ready":
        pytest.skip("dlib is not in the cache (facecli models fetch fused)")
    return engine


@pytest.mark.weights
def test_the_answer_in_the_manifest_holds(real):
    known = real.manifest.known_answer
    assert check(real.pipeline.embedder, known) <= known.tolerance / 10


@pytest.mark.weights
def test_the_answer_of_its_mirrored_part_holds_too(real):
    dlib = real.registry.manifest("dlib")
    assert check(OnnxEmbedder(real.session(dlib), dlib), dlib.known_answer) <= dlib.known_answer.tolerance / 10


@pytest.mark.weights
def test_the_real_cosine_is_the_weighted_sum_too(real):
    fused = real.pipeline.embedder
    rng = np.random.default_rng(1)
    crops = [
        [rng.integers(0, 256, (spec.height_px, spec.width_px, 3), dtype=np.uint8) for _ in range(2)]
        for spec in fused.inputs
    ]
    a, b = fused.embed(*crops)
    alone = [
        part.weight * score(*OnnxEmbedder(real.session(part.model), part.model).embed(faces))
        for part, faces in zip(real.manifest.parts, crops, strict=True)
    ]
    assert score(a, b) == pytest.approx(sum(alone), abs=1e-6)
    assert fused.pin.name == "fused"
