"""S7 with real weights: an altered model is refused or made again, never run; nothing beyond the file is read."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from facecli import graph_cache
from facecli.config import Settings
from facecli.engine import Engine
from facecli.errors import ModelError, ModelIntegrityError
from facecli.image import write_png
from facecli.onnx_safety import check_graph
from tests.hostile.conftest import assert_refused, start_python

pytestmark = pytest.mark.weights


@pytest.fixture
def cache(weights_cache, tmp_path) -> Path:
    """A copy of the cache that may be damaged."""
    folder = tmp_path / "cache"
    shutil.copytree(weights_cache / "models", folder / "models")
    return folder


def _sface(cache: Path) -> tuple[Path, Path]:
    registry = Engine(Settings(cache=cache)).registry
    manifest = registry.manifest("sface")
    return registry.source_path(manifest), registry.converted_path(manifest)


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x40
    path.chmod(0o600)
    path.write_bytes(data)


def _template(cache: Path) -> np.ndarray:
    engine = Engine(Settings(cache=cache, device="cpu"))
    crop = np.random.default_rng(0).integers(0, 255, (112, 112, 3), np.uint8)
    return engine._embedder().embed([crop])[0]


def test_an_altered_converted_file_is_made_again(cache):
    """A bit of a weight in the middle: onnxruntime would load and run it."""
    truth = _template(cache)
    shutil.rmtree(cache / "graphs")
    _, converted = _sface(cache)
    _flip(converted, converted.stat().st_size // 2)
    assert np.array_equal(_template(cache), truth)


def test_an_altered_optimised_graph_is_made_again(cache):
    truth = _template(cache)
    for file in (path for path in (cache / "graphs").rglob("*") if path.is_file()):
        for position in (0, file.stat().st_size // 2):
            _flip(file, position)
    assert np.array_equal(_template(cache), truth)


def test_an_altered_published_file_is_refused(cache):
    source, converted = _sface(cache)
    converted.unlink()
    _flip(source, source.stat().st_size // 2)
    with pytest.raises(ModelIntegrityError, match="altered"):
        _template(cache)


def test_another_models_files_under_its_name_are_refused(cache):
    """Not even a valid graph of the same user's cache is run in another's place."""
    _, converted = _sface(cache)
    registry = Engine(Settings(cache=cache)).registry
    shutil.copy(registry.converted_path(registry.manifest("yunet")), converted)
    truth_exists = _template(cache)
    assert truth_exists.shape == (128,)  # made again from the published file


def test_an_altered_model_at_a_door_is_one_sentence(cache, tmp_path):
    source, converted = _sface(cache)
    converted.unlink()
    _flip(source, 1000)
    write_png(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    environment = {"FACECLI_CACHE": str(cache), "FACECLI_GALLERY": str(tmp_path / "g"), "HOME": str(tmp_path)}
    words = ["verify", "--json", "--threshold", "0.5", "--", str(tmp_path / "a.png"), str(tmp_path / "a.png")]
    assert_refused(start_python(["-m", "facecli", *words], env=environment), 8, command="verify")


@pytest.mark.parametrize("how", ["copy", "hard link", "symbolic link"])
def test_external_data_is_never_followed(tmp_path, monkeypatch, how):
    """onnxruntime itself refuses links out of the folder, but a hard link would leak the file."""
    from onnx import TensorProto, helper

    (tmp_path / "secret").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    if how == "copy":
        shutil.copy(tmp_path / "secret", tmp_path / "weights.bin")
    else:
        (os.link if how == "hard link" else os.symlink)(tmp_path / "secret", tmp_path / "weights.bin")
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [tensor])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelIntegrityError, match="another file"):
        check_graph(model.SerializeToString())
    (tmp_path / "evil.onnx").write_bytes(model.SerializeToString())
    words = ["models", "add", str(tmp_path / "evil.onnx"), "--name", "evil", "--license", "MIT"]
    environment = {"FACECLI_CACHE": str(tmp_path / "cache"), "FACECLI_MODELS": str(tmp_path / "models")}
    assert_refused(start_python(["-m", "facecli", *words], env=environment), 8)


def test_a_manifest_with_another_sha256_runs_nothing(cache, tmp_path):
    bundled = Path(__file__).parents[2] / "models" / "sface.toml"
    text = bundled.read_text()
    sha256 = next(line for line in text.splitlines() if line.startswith("sha256")).split('"')[1]
    (tmp_path / "models").mkdir()
    changed = text.replace(sha256, sha256[:16] + "0" * 48).replace('name = "sface"', 'name = "mine"', 1)
    (tmp_path / "models" / "mine.toml").write_text(changed)
    _, converted = _sface(cache)
    converted.unlink()  # its name begins like the wrong one's: only the published file could be used
    engine = Engine(Settings(cache=cache, models=tmp_path / "models", model="mine", device="cpu"))
    with pytest.raises(ModelError):
        engine._embedder()


def test_the_key_of_a_graph_holds_the_model(cache):
    _template(cache)
    names = {path.name for path in (cache / "graphs").iterdir()}
    noted = json.loads(_sface(cache)[1].with_suffix(".json").read_text())
    assert any(name.startswith(noted["sha256"][:32]) for name in names)
    assert graph_cache.load(cache / "graphs", graph_cache.GraphKey("0" * 64, "1", "x", "y")) is None


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((300, 300, 3), np.uint8),
        np.full((300, 300, 3), 255, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((1, 10_000, 3), np.uint8),
        np.zeros((10_000, 1, 3), np.uint8),
        np.random.default_rng(1).integers(0, 255, (300, 300, 3), np.uint8),
    ],
    ids=["black", "white", "1 x 1", "10,000 x 1", "1 x 10,000", "noise"],
)
def test_a_picture_of_nothing_shows_no_face_to_the_real_detector(weights_cache, tmp_path, pixels):
    write_png(tmp_path / "x.png", pixels)
    environment = {"FACECLI_CACHE": str(weights_cache), "HOME": str(tmp_path), "FACECLI_GALLERY": str(tmp_path / "g")}
    words = ["verify", "--json", "--threshold", "-1", "--", str(tmp_path / "x.png"), str(tmp_path / "x.png")]
    assert_refused(start_python(["-m", "facecli", *words], env=environment), 3, command="verify")


def test_cuda_that_cant_be_had(weights_cache, tmp_path):
    write_png(tmp_path / "x.png", np.zeros((64, 64, 3), np.uint8))
    environment = {"FACECLI_CACHE": str(weights_cache), "HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    words = ["verify", "--json", "--device", "cuda", "--threshold", "0.5", "--", *[str(tmp_path / "x.png")] * 2]
    done = start_python(["-m", "facecli", *words], env=environment)
    assert_refused(done, 10, command="verify")
    assert "pip install 'facecli[cuda]'" in done.err
