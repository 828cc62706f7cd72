"""onnxruntime sessions: which device, how many threads, how they start fast, and what becomes of its errors.

Three things onnxruntime does by itself are undone here. It lists CUDA as available where a session then runs on the
CPU, and falls back to the CPU silently when a provider fails; here a session says which device it really runs on, and
a device that was asked for by name and can't be had is an error. It writes to the terminal whenever it pleases; here it
is quiet. It optimises the graph anew at every start; here the result is kept (:mod:`facecli.graph_cache`).

Results are the same to the last bit with any number of threads, with and without a cached graph, and for any batch size
on the CPU (measured with onnxruntime 1.31 on SFace and YuNet; the tests hold it).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from facecli import graph_cache
from facecli.errors import (
    ConfigError,
    DeviceError,
    FacecliError,
    ModelIntegrityError,
    ModelMissingError,
    OutputError,
    SetupError,
)
from facecli.graph_cache import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    import numpy as np
    from numpy.typing import NDArray
    from onnxruntime import InferenceSession, SessionOptions

    from facecli.graph_cache import CachedGraph

CUDA_HINT = "install CUDA's libraries with: pip install 'facecli[cuda]'"
DEFAULT_THREADS = 1
"""Of one network. On two idle cores a second thread saves 3 ms of YuNet's 8 (640 x 640) and 2 to 6 ms of SFace's 13.5,
a few hundredths of a cold start; where another process wants the cores it costs up to half as much again, and many
photographs are faster side by side than one by one on many threads (onnxruntime 1.31)."""

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_SILENT = 4
"""onnxruntime's severity of fatal errors; all else it raises as exceptions anyway."""
_importing = threading.Lock()


@dataclass(frozen=True, slots=True)
class Device:
    """Where a network runs."""

    kind: Literal["cpu", "cuda"]
    index: int = 0

    def __str__(self) -> str:
        return "cpu" if self.kind == "cpu" else f"cuda:{self.index}"


def parse_device(text: str) -> Device | None:
    """Read a device as the user writes it.

    Parameters
    ----------
    text
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns
    -------
    Device or None
        None for ``auto``.

    Raises
    ------
    ConfigError
        It is none of these.
    """
    if text == "auto":
        return None
    if text == "cpu":
        return Device("cpu")
    matched = re.fullmatch(r"cuda(?::([0-9]{1,3}))?", text, re.ASCII)
    if matched is None:
        raise ConfigError(f"there is no device {text!r}", hint="write auto, cpu, cuda or cuda:N, such as cuda:0")
    return Device("cuda", int(matched[1] or 0))


@dataclass(frozen=True, slots=True)
class RuntimeOptions:
    """How sessions run.

    Attributes
    ----------
    device
        ``auto`` (CUDA where it works, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
    threads
        For one network; 0 is :data:`DEFAULT_THREADS`.
    cache
        Folder of optimised graphs; None keeps none.
    """

    device: str = "auto"
    threads: int = 0
    cache: Path | None = None

    def __post_init__(self) -> None:
        parse_device(self.device)
        if not 0 <= self.threads <= 1024:
            raise ConfigError(f"{self.threads} is no number of threads", hint="give 1 to 1024, or 0 for the default")


class Session:
    """A network, loaded and ready.

    Not made directly: see :func:`open_session`. Safe to share between threads.

    Attributes
    ----------
    device
        Where it really runs. For CUDA it is checked again after the first run.
    fell_back
        One sentence where ``auto`` ended on the CPU although this machine shows an NVIDIA GPU and onnxruntime has CUDA,
        else None. To be said once.
    input_shape
        Of the input, ``(batch, 3, height, width)``; None where any size will do.
    output_names
        Of the outputs, in the order of :meth:`run`.
    """

    def __init__(self, session: InferenceSession, device: Device, *, name: str, fell_back: str | None = None) -> None:
        (value,) = session.get_inputs()
        self._session = session
        self._name = name
        self._input: str = value.name
        self._checked = device.kind == "cpu"
        self.device = device
        self.fell_back = fell_back
        self.input_shape: tuple[int | None, ...] = tuple(n if isinstance(n, int) else None for n in value.shape)
        self.output_names: tuple[str, ...] = tuple(output.name for output in session.get_outputs())

    def run(self, tensor: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run the network.

        Parameters
        ----------
        tensor
            float32 ``(batch, 3, height, width)``.

        Returns
        -------
        list of NDArray
            The outputs in the graph's order, each beginning with the batch axis. They are not checked for NaN.

        Raises
        ------
        DeviceError
            The GPU failed, or onnxruntime left it.
        ModelIntegrityError
            The network does not take such a tensor, or failed on it.
        """
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: tensor})
        except _runtime_errors() as error:
            raise self._failure(error) from error
        if not self._checked:
            _check_provider(self._session, self.device)
            self._checked = True
        return outputs

    def _failure(self, error: Exception) -> FacecliError:
        """Put onnxruntime's words about a failed run into one sentence."""
        if self.device.kind == "cuda":
            return DeviceError(f"{self.device} failed while running {self._name}: {_sentence(error)}", hint=CUDA_HINT)
        return ModelIntegrityError(f"the model {self._name} can't be run: {_sentence(error)}")


def open_session(path: Path, options: RuntimeOptions, *, sha256: str | None = None) -> Session:
    """Load a converted model on the device asked for.

    ``auto`` costs nothing where no NVIDIA device is to be seen: CUDA is then not tried, and ``fell_back`` stays None,
    because onnxruntime's CUDA build is a plain dependency of facecli and says nothing about the machine.

    Parameters
    ----------
    path
        An ONNX file that :func:`facecli.convert.convert` has made.
    options
        Device, threads, cache.
    sha256
        Of the file, in hexadecimal, where the caller knows it: what runs is then bound to it. Without it the file is
        taken as it is.

    Returns
    -------
    Session
        Ready to run.

    Raises
    ------
    DeviceError
        CUDA was asked for by name and can't be had.
    ModelMissingError, ModelIntegrityError
        The file is not there, is not the one with this digest, or onnxruntime can't load it.
    SetupError
        onnxruntime is missing or broken.
    """
    model = _Model(path, sha256)
    device = parse_device(options.device)
    if device is None:
        return _open_automatic(model, options)
    return _open_cpu(model, options) if device.kind == "cpu" else _open_cuda(model, device, options)


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """What became of trying a device, for ``facecli doctor``.

    Attributes
    ----------
    device
        The device.
    usable
        Whether a network ran on it.
    detail
        Why not; empty where it is usable.
    """

    device: Device
    usable: bool
    detail: str = ""


def available_devices(path: Path) -> list[DeviceReport]:
    """Try the CPU and every CUDA device that this machine shows, by loading a network on each.

    Parameters
    ----------
    path
        A converted model, such as the detector's.

    Returns
    -------
    list of DeviceReport
        The CPU first. Where no NVIDIA device is to be seen, ``cuda:0`` is told with the reason.
    """
    devices = [Device("cpu"), *(Device("cuda", index) for index in range(max(1, _nvidia_devices())))]
    return [_tried(path, device) for device in devices]


def _tried(path: Path, device: Device) -> DeviceReport:
    """Load a model on one device."""
    if device.kind == "cuda" and not _nvidia_devices():
        return DeviceReport(device, usable=False, detail="this machine shows no NVIDIA device")
    try:
        open_session(path, RuntimeOptions(device=str(device)))
    except FacecliError as error:
        return DeviceReport(device, usable=False, detail=error.message)
    return DeviceReport(device, usable=True)


class _Model:
    """A model's file, read and digested only when something needs it."""

    def __init__(self, path: Path, sha256: str | None) -> None:
        self.path = path
        self.name = path.name
        self._expected = sha256

    @cached_property
    def data(self) -> bytes:
        """The bytes, verified where the digest is known."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError as error:
            raise ModelMissingError(f"there is no model {self.path}", hint="fetch it: facecli models fetch") from error
        except OSError as error:
            raise ModelIntegrityError(f"the model {self.path} can't be read: {error.strerror}") from error
        if self._expected is not None and hashlib.sha256(data).hexdigest() != self._expected:
            raise ModelIntegrityError(f"the model {self.path} was altered: its SHA-256 is another")
        return data

    @cached_property
    def sha256(self) -> str:
        """The digest: what the file has, or must have."""
        return self._expected or hashlib.sha256(self.data).hexdigest()


def _open_automatic(model: _Model, options: RuntimeOptions) -> Session:
    """Take CUDA where it works."""
    if not _nvidia_devices() or _CUDA not in _onnxruntime().get_available_providers():
        return _open_cpu(model, options)
    try:
        return _open_cuda(model, Device("cuda"), options)
    except DeviceError as error:
        return _open_cpu(model, options, fell_back=f"running on the CPU: {error.message}; {error.hint}")


def _open_cuda(model: _Model, device: Device, options: RuntimeOptions) -> Session:
    """Open a session that runs on CUDA or not at all.

    Its optimised graph is not cached: whether a saved one keeps what CUDA's optimisers did has not been measured.
    """
    runtime = _onnxruntime()
    if _CUDA not in runtime.get_available_providers():
        raise DeviceError(f"{device} can't be used: the onnxruntime installed here is a CPU build", hint=CUDA_HINT)
    # It prints what it can't load to standard output, which belongs to data; the failure itself shows below.
    vars(runtime)["print"] = lambda *_, **__: None
    runtime.preload_dlls()
    settings = _settings(options)
    settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    provider = (_CUDA, {"device_id": str(device.index), "use_tf32": "0"})
    data = model.data
    try:
        session = runtime.InferenceSession(data, settings, providers=[provider], enable_fallback=0)
    except _runtime_errors() as error:
        raise DeviceError(f"{device} can't be used: {_cuda_reason(error)}", hint=CUDA_HINT) from error
    session.disable_fallback()
    _check_provider(session, device)
    return Session(session, device, name=model.name)


def _open_cpu(model: _Model, options: RuntimeOptions, fell_back: str | None = None) -> Session:
    """Open a session on the CPU, from the cache where there is one."""
    try:
        session = _cached(model, options) if options.cache else _create(model.data, options)
    except _runtime_errors() as error:
        raise ModelIntegrityError(f"the model {model.path} can't be loaded: {_sentence(error)}") from error
    return Session(session, Device("cpu"), name=model.name, fell_back=fell_back)


def _cached(model: _Model, options: RuntimeOptions) -> InferenceSession:
    """Load the optimised graph, or optimise and keep it for the next time."""
    if options.cache is None:
        return _create(model.data, options)
    key = graph_cache.GraphKey(model.sha256, _onnxruntime().__version__, _CPU, graph_cache.machine_identity())
    cached = graph_cache.load(options.cache, key)
    session = None if cached is None else _create_verified(cached, options)
    if session is None:
        session = _create(model.data, options)
        graph_cache.build(options.cache, key, lambda path: _save_optimised(model.data, options, path))
    return session


def _create_verified(cached: CachedGraph, options: RuntimeOptions) -> InferenceSession | None:
    """Create a session from a cached graph while its weights are verified on another core; None if either fails."""
    with ThreadPoolExecutor(1) as pool:
        verifying = pool.submit(cached.has_its_weights)
        with contextlib.suppress(*_runtime_errors()):
            session = _create(str(cached.path), options, optimise=False)
            if verifying.result():
                return session
    return None


def _save_optimised(data: bytes, options: RuntimeOptions, path: Path) -> None:
    """Let onnxruntime write the optimised graph; a disk without room is the cache's concern alone."""
    try:
        _create(data, options, save_as=path)
    except _runtime_errors() as error:
        raise OutputError(f"can't write {path}: {_sentence(error)}") from error


def _create(
    model: bytes | str, options: RuntimeOptions, *, optimise: bool = True, save_as: Path | None = None
) -> InferenceSession:
    """Create a CPU session from a graph's bytes or, for one of our own making, from its path.

    Bytes are safe to load, since conversion refuses external data; only the cache's graphs have any.
    """
    runtime = _onnxruntime()
    settings = _settings(options)
    if not optimise:
        settings.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    if save_as is not None:
        settings.optimized_model_filepath = str(save_as)
        settings.add_session_config_entry("session.optimized_model_external_initializers_file_name", WEIGHTS)
        settings.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
    return runtime.InferenceSession(model, settings, providers=[_CPU])


def _settings(options: RuntimeOptions) -> SessionOptions:
    """Return what CPU and CUDA sessions have in common."""
    settings = _onnxruntime().SessionOptions()
    settings.intra_op_num_threads = options.threads or DEFAULT_THREADS
    settings.inter_op_num_threads = 1
    settings.log_severity_level = _SILENT
    # Threads that spin between two photographs burn a core for nothing.
    settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return settings


def _check_provider(session: InferenceSession, device: Device) -> None:
    """Fail where onnxruntime has quietly moved a session off its GPU."""
    if session.get_providers()[:1] != [_CUDA]:
        raise DeviceError(f"{device} can't be used: onnxruntime moved the network to the CPU", hint=CUDA_HINT)


def _nvidia_devices() -> int:
    """Count the NVIDIA devices that this machine shows, without loading anything; 0 where they are hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in {"", "-1", "none", "NoDevFiles"}:
        return 0
    nodes = [node for node in Path("/dev").glob("nvidia[0-9]*") if node.name[6:].isdigit()]
    # Windows, and Linux inside Windows, show no device files; there the driver's library is the sign.
    elsewhere = (Path("/usr/lib/wsl/lib/libcuda.so.1"), Path("C:/Windows/System32/nvcuda.dll"))
    return len(nodes) or int(any(path.exists() for path in elsewhere))


def _cuda_reason(error: Exception) -> str:
    """Say why CUDA failed; onnxruntime names the missing library in its log alone."""
    text = _sentence(error)
    if "fallback to CPU EP has been explicitly disabled" in text:
        return "CUDA's libraries or a working NVIDIA device are missing"
    return text


def _sentence(error: Exception) -> str:
    """Take the words out of "[ONNXRuntimeError] : 2 : INVALID_ARGUMENT : Words"."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error))
    return " ".join(text.split())[:300].rstrip(". ")


def _runtime_errors() -> tuple[type[Exception], ...]:
    """Return all that onnxruntime raises; its classes have no base of their own."""
    _onnxruntime()
    from onnxruntime.capi import onnxruntime_pybind11_state as native

    own = tuple(value for value in vars(native).values() if isinstance(value, type) and issubclass(value, Exception))
    return (*own, RuntimeError)


def _onnxruntime() -> ModuleType:
    """Import onnxruntime, without a word on the terminal."""
    from importlib import import_module

    try:
        with _importing:
            quiet = contextlib.nullcontext() if "onnxruntime" in sys.modules else _without_chatter()
            with quiet:
                runtime = import_module("onnxruntime")
            runtime.set_default_logger_severity(_SILENT)
    except (ImportError, AttributeError) as error:
        raise SetupError(
            f"onnxruntime can't be loaded: {error}",
            hint="install it again: pip install --force-reinstall onnxruntime-gpu (or onnxruntime without a GPU)",
        ) from error
    return runtime


@contextlib.contextmanager
def _without_chatter() -> Iterator[None]:
    """Drop the lines that onnxruntime's native code writes to standard error meanwhile; any other line is passed on.

    While it is imported it looks for GPUs, and warns about each display adapter it does not know before its log can be
    configured.
    """
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            said.seek(0)
            rest = b"".join(line for line in said if b":onnxruntime:" not in line)
            if rest:
                os.write(2, rest)
