"""Sessions on the real onnxruntime, with networks of a few KB."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import types

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from facecli import runtime
from facecli.errors import ConfigError, DeviceError, ModelIntegrityError, ModelMissingError, SetupError
from facecli.runtime import Device, RuntimeOptions, Session, available_devices, open_session, parse_device


def network() -> bytes:
    """Two convolutions of enough channels that onnxruntime lays them out in blocks, and a matrix product."""
    rng = np.random.default_rng(0)
    node, value = helper.make_node, helper.make_tensor_value_info
    arrays = {
        "w": rng.normal(size=(32, 3, 3, 3)),
        "b": rng.normal(size=32),
        "v": rng.normal(size=(32, 32, 3, 3)),
        "m": rng.normal(size=(32, 10)),
    }
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["r"]),
        node("Conv", ["r", "v"], ["d"], kernel_shape=[3, 3], strides=[2, 2]),
        node("GlobalAveragePool", ["d"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("MatMul", ["f", "m"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value("x", TensorProto.FLOAT, ["batch", 3, 33, "width"])],
        [value("y", TensorProto.FLOAT, ["batch", 10]), value("r", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString(deterministic=True)


NETWORK = network()
SHA256 = hashlib.sha256(NETWORK).hexdigest()
IMAGES = np.random.default_rng(1).normal(size=(5, 3, 33, 41)).astype(np.float32)
CPU = RuntimeOptions(device="cpu")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(NETWORK)
    return path


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(runtime, "_nvidia_devices", lambda: 0)


def reference(images):
    """Compute the network in numpy."""
    arrays = {t.name: numpy_helper.to_array(t) for t in helper.onnx.load_from_string(NETWORK).graph.initializer}
    windows = np.lib.stride_tricks.sliding_window_view
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    c = np.einsum("nchwij,fcij->nfhw", windows(padded, (3, 3), (2, 3)), arrays["w"]) + arrays["b"][:, None, None]
    d = np.einsum("nchwij,fcij->nfhw", windows(np.maximum(c, 0), (3, 3), (2, 3))[:, :, ::2, ::2], arrays["v"])
    return d.mean((2, 3)) @ arrays["m"]


class TestDevices:
    @pytest.mark.parametrize(
        ("text", "device"),
        [
            ("auto", None),
            ("cpu", Device("cpu")),
            ("cuda", Device("cuda", 0)),
            ("cuda:0", Device("cuda", 0)),
            ("cuda:7", Device("cuda", 7)),
        ],
    )
    def test_a_device_is_read_as_it_is_written(self, text, device):
        assert parse_device(text) == device

    @pytest.mark.parametrize(
        "text", ["", "gpu", "CUDA", "cuda:", "cuda:-1", "cuda:1.0", "cuda:x", "cuda:0 ", "cpu:0", "cuda:٣", "cuda:1234"]
    )
    def test_nonsense_is_refused_with_what_to_write(self, text):
        with pytest.raises(ConfigError, match="no device") as caught:
            RuntimeOptions(device=text)
        assert "cuda:N" in caught.value.hint

    def test_a_device_shows_as_it_is_written(self):
        assert [str(Device("cpu")), str(Device("cuda", 1))] == ["cpu", "cuda:1"]

    @pytest.mark.parametrize("threads", [-1, 1025])
    def test_an_impossible_number_of_threads_is_refused(self, threads):
        with pytest.raises(ConfigError, match="threads"):
            RuntimeOptions(threads=threads)

    @pytest.mark.usefixtures("no_gpu")
    def test_auto_on_a_machine_without_a_gpu_never_tries_cuda_and_says_nothing(self, model, monkeypatch):
        monkeypatch.setattr(runtime, "_open_cuda", lambda *_: pytest.fail("CUDA was tried"))
        session = open_session(model, RuntimeOptions())
        assert session.device == Device("cpu")
        assert session.fell_back is None

    def test_auto_that_ends_on_the_cpu_beside_a_gpu_says_so(self, model, monkeypatch):
        def fails(*_):
            raise DeviceError("cuda:0 can't be used: libcublas is missing", hint=runtime.CUDA_HINT)

        monkeypatch.setattr(runtime, "_nvidia_devices", lambda: 1)
        monkeypatch.setattr(runtime, "_open_cuda", fails)
        monkeypatch.setattr(_ort(), "get_available_providers", lambda: ["CUDAExecutionProvider"])
        session = open_session(model, RuntimeOptions())
        assert session.device == Device("cpu")
        assert "libcublas" in session.fell_back
        assert "pip install 'facecli[cuda]'" in session.fell_back

    @pytest.mark.parametrize("device", ["cuda", "cuda:1"])
    def test_cuda_by_name_that_cannot_be_had_is_an_error_that_says_what_to_install(self, model, device):
        if runtime._nvidia_devices():
            pytest.skip("this machine has a GPU")
        with pytest.raises(DeviceError, match=str(parse_device(device))) as caught:
            open_session(model, RuntimeOptions(device=device))
        assert caught.value.hint.endswith("pip install 'facecli[cuda]'")
        assert "\n" not in caught.value.message

    def test_a_session_that_onnxruntime_moved_off_the_gpu_is_an_error_after_its_first_run(self):
        class Moved:
            def get_inputs(self):
                return [type("Input", (), {"name": "x", "shape": ["batch", 3, 8, 8]})]

            def get_outputs(self):
                return []

            def run(self, names, feeds):
                return []

            def get_providers(self):
                return ["CPUExecutionProvider"]

        with pytest.raises(DeviceError, match="moved"):
            Session(Moved(), Device("cuda"), name="moved").run(IMAGES)

    @pytest.mark.usefixtures("no_gpu")
    def test_the_doctor_sees_the_cpu_and_why_there_is_no_gpu(self, model):
        cpu, cuda = available_devices(model)
        assert (cpu.device, cpu.usable, cpu.detail) == (Device("cpu"), True, "")
        assert (cuda.usable, cuda.detail) == (False, "this machine shows no NVIDIA device")

    @pytest.mark.parametrize("hidden", ["", "-1"])
    def test_hidden_gpus_are_not_there(self, hidden, monkeypatch):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert runtime._nvidia_devices() == 0

    @pytest.mark.gpu
    def test_cuda_agrees_with_the_cpu(self, model):
        if not runtime._nvidia_devices():
            pytest.skip("no NVIDIA device on this machine")
        session = open_session(model, RuntimeOptions(device="cuda"))
        outputs = session.run(IMAGES)[0]
        assert session.device == Device("cuda", 0)
        np.testing.assert_allclose(outputs, open_session(model, CPU).run(IMAGES)[0], rtol=1e-3, atol=1e-3)


class TestRunning:
    def test_it_computes_the_network(self, model):
        session = open_session(model, CPU)
        np.testing.assert_allclose(session.run(IMAGES)[0], reference(IMAGES), rtol=1e-4, atol=1e-4)

    def test_it_says_what_goes_in_and_what_comes_out(self, model):
        session = open_session(model, CPU)
        assert session.input_shape == (None, 3, 33, None)
        assert session.output_names == ("y", "r")
        assert [output.shape for output in session.run(IMAGES)] == [(5, 10), (5, 32, 33, 41)]

    def test_results_are_the_same_to_the_last_bit_however_it_runs(self, model, tmp_path):
        """Threads, batch size, cached graph (built, then read): P9 of the targets."""
        expected = open_session(model, CPU).run(IMAGES)
        for threads in (1, 2, 3):
            for cache in (None, tmp_path / "cache", tmp_path / "cache"):
                session = open_session(model, RuntimeOptions("cpu", threads, cache))
                alone = [session.run(image[None]) for image in IMAGES]
                for i, output in enumerate(session.run(IMAGES)):
                    assert np.array_equal(output, expected[i])
                    assert np.array_equal(np.concatenate([outputs[i] for outputs in alone]), expected[i])

    @pytest.mark.parametrize("tensor", [IMAGES[:, :, :32], IMAGES[0], IMAGES.astype(np.float64)])
    def test_a_tensor_that_does_not_fit_is_one_sentence(self, model, tensor):
        with pytest.raises(ModelIntegrityError, match=r"tiny\.onnx can't be run") as caught:
            open_session(model, CPU).run(tensor)
        assert "\n" not in caught.value.message
        assert "ONNXRuntimeError" not in caught.value.message


class TestLoading:
    def test_a_missing_model_says_how_to_get_it(self, tmp_path):
        with pytest.raises(ModelMissingError) as caught:
            open_session(tmp_path / "none.onnx", CPU)
        assert "facecli models fetch" in caught.value.hint

    @pytest.mark.parametrize("data", [b"", b"junk", NETWORK[:1000]], ids=["empty", "junk", "cut"])
    @pytest.mark.parametrize("cached", [False, True])
    def test_a_damaged_model_is_one_sentence(self, tmp_path, data, cached):
        path = tmp_path / "bad.onnx"
        path.write_bytes(data)
        with pytest.raises(ModelIntegrityError, match=r"bad\.onnx can't be loaded") as caught:
            open_session(path, RuntimeOptions("cpu", cache=tmp_path / "cache" if cached else None))
        assert "\n" not in caught.value.message

    def test_a_model_that_is_not_the_one_pinned_never_loads(self, model, tmp_path):
        for cache in (None, tmp_path / "cache"):
            with pytest.raises(ModelIntegrityError, match="altered"):
                open_session(model, RuntimeOptions("cpu", cache=cache), sha256="00" * 32)

    def test_a_folder_is_no_model(self, tmp_path):
        with pytest.raises(ModelIntegrityError, match="can't be read"):
            open_session(tmp_path, CPU)

    @pytest.mark.parametrize("remains", [None, types.ModuleType("onnxruntime")], ids=["missing", "half removed"])
    def test_an_onnxruntime_that_is_broken_says_what_to_install(self, model, monkeypatch, remains):
        """Removing onnxruntime beside onnxruntime-gpu leaves a package that imports and holds nothing."""
        monkeypatch.setitem(sys.modules, "onnxruntime", remains)
        with pytest.raises(SetupError, match="onnxruntime can't be loaded") as caught:
            open_session(model, CPU)
        assert "pip install" in caught.value.hint


class TestCache:
    @pytest.fixture
    def options(self, tmp_path):
        return RuntimeOptions("cpu", cache=tmp_path / "cache")

    def test_the_second_start_optimises_nothing_and_does_not_even_read_the_model(self, model, options, monkeypatch):
        expected = open_session(model, options, sha256=SHA256).run(IMAGES)
        model.unlink()
        monkeypatch.setattr(runtime, "_save_optimised", lambda *_: pytest.fail("the graph was built again"))
        outputs = open_session(model, options, sha256=SHA256).run(IMAGES)
        assert all(np.array_equal(a, b) for a, b in zip(outputs, expected, strict=True))

    def test_a_changed_model_is_not_answered_from_the_old_graph(self, model, options):
        before = open_session(model, options).run(IMAGES)[0]
        graph = helper.onnx.load_from_string(NETWORK)
        graph.graph.initializer[3].CopyFrom(numpy_helper.from_array(np.ones((32, 10), np.float32), "m"))
        model.write_bytes(graph.SerializeToString())
        assert not np.array_equal(open_session(model, options).run(IMAGES)[0], before)
        assert len(list(options.cache.iterdir())) == 2

    def test_a_damaged_graph_is_rebuilt_without_a_word(self, model, options, capfd):
        expected = open_session(model, options).run(IMAGES)[0]
        (entry,) = options.cache.iterdir()
        cached = entry / "graph.onnx"
        intact = cached.read_bytes()
        cached.write_bytes(intact[:100] + b"?" + intact[101:])
        assert np.array_equal(open_session(model, options).run(IMAGES)[0], expected)
        assert cached.read_bytes()[100:101] == intact[100:101]
        assert capfd.readouterr() == ("", "")

    def test_it_works_where_nothing_can_be_written(self, model, tmp_path):
        (tmp_path / "cache").write_bytes(b"not a folder")
        session = open_session(model, RuntimeOptions("cpu", cache=tmp_path / "cache"))
        np.testing.assert_allclose(session.run(IMAGES)[0], reference(IMAGES), rtol=1e-4, atol=1e-4)


class TestSilence:
    def test_nothing_reaches_the_terminal(self, model, tmp_path):
        """In a process of its own, from the import on: good, cached, broken, and CUDA that is not there."""
        code = (
            "import sys; from pathlib import Path\n"
            "from facecli.errors import FacecliError\n"
            "from facecli.runtime import RuntimeOptions, open_session\n"
            "model, cache = Path(sys.argv[1]), Path(sys.argv[2])\n"
            "junk = Path(sys.argv[2] + '.onnx')\n"
            "junk.write_bytes(b'junk')\n"
            "for path, device in [(model, 'cpu'), (model, 'auto'), (junk, 'cpu'), (model, 'cuda')]:\n"
            "    try: open_session(path, RuntimeOptions(device, cache=cache))\n"
            "    except FacecliError: pass\n"
        )
        command = [sys.executable, "-c", code, str(model), str(tmp_path / "cache")]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, capture_output=True, check=False, env=environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")

    def test_only_onnxruntimes_own_lines_are_dropped(self, capfd):
        with runtime._without_chatter():
            os.write(2, b"2026-01-01 [W:onnxruntime:Default, device_discovery.cc:164] GPU device discovery failed\n")
            os.write(2, b"a word of somebody else\n")
        os.write(2, b"later\n")
        assert capfd.readouterr().err == "a word of somebody else\nlater\n"


def _ort():
    return runtime._onnxruntime()
