"""Galleries to test."""

import shutil

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


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory):
    """A closed gallery of twenty people with two templates each; making it takes a second, so it is copied."""
    made = tmp_path_factory.mktemp("filled") / "gallery"
    with Gallery.create(made, PIN) as gallery:
        fill(gallery, 20, each=2)
    return made


@pytest.fixture
def filled(folder, filled_once):
    """The folder of a closed gallery of twenty people with two templates each."""
    shutil.copytree(filled_once, folder)
    return folder
