"""Models on disk: checked, locked, mended, and never fetched behind anyone's back."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import resource
import shutil
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from loopback import closed_address, serving
from onnx import TensorProto, helper, numpy_helper

from facecli import registry as registry_module
from facecli.errors import ConfigError, FacecliError, LicenceError, ModelIntegrityError, ModelMissingError, OutputError
from facecli.files import sha256_of
from facecli.manifest import bundled_folder, read_manifest
from facecli.manifest_reader import toml_of
from facecli.registry import Registry

# Not "fork": the test's server is a thread, and Python rightly warns of forking beside one.
PROCESSES = multiprocessing.get_context("spawn")


def graph(dimension: int = 4, bias: float = 0.0) -> bytes:
    """Return a small embedder of ArcFace's kind: the mean of each channel, times a matrix."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["y"]),
    ]
    weights = [
        numpy_helper.from_array(np.ones((3, dimension), np.float32), "w"),
        numpy_helper.from_array(np.full(dimension, bias, np.float32), "b"),
    ]
    body = helper.make_graph(
        nodes,
        "tiny",
        [value("x", TensorProto.FLOAT, ["n", 3, 112, 112])],
        [value("y", TensorProto.FLOAT, ["n", dimension])],
        weights,
    )
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 21)]).SerializeToString()


PUBLISHED = graph()
CONVERTED = graph(bias=1.0)


def convert(recipe: str, source: bytes) -> bytes:
    assert (recipe, source) == ("none-1", PUBLISHED)
    return CONVERTED


def network_is_forbidden(*_arguments, **_options):
    raise AssertionError("the network was touched")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


def described(home: Path, address: str, *, free: bool = True) -> None:
    """Put a manifest for the tiny model into the user's folder."""
    manifest = read_manifest(bundled_folder() / "sface.toml")
    manifest = replace(
        manifest,
        name="tiny",
        licence=replace(manifest.licence, commercial_use=free, name="Some-Licence", note="Ask the author."),
        file=replace(
            manifest.file, name="tiny.onnx", sha256=hashlib.sha256(PUBLISHED).hexdigest(), size=len(PUBLISHED)
        ),
        conversion="none-1",
        dimension=4,
    )
    folder = home / "user"
    folder.mkdir(exist_ok=True)
    text = f'{toml_of(manifest)}\n[[sources]]\nkind = "url"\nurl = "{address}/tiny.onnx"\n'
    (folder / "tiny.toml").write_text(text)


def registry(home: Path, **options) -> Registry:
    return Registry(home / "cache", home / "user", **{"convert": convert, "may_fetch": True, **options})


@pytest.fixture
def fetched(home):
    """A registry whose model has been fetched and converted; nobody answers at its address any more."""
    with serving(**{"tiny.onnx": PUBLISHED}) as (address, _):
        described(home, address)
        registry(home).converted("tiny")
    return registry(home, may_fetch=False)


def test_a_model_is_fetched_converted_and_then_simply_there(home):
    calls = []
    with serving(**{"tiny.onnx": PUBLISHED}) as (address, behaviour):
        described(home, address)
        models = registry(home, convert=lambda *call: calls.append(call) or convert(*call))
        manifest = models.manifest("tiny")
        assert models.state(manifest) == "absent"
        assert models.fetch("tiny").read_bytes() == PUBLISHED
        assert models.state(manifest) == "source"
        path = models.converted("tiny")
        assert path.read_bytes() == CONVERTED
        assert models.state(manifest) == models.check(manifest) == "ready"
        assert models.converted("tiny") == path
        assert models.fetch("tiny").read_bytes() == PUBLISHED
    assert len(calls) == 1
    assert len(behaviour.asked) == 1
    prefix = manifest.file.sha256[:16]
    names = {f"{prefix}-tiny.onnx", f"{prefix}-none-1.onnx", f"{prefix}-none-1.json", f"{prefix}.lock"}
    assert {entry.name for entry in models.folder.iterdir()} == names
    assert all(entry.stat().st_mode & 0o077 == 0 for entry in [models.folder, *models.folder.iterdir()])


def test_prepared_names_the_sha256_without_reading_the_file(fetched, monkeypatch):
    monkeypatch.setattr(registry_module, "sha256_of", network_is_forbidden)
    prepared = fetched.prepared("tiny")
    assert prepared.sha256 == hashlib.sha256(CONVERTED).hexdigest()
    assert prepared.path == fetched.converted_path(fetched.manifest("tiny"))


def test_prepared_makes_what_is_missing(fetched):
    fetched.converted_path(fetched.manifest("tiny")).unlink()
    prepared = fetched.prepared("tiny")
    assert sha256_of(prepared.path) == prepared.sha256 == hashlib.sha256(CONVERTED).hexdigest()


@pytest.mark.parametrize("call", ["fetch", "converted", "prepared"])
def test_a_door_never_touches_the_network(home, call, monkeypatch):
    described(home, closed_address())
    monkeypatch.setattr("socket.socket.connect", network_is_forbidden)
    monkeypatch.setattr("facecli.fetch.fetch_file", network_is_forbidden)
    with pytest.raises(ModelMissingError) as caught:
        getattr(registry(home, may_fetch=False), call)("tiny")
    assert caught.value.message == "the model tiny is not on this machine"
    assert caught.value.hint == "fetch it once: facecli models fetch tiny"
    assert not (home / "cache").exists()


def test_a_file_that_vanishes_under_a_door_is_not_fetched_either(fetched, monkeypatch):
    """Between looking for the published file and reading it, somebody empties the cache."""
    manifest = fetched.manifest("tiny")
    fetched.converted_path(manifest).unlink()
    lock = Registry._locked

    def vanishing(models, manifest):
        models.source_path(manifest).unlink()
        return lock(models, manifest)

    monkeypatch.setattr(Registry, "_locked", vanishing)
    monkeypatch.setattr("facecli.fetch.fetch_file", network_is_forbidden)
    with pytest.raises(ModelMissingError, match="is not on this machine"):
        fetched.converted("tiny")


def test_offline_is_a_reason_of_its_own(home, monkeypatch):
    described(home, closed_address())
    monkeypatch.setattr("facecli.fetch.fetch_file", network_is_forbidden)
    with pytest.raises(ModelMissingError, match="--offline forbids fetching it"):
        registry(home, offline=True).converted("tiny")


def test_a_model_that_is_there_needs_no_network(fetched, monkeypatch):
    monkeypatch.setattr("facecli.fetch.fetch_file", network_is_forbidden)
    assert fetched.converted("tiny").read_bytes() == CONVERTED


def test_an_unknown_name_lists_the_known_ones(home):
    with pytest.raises(ModelMissingError, match=r"no model named '\.\./x' \(known: .*sface.*yunet\)"):
        registry(home).manifest("../x")


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"X" + data[1:], lambda _data: b""])
def test_a_damaged_converted_file_is_made_again(fetched, damage):
    path = fetched.converted_path(fetched.manifest("tiny"))
    path.write_bytes(damage(path.read_bytes()))
    assert fetched.check(fetched.manifest("tiny")) == "altered"
    assert fetched.converted("tiny").read_bytes() == CONVERTED
    assert fetched.check(fetched.manifest("tiny")) == "ready"


@pytest.mark.parametrize("note", [b"", b"{}", b"[]", b"null", b'{"sha256": 1, "size": "x"}', b"\xff", None])
def test_a_damaged_note_costs_a_conversion_and_no_more(fetched, note):
    path = fetched.converted_path(fetched.manifest("tiny")).with_suffix(".json")
    path.unlink() if note is None else path.write_bytes(note)
    assert fetched.state(fetched.manifest("tiny")) == "altered"
    assert fetched.converted("tiny").read_bytes() == CONVERTED
    assert json.loads(path.read_bytes())["size"] == len(CONVERTED)


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"X" + data[1:]])
def test_an_altered_published_file_is_never_used(fetched, damage):
    source = fetched.source_path(fetched.manifest("tiny"))
    source.write_bytes(damage(source.read_bytes()))
    fetched.converted_path(fetched.manifest("tiny")).unlink()
    assert fetched.check(fetched.manifest("tiny")) == "altered"
    with pytest.raises(ModelIntegrityError, match="it was altered, or is cut off") as caught:
        fetched.converted("tiny")
    assert caught.value.hint == "fetch it again: facecli models fetch tiny"


def test_fetching_replaces_an_altered_file(home):
    with serving(**{"tiny.onnx": PUBLISHED}) as (address, behaviour):
        described(home, address)
        path = registry(home).fetch("tiny")
        path.write_bytes(bytes(len(PUBLISHED)))
        assert registry(home).fetch("tiny").read_bytes() == PUBLISHED
    assert len(behaviour.asked) == 2


def test_another_file_at_the_address_is_an_integrity_error(home):
    with serving(**{"tiny.onnx": bytes(len(PUBLISHED))}) as (address, _):
        described(home, address)
        with pytest.raises(ModelIntegrityError, match=r"can't fetch tiny\.onnx"):
            registry(home).converted("tiny")
    assert registry(home).state(registry(home).manifest("tiny")) == "absent"


def test_an_unsafe_conversion_is_never_kept(home):
    with serving(**{"tiny.onnx": PUBLISHED}) as (address, _):
        described(home, address)
        models = registry(home, convert=lambda *_call: b"no graph")
        with pytest.raises(ModelIntegrityError, match="not an ONNX model"):
            models.converted("tiny")
    assert not models.converted_path(models.manifest("tiny")).exists()


def test_a_licence_must_be_accepted_once(home, monkeypatch):
    with serving(**{"tiny.onnx": PUBLISHED}) as (address, behaviour):
        described(home, address, free=False)
        with pytest.raises(LicenceError) as caught:
            registry(home).fetch("tiny")
        assert behaviour.asked == []
        assert "not free for commercial use: Some-Licence" in caught.value.message
        assert "Ask the author." in caught.value.message
        assert caught.value.hint == "if you may use it: facecli models fetch tiny --accept-license"
        registry(home, accept_licences=frozenset({"tiny"})).fetch("tiny")
    monkeypatch.setattr("facecli.fetch.fetch_file", network_is_forbidden)
    assert registry(home, may_fetch=False).converted("tiny").read_bytes() == CONVERTED
    accepted = json.loads((home / "user" / "accepted-licences.json").read_text())["accepted"]
    assert [(entry["model"], entry["licence"]) for entry in accepted] == [("tiny", "Some-Licence")]
    assert len(accepted[0]["date"]) == len("2026-11-24")


def test_an_acceptance_holds_for_that_licence_alone(home):
    described(home, closed_address(), free=False)
    models = registry(home, accept_licences=frozenset({"tiny"}))
    with pytest.raises(ModelMissingError):
        models.fetch("tiny")
    path = home / "user" / "tiny.toml"
    path.write_text(path.read_text().replace("Some-Licence", "Harder-Licence"))
    with pytest.raises(LicenceError):
        registry(home).fetch("tiny")


@pytest.mark.parametrize("damage", ["", "[]", '{"accepted": [{"model": "tiny"}]}'])
def test_a_damaged_file_of_acceptances_accepts_nothing(home, damage):
    described(home, closed_address(), free=False)
    (home / "user" / "accepted-licences.json").write_text(damage)
    with pytest.raises(ConfigError, match="is damaged"):
        registry(home).fetch("tiny")


def _convert_and_note(home: str, noted: str) -> None:
    def noting(recipe: str, source: bytes) -> bytes:
        with Path(noted).open("a") as stream:
            stream.write("converted\n")
        return convert(recipe, source)

    assert registry(Path(home), convert=noting).converted("tiny").read_bytes() == CONVERTED


def test_processes_that_start_at_once_fetch_and_convert_once(home):
    with serving(**{"tiny.onnx": PUBLISHED}) as (address, behaviour):
        described(home, address)
        arguments = (str(home), str(home / "noted"))
        workers = [PROCESSES.Process(target=_convert_and_note, args=arguments) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert (home / "noted").read_text() == "converted\n"
    assert len(behaviour.asked) == 1


def _attempt(home: str, limit: str, answer) -> None:
    """Ask for the converted model under a limit, and tell what came of it; runs in a process of its own."""
    import filelock  # noqa: F401 (imported now: nobody may be unable to read this Python)

    registry(Path(home)).manifest("tiny")
    if limit == "nobody" and os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    if limit == "full disk":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    try:
        registry(Path(home)).converted("tiny")
        answer.send("converted")
    except FacecliError as error:
        answer.send(f"{type(error).__name__}: {error}")


def attempted(home: Path, limit: str) -> str:
    """Return what :func:`_attempt` tells."""
    receive, send = PROCESSES.Pipe(duplex=False)
    worker = PROCESSES.Process(target=_attempt, args=(str(home), limit, send))
    worker.start()
    send.close()
    try:
        return receive.recv()
    finally:
        worker.join()


@pytest.fixture
def public(monkeypatch):
    """A folder that every user can reach, which pytest's own is not."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = Path(tempfile.mkdtemp(prefix="facecli-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _read_only(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def test_a_read_only_cache_serves_what_it_holds_and_says_what_it_can_not_take(public):
    with serving(**{"tiny.onnx": PUBLISHED}) as (address, _):
        described(public, address)
        registry(public).converted("tiny")
        models = registry(public)
        _read_only(public)
        assert attempted(public, "nobody") == "converted"
        models.folder.chmod(0o755)
        models.converted_path(models.manifest("tiny")).unlink()
        models.folder.chmod(0o555)
        assert attempted(public, "nobody").startswith(f"OutputError: can't write {models.folder}")


def test_a_full_disk_while_converting_leaves_nothing_half_made(home):
    """A limit on file sizes stands for the full disk."""
    with serving(**{"tiny.onnx": PUBLISHED}) as (address, _):
        described(home, address)
        models = registry(home)
        models.fetch("tiny")
    assert attempted(home, "full disk").startswith("OutputError: can't write")
    assert models.state(models.manifest("tiny")) == "source"
    assert not [entry for entry in models.folder.iterdir() if entry.name.endswith(".part")]
    assert models.converted("tiny").read_bytes() == CONVERTED


def test_a_cache_that_is_a_file_is_a_sentence(home):
    described(home, closed_address())
    (home / "cache").write_text("")
    with pytest.raises(OutputError, match="can't write"):
        registry(home).converted("tiny")


@pytest.mark.weights
@pytest.mark.parametrize("name", ["yunet", "sface", "dlib"])
def test_the_published_files_in_this_users_cache_are_the_ones_named(name):
    """The real files, where `make check` or the user has fetched them."""
    import platformdirs

    cache = Path(os.environ.get("FACECLI_CACHE", platformdirs.user_cache_dir("facecli")))
    models = Registry(cache, cache / "none", convert=convert)
    manifest = models.manifest(name)
    if not models.source_path(manifest).is_file():
        pytest.skip(f"{name} is not in {cache}")
    assert sha256_of(models.source_path(manifest)) == manifest.file.sha256
    assert models.source_path(manifest).stat().st_size == manifest.file.size
    assert models.check(manifest) in {"ready", "source"}
