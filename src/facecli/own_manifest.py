"""Operating points written into a model manifest of the user's own, comments and all else as they were."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from facecli.errors import UsageError
from facecli.files import make_private_folder, replacing
from facecli.manifest import bundled_folder, model_of
from facecli.manifest_reader import MODEL_NAME, measurement_toml
from facecli.names import visible

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.engine import Engine
    from facecli.manifest import Measurement


def manifest_path(engine: Engine, name: str) -> tuple[Path, Path]:
    """Return the manifest that the model has, and where one of the user's with other points goes.

    That is the model's own file if it is the user's, else a copy under a new name. A copy is another model to
    galleries, since its name is in their pin; it runs the same weights.

    Raises
    ------
    UsageError
        The name is one of facecli's own, unfit, or another model's.
    """
    folder, current = engine.settings.models, engine.settings.model
    path = folder / f"{name}.toml"
    if not MODEL_NAME.fullmatch(name):
        raise UsageError(f"{visible(name)} can't name a model: lower-case letters, digits, dots and hyphens can")
    if (bundled_folder() / f"{name}.toml").exists():
        raise UsageError(
            f"the manifest of {name} is facecli's own, and calibration leaves it alone",
            hint=f"name one of yours: --write-manifest {name}-door",
        )
    source = next((f / f"{current}.toml" for f in (folder, bundled_folder()) if (f / f"{current}.toml").exists()), None)
    if source is None or (path.exists() and name != current):
        raise UsageError(f"there is a model named {name} already", hint="choose another name, or remove its manifest")
    return source, path


def write_manifest(engine: Engine, name: str, measurement: Measurement) -> Path:
    """Write the points into a manifest of the user's; see :func:`manifest_path`.

    Raises
    ------
    UsageError
        The name can't be used.
    OutputError
        It can't be written.
    """
    source, path = manifest_path(engine, name)
    text = with_measurement(source.read_text(encoding="utf-8"), name, measurement)
    model_of(tomllib.loads(text), path)  # what is written can be read
    make_private_folder(path.parent)
    with replacing(path) as stream:
        stream.write(text.encode())
    return path


def with_measurement(text: str, name: str, measurement: Measurement) -> str:
    """Return a manifest's text under a name and with another measurement, comments and all else as they were."""
    kept, inside = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            inside = bool(re.match(r"\s*\[\[?measurement[\].]", line))
        if not inside:
            kept.append(line)
    renamed = re.sub(r'^name\s*=\s*".*"', f'name = "{name}"', "\n".join(kept), count=1, flags=re.MULTILINE)
    return f"{renamed.rstrip()}\n\n{measurement_toml(measurement)}\n"
