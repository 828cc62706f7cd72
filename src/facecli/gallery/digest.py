"""What every row of the gallery has in common: a checksum over all that it says, and columns of known types."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, TypeAlias

from facecli.errors import GalleryError

if TYPE_CHECKING:
    from collections.abc import Sequence

Row: TypeAlias = tuple[object, ...]

_CHECK_HINT = "restore the gallery from a copy, or enrol again into a new one"


def digest(kind: bytes, gallery: str, numbers: bytes, *fields: str | bytes) -> bytes:
    """BLAKE2b over a row; each field is preceded by its length, so that no two rows give the same bytes.

    Parameters
    ----------
    kind
        Of row, at most 16 bytes.
    gallery
        Whose row it is.
    numbers
        Packed, of one length for each kind of row.
    fields
        Texts and bytes.
    """
    parts = [numbers]
    for field in (gallery, *fields):
        data = field if isinstance(field, bytes) else field.encode()
        parts += (len(data).to_bytes(8, "little"), data)
    return hashlib.blake2b(b"".join(parts), digest_size=32, person=kind).digest()


def damaged(what: str) -> GalleryError:
    """Return the error for a row that its checksum does not vouch for."""
    return GalleryError(f"the gallery is damaged: {what}", hint=_CHECK_HINT)


def typed(row: Row | None, types: Sequence[type]) -> bool:
    """Whether each column is of its type: SQLite itself enforces none."""
    return row is not None and list(map(type, row)) == list(types)
