"""Galleries to test."""

import pytest
from galleries import PIN, fill

from facecli.gallery import Gallery


@pytest.fixture
def folder(tmp_path):
    """Where a gallery may be made."""
    return tmp_path / "gallery"


@pytest.fixture
def gallery(folder):
    """An empty gallery, open for changes."""
    with Gallery.create(folder, PIN) as made:
        yield made


@pytest.fixture
def filled(folder):
    """The folder of a closed gallery of twenty people with two templates each."""
    with Gallery.create(folder, PIN) as made:
        fill(made, 20, each=2)
    return folder
