"""Random people for the tests of galleries."""

import numpy as np

from facecli.gallery import NewTemplate
from facecli.types import ModelPin, Quality

DIMENSION = 16
PIN = ModelPin("fake", "0" * 64, "none-1", "1" * 64, DIMENSION)
QUALITY = Quality(detection=0.9, eye_distance_px=60.0, cut=0.0, sharpness=100.0)


def units(seed, count, dimension=DIMENSION):
    """Random unit vectors."""
    vectors = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def new(vector, source="face.jpg"):
    """A template to enrol."""
    return NewTemplate(vector, source, "2" * 64, QUALITY)


def fill(gallery, people, each=1, seed=0):
    """Enrol people called ``person 0``, ``person 1``, ..."""
    vectors = units(seed, people * each, gallery.pin.dimension).reshape(people, each, -1)
    for number, templates in enumerate(vectors):
        gallery.enrol(f"person {number}", [new(vector) for vector in templates])
