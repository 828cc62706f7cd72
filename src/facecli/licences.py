"""Which licences the user accepted, remembered in one small file with the day.

An acceptance holds for exactly the file and the licence that were shown: another sha256 or another licence name asks
again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from facecli.errors import ConfigError
from facecli.files import make_private_folder, replacing

if TYPE_CHECKING:
    from pathlib import Path

    from facecli.manifest import Manifest

FILE_NAME = "accepted-licences.json"
SCHEMA = "facecli.accepted-licences/1"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One licence that the user accepted.

    Attributes
    ----------
    model, licence, sha256
        The manifest's name, its licence's name and its file.
    date
        ISO 8601, UTC.
    """

    model: str
    licence: str
    sha256: str
    date: str


def acceptances(folder: Path) -> list[Acceptance]:
    """Read what was accepted; without a file, nothing was.

    Raises
    ------
    ConfigError
        The file is damaged.
    """
    path = folder / FILE_NAME
    try:
        data = json.loads(path.read_bytes())
        return [Acceptance(**entry) for entry in data["accepted"]]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"can't read {path}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is damaged", hint="remove it, then accept the licences again with --accept-license"
        ) from error


def is_accepted(folder: Path, manifest: Manifest) -> bool:
    """Tell whether the user accepted this licence for this file.

    Raises
    ------
    ConfigError
        The file of acceptances is damaged.
    """
    wanted = (manifest.name, manifest.licence.name, manifest.file.sha256)
    return any((entry.model, entry.licence, entry.sha256) == wanted for entry in acceptances(folder))


def accept(folder: Path, manifest: Manifest) -> None:
    """Remember that the user accepts this licence, today.

    Raises
    ------
    ConfigError
        The file of acceptances is damaged.
    OutputError
        It can't be written.
    """
    today = datetime.now(UTC).date().isoformat()
    entries = [*acceptances(folder), Acceptance(manifest.name, manifest.licence.name, manifest.file.sha256, today)]
    make_private_folder(folder)
    with replacing(folder / FILE_NAME) as stream:
        text = json.dumps({"schema": SCHEMA, "accepted": [asdict(entry) for entry in entries]}, indent=2)
        stream.write(f"{text}\n".encode())
