"""Models of the user's own: described from the file, and refused where they aren't safe or don't fit."""

from __future__ import annotations

import hashlib

import pytest
from onnx import TensorProto, helper, load_model_from_string
from test_registry import graph

from facecli.errors import ConfigError, LicenceError, ModelIntegrityError, ModelMissingError, UsageError
from facecli.manifest import bundled_folder, read_manifest
from facecli.model_add import Description, add_known, add_manifest, add_onnx
from facecli.registry import Registry

MINE = Description("mine", "MIT", commercial_use=True)


@pytest.fixture
def models(tmp_path):
    return Registry(tmp_path / "cache", tmp_path / "user", convert=lambda _recipe, source: source)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my net.onnx"
    path.write_bytes(graph(dimension=7))
    return path


def test_an_embedder_is_described_from_its_file(models, file):
    manifest = add_onnx(models, file, MINE)
    assert models.manifest("mine") == manifest
    assert (manifest.dimension, manifest.file.name, manifest.conversion) == (7, "mine.onnx", "none-1")
    assert manifest.file.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert manifest.input.points == read_manifest(bundled_folder() / "sface.toml").input.points
    assert models.state(manifest) == "source"
    assert models.converted("mine").read_bytes() == file.read_bytes()
    assert manifest.pin().dimension == 7
    assert manifest in models.all()


def test_what_is_said_of_pixels_is_kept(models, file):
    said = Description("mine", "MIT", commercial_use=True, colour="BGR", mean=(1.0, 2.0, 3.0), scale=(0.1, 0.2, 0.3))
    spec = add_onnx(models, file, said).input
    assert (spec.colour, spec.mean, spec.scale) == ("BGR", (1.0, 2.0, 3.0), (0.1, 0.2, 0.3))


def test_adding_is_no_acceptance_of_a_licence(models, file):
    add_onnx(models, file, Description("mine", "Research-Only", commercial_use=False))
    with pytest.raises(LicenceError):
        models.converted("mine")


def test_a_lost_file_of_ones_own_can_not_be_fetched(models, file):
    manifest = add_onnx(models, file, MINE)
    models.source_path(manifest).unlink()
    with pytest.raises(ModelMissingError, match="names no place to fetch it from"):
        models.fetch("mine")


@pytest.mark.parametrize("name", ["sface", "mine"])
def test_a_name_is_given_once(models, file, name):
    if name == "mine":
        add_onnx(models, file, MINE)
    with pytest.raises(UsageError, match=f"a model named '{name}' already"):
        add_onnx(models, file, Description(name, "MIT", commercial_use=True))


@pytest.mark.parametrize("name", ["", "../x", "Mine", "a b", "x" * 65, "--help", "ä"])
def test_an_unfit_name_is_refused(models, file, name):
    with pytest.raises(UsageError, match="can't be a model's name"):
        add_onnx(models, file, Description(name, "MIT", commercial_use=True))


def changed(**sizes) -> bytes:
    """Return the tiny embedder with other shapes at its face."""
    model = load_model_from_string(graph())
    value = helper.make_tensor_value_info
    kind = sizes.get("kind", TensorProto.FLOAT)
    if "input" in sizes:
        model.graph.input[0].CopyFrom(value("x", kind, sizes["input"]))
    if "output" in sizes:
        model.graph.output[0].CopyFrom(value("y", TensorProto.FLOAT, sizes["output"]))
    if sizes.get("second"):
        model.graph.output.append(value("flat", TensorProto.FLOAT, ["n", 3]))
    if sizes.get("domain"):
        model.graph.node[0].domain = sizes["domain"]
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"", "my net.onnx can't be added: the file is not an ONNX model"),
        (b"\x80\x04pickle", "can't be added: the file is not an ONNX model"),
        (changed(input=["n", 3, 160, 160]), "no embedder of ArcFace's kind"),
        (changed(input=["n", 112, 112, 3]), "no embedder of ArcFace's kind"),
        (changed(input=["n", 3, 112, 112], kind=TensorProto.FLOAT16), "no embedder of ArcFace's kind"),
        (changed(second=True), "no embedder of ArcFace's kind"),
        (changed(output=["n", "dimension"]), "doesn't say how long its templates are"),
        (changed(output=[4]), "doesn't say how long its templates are"),
        (changed(domain="evil.example"), "operators of the domain 'evil.example'"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_left(models, file, data, complaint):
    file.write_bytes(data)
    with pytest.raises(ModelIntegrityError, match=complaint.replace("(", r"\(")):
        add_onnx(models, file, MINE)
    assert not models.cache.exists()
    assert not models.user_manifests.exists()


def written(folder, data: bytes, *, sources: str = ""):
    """Write a manifest for ``data`` as a user would."""
    text = (bundled_folder() / "adaface-ir101.toml").read_text()
    manifest = read_manifest(bundled_folder() / "adaface-ir101.toml")
    text = text.replace('name = "adaface-ir101"', 'name = "mine"').replace("dimension = 512", "dimension = 7")
    text = text.replace("commercial_use = false", "commercial_use = true")
    text = text.replace(manifest.file.sha256, hashlib.sha256(data).hexdigest())
    text = text.replace(str(manifest.file.size), str(len(data)))
    start, end = text.index("[[sources]]"), text.index("[input]")
    path = folder / "mine.toml"
    path.write_text(text[:start] + sources + text[end:])
    return path


def test_a_manifest_is_taken_over_with_its_file(models, file, tmp_path):
    manifest = add_manifest(models, written(tmp_path, file.read_bytes()), file)
    assert models.manifest("mine") == manifest
    assert models.converted("mine").read_bytes() == file.read_bytes()


def test_a_manifest_with_sources_needs_no_file(models, tmp_path):
    sources = '[[sources]]\nkind = "url"\nurl = "https://example.org/x"\n'
    manifest = add_manifest(models, written(tmp_path, b"elsewhere", sources=sources))
    assert models.state(manifest) == "absent"


def test_a_manifest_without_sources_needs_its_file(models, tmp_path):
    with pytest.raises(UsageError, match="names no place to fetch"):
        add_manifest(models, written(tmp_path, b"elsewhere"))


def test_another_file_than_the_manifest_names_is_refused(models, file, tmp_path):
    with pytest.raises(ModelIntegrityError, match="its sha256 differs"):
        add_manifest(models, written(tmp_path, b"another"), file)
    assert not models.cache.exists()


def test_an_unsafe_file_is_refused_though_its_sha256_is_right(models, file, tmp_path):
    file.write_bytes(changed(domain="evil.example"))
    with pytest.raises(ModelIntegrityError, match=r"my net\.onnx can't be added"):
        add_manifest(models, written(tmp_path, file.read_bytes()), file)


def test_a_wrong_manifest_is_refused(models, file, tmp_path):
    path = written(tmp_path, file.read_bytes())
    path.write_text(path.read_text() + "surprise = 1\n")
    with pytest.raises(ConfigError, match="surprise"):
        add_manifest(models, path, file)


def test_the_published_file_of_a_known_model_may_be_brought(models, file, tmp_path):
    assert add_known(models, file) is None
    sources = '[[sources]]\nkind = "url"\nurl = "https://example.org/x"\n'
    manifest = add_manifest(models, written(tmp_path, file.read_bytes(), sources=sources))
    assert models.state(manifest) == "absent"
    assert add_known(models, file) == manifest
    assert models.fetch("mine").read_bytes() == file.read_bytes()


def test_a_file_that_can_not_be_read_is_a_sentence(models, tmp_path):
    with pytest.raises(UsageError, match="can't read"):
        add_onnx(models, tmp_path / "none.onnx", MINE)
    with pytest.raises(UsageError, match="can't read"):
        add_known(models, tmp_path)
