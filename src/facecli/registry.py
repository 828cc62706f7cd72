"""Models on this disk: fetched with consent, checked by sha256 before use, converted once, shared by all processes.

In the cache's ``models`` folder lie, for each model::

    fb143eea07838aa5-face_recognition_sface_2021dec_int8bq.onnx    the published file
    fb143eea07838aa5-blockquant-1.onnx                             what onnxruntime runs, made from it
    fb143eea07838aa5-blockquant-1.json                             its sha256, so that damage is noticed and mended
    fb143eea07838aa5.lock                                          held while one process fetches or converts

All of it can be removed at any time and is made again. Reading needs no lock: whoever finds a converted file that is
not the one its digest names takes the lock and looks again. At a door ``may_fetch`` is False, and nothing here touches
the network then.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from facecli.errors import LicenceError, ModelError, ModelIntegrityError, ModelMissingError
from facecli.files import make_private_folder, replacing, sha256_of, writing_to
from facecli.licences import accept, is_accepted
from facecli.manifest import Manifest, Model, bundled_folder, manifests, read_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from facecli.download import Progress

__all__ = ["Convert", "Prepared", "Registry", "State"]

State: TypeAlias = Literal["ready", "source", "absent", "altered"]
Convert: TypeAlias = Callable[[str, bytes], bytes]
"""Called with (recipe, the published file's bytes); returns a float32 ONNX graph's bytes."""

LOCK_TIMEOUT_S = 1800.0
_FROM_BEST: tuple[State, ...] = ("ready", "source", "absent", "altered")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A converted file with the sha256 that it must have.

    Attributes
    ----------
    path
        The float32 ONNX graph.
    sha256
        Noted when it was made; whoever reads the file compares.
    """

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class Registry:
    """The models that this user has, and may have.

    Attributes
    ----------
    cache
        Folder for what can be fetched or made again.
    user_manifests
        Folder of the user's own manifests and of the licences that he accepted.
    convert
        Turns a published file into what onnxruntime runs; handed in, since this part may not know the converter.
    offline
        The user forbade the network.
    may_fetch
        Whether the network may be touched at all: ``models fetch``, or first use in an interactive terminal.
    accept_licences
        Names of models whose licence the user accepts now.
    progress
        Told how far fetching is.
    """

    cache: Path
    user_manifests: Path
    _: KW_ONLY
    convert: Convert
    offline: bool = False
    may_fetch: bool = False
    accept_licences: frozenset[str] = frozenset()
    progress: Progress | None = None

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self.cache / "models"

    def manifest(self, name: str) -> Manifest:
        """Return the manifest of a model of one file.

        Raises
        ------
        ModelMissingError
            No model has that name; the known ones are listed.
        ModelError
            It is fused of others, and has no file of its own.
        ConfigError
            The manifest is wrong.
        """
        model = self.model(name)
        if not isinstance(model, Manifest):
            parts = " and ".join(member.name for member in model.members)
            raise ModelError(f"the model {name} has no file of its own: it is made of {parts}")
        return model

    def model(self, name: str) -> Model:
        """Return a model's manifest; only its file is read, and for a fused one those of its parts.

        Raises
        ------
        ModelMissingError
            No model has that name; the known ones are listed.
        ConfigError
            The manifest is wrong.
        """
        known = self._names()
        if name not in known:
            raise ModelMissingError(
                f"there is no model named {name!r} (known: {', '.join(sorted(known))})",
                hint="see them with `facecli models list`, or bring your own with `facecli models add`",
            )
        return read_model(known[name])

    def _names(self) -> dict[str, Path]:
        """Name and manifest of each model; facecli's own win over the user's."""
        folders = (self.user_manifests, bundled_folder())
        return {path.stem: path for folder in folders for path in sorted(folder.glob("*.toml"))}

    def all(self) -> list[Model]:
        """Return every manifest, by name.

        Raises
        ------
        ConfigError
            One of them is wrong.
        """
        return list(manifests(self.user_manifests).values())

    def source_path(self, manifest: Manifest) -> Path:
        """Return where the published file lies, or will lie."""
        return self.folder / f"{manifest.file.sha256[:16]}-{manifest.file.name}"

    def converted_path(self, manifest: Manifest) -> Path:
        """Return where the converted file lies, or will lie."""
        return self.folder / f"{manifest.file.sha256[:16]}-{manifest.conversion}.onnx"

    def state(self, model: Model) -> State:
        """Say what is on this disk, by names and sizes alone; :meth:`check` reads every byte.

        Returns
        -------
        State
            ``"ready"`` (converted), ``"source"`` (fetched), ``"absent"``, or ``"altered"`` (a size is wrong). A fused
            model is as its worst part.
        """
        return max(map(self._state, model.members), key=_FROM_BEST.index)

    def _state(self, manifest: Manifest) -> State:
        source = _size(self.source_path(manifest))
        if source is not None and source != manifest.file.size:
            return "altered"
        converted = _size(self.converted_path(manifest))
        if converted is not None:
            digest = _read_digest(self.converted_path(manifest))
            return "ready" if digest is not None and digest.size == converted else "altered"
        return "absent" if source is None else "source"

    def check(self, model: Model) -> State:
        """Say what is on this disk, as :meth:`state` does, by the sha256 of every file."""
        return max(map(self._check, model.members), key=_FROM_BEST.index)

    def _check(self, manifest: Manifest) -> State:
        state = self._state(manifest)
        source = self.source_path(manifest)
        if source.is_file() and sha256_of(source) != manifest.file.sha256:
            return "altered"
        return "altered" if state == "ready" and not _is_intact(self.converted_path(manifest)) else state

    def make_ready(self, name: str) -> Model:
        """Fetch, check and convert all that a model needs, a fused model's parts one after the other.

        Raises
        ------
        ModelError, OutputError
            As :meth:`fetch` and :meth:`converted`.
        """
        model = self.model(name)
        for member in model.members:
            self.fetch(member.name)
            self.converted(member.name)
        return model

    def fetch(self, name: str) -> Path:
        """Return a model's published file, fetching it where it is absent or altered.

        Raises
        ------
        LicenceError
            The licence must be accepted first.
        ModelMissingError
            It is absent and can't be had, or the network may not be touched.
        ModelIntegrityError
            Only another file under its name can be had.
        OutputError
            It can't be written.
        """
        manifest = self.manifest(name)
        self._require_licence(manifest)
        path = self.source_path(manifest)
        if _has_sha256(path, manifest.file.sha256):
            return path
        self._require_network(manifest)
        with self._locked(manifest):
            if not _has_sha256(path, manifest.file.sha256):
                self._download(manifest, path)
        return path

    def converted(self, name: str) -> Path:
        """Return the float32 ONNX file that onnxruntime runs, making it from the published file where needed.

        Its sha256 is compared with the one noted when it was made; a damaged one is made again.

        Raises
        ------
        LicenceError
            The licence must be accepted first.
        ModelMissingError
            The published file is absent and can't be had, or the network may not be touched.
        ModelIntegrityError
            The published file was altered, or is no safe ONNX model.
        OutputError
            The converted file can't be written.
        """
        manifest = self.manifest(name)
        self._require_licence(manifest)
        path = self.converted_path(manifest)
        if _is_intact(path):
            return path
        if not self.source_path(manifest).is_file():
            self._require_network(manifest)
        with self._locked(manifest):
            if not _is_intact(path):
                self._convert(manifest, path)
        return path

    def prepared(self, name: str) -> Prepared:
        """Return the converted file without reading it, for a reader that compares the sha256 itself.

        Starting is fast this way: :func:`facecli.runtime.open_session` needs only the sha256 to find its optimised
        graph. Where it finds the file damaged instead, :meth:`converted` mends it.

        Raises
        ------
        ModelError
            As :meth:`converted`.
        OutputError
            The converted file can't be written.
        """
        manifest = self.manifest(name)
        self._require_licence(manifest)
        path = self.converted_path(manifest)
        digest = _read_digest(path)
        if digest is None or _size(path) != digest.size:
            return Prepared(self.converted(name), sha256_of(path))
        return Prepared(path, digest.sha256)

    def _convert(self, manifest: Manifest, target: Path) -> None:
        """Make the converted file and note its sha256; the digest is written last, so it never names half a file."""
        from facecli.onnx_safety import check_graph

        graph = self.convert(manifest.conversion, self._source_bytes(manifest))
        # The recipes check what they read; what is run is checked here, whoever made it.
        check_graph(graph)
        with replacing(target) as stream:
            stream.write(graph)
        digest = {"sha256": hashlib.sha256(graph).hexdigest(), "size": len(graph)}
        with replacing(_digest_path(target)) as stream:
            stream.write(json.dumps(digest).encode())

    def _source_bytes(self, manifest: Manifest) -> bytes:
        """Read the published file; the bytes that are checked are the bytes that are used."""
        path = self.source_path(manifest)
        if not path.is_file():
            self._download(manifest, path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ModelIntegrityError(f"can't read {path}: {error.strerror or error}") from error
        if hashlib.sha256(data).hexdigest() != manifest.file.sha256:
            raise ModelIntegrityError(
                f"{path} is not the file of the model {manifest.name}: it was altered, or is cut off",
                hint=f"fetch it again: facecli models fetch {manifest.name}",
            )
        return data

    def _download(self, manifest: Manifest, path: Path) -> None:
        from facecli.fetch import fetch_file

        # Asked again here, the one place that fetches: the file may have vanished since it was looked for.
        self._require_network(manifest)
        fetch_file(manifest.file, manifest.sources, path, self.progress)

    def _require_network(self, manifest: Manifest) -> None:
        """Refuse to fetch at a door, or where the user forbade it."""
        missing = f"the model {manifest.name} is not on this machine"
        if not manifest.sources:
            raise ModelMissingError(
                f"{missing}, and its manifest names no place to fetch it from",
                hint=f"bring its file again: facecli models add {manifest.file.name} ...",
            )
        if self.offline:
            raise ModelMissingError(
                f"{missing}, and --offline forbids fetching it",
                hint=f"run `facecli models fetch {manifest.name}` once without --offline",
            )
        if not self.may_fetch:
            raise ModelMissingError(missing, hint=f"fetch it once: facecli models fetch {manifest.name}")

    def _require_licence(self, manifest: Manifest) -> None:
        """Refuse a model that isn't free for commercial use until its licence was accepted; remember that it was."""
        if manifest.licence.commercial_use or is_accepted(self.user_manifests, manifest):
            return
        if manifest.name not in self.accept_licences:
            note = f" {manifest.licence.note}" if manifest.licence.note else ""
            raise LicenceError(
                f"the model {manifest.name} is not free for commercial use: {manifest.licence.name},"
                f" {manifest.licence.url}.{note}",
                hint=f"if you may use it: facecli models fetch {manifest.name} --accept-license",
            )
        accept(self.user_manifests, manifest)

    @contextmanager
    def _locked(self, manifest: Manifest) -> Iterator[None]:
        """Let one process at a time fetch or convert a model; others wait, then find it done."""
        import filelock

        make_private_folder(self.folder)
        lock = filelock.FileLock(self.folder / f"{manifest.file.sha256[:16]}.lock", mode=0o600)
        with writing_to(self.folder):
            try:
                lock.acquire(timeout=LOCK_TIMEOUT_S)
            except filelock.Timeout as error:
                minutes = round(LOCK_TIMEOUT_S / 60)
                raise ModelMissingError(
                    f"another process has been busy with the model {manifest.name} for {minutes} minutes",
                    hint="end it, then try again",
                ) from error
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True, slots=True)
class _Digest:
    """What is noted beside a converted file: all of it derived, so a damaged note costs a conversion, no more."""

    sha256: str
    size: int


def _digest_path(converted: Path) -> Path:
    return converted.with_suffix(".json")


def _read_digest(converted: Path) -> _Digest | None:
    """Read what was noted beside a converted file; anything else than that counts as nothing."""
    try:
        noted = json.loads(_digest_path(converted).read_bytes())
        return _Digest(str(noted["sha256"]), int(noted["size"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_intact(converted: Path) -> bool:
    digest = _read_digest(converted)
    return digest is not None and _size(converted) == digest.size and _has_sha256(converted, digest.sha256)


def _has_sha256(path: Path, sha256: str) -> bool:
    try:
        return sha256_of(path) == sha256
    except OSError:
        return False


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
