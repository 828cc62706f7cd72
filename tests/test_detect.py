"""YuNet's boxes and points equal OpenCV's own; size, turn and limits behave as the page on the pipeline says."""

import numpy as np
import pytest

from facecli.detect import DetectOptions, YuNet, _levels, _turned, _turned_back, _without_overlaps
from facecli.errors import ModelIntegrityError
from facecli.image import read_photo
from facecli.manifest import InputSpec
from facecli.opencv import load_cv2
from facecli.runtime import Device

SPEC = InputSpec(width_px=640, height_px=640, colour="BGR", mean=(0.0,) * 3, scale=(1.0,) * 3, points=())


class Drawn:
    """A network that reports one face at a fixed cell of the stride-32 grid, of a given score."""

    device = Device("cpu")

    def __init__(self, score=0.81, cell=(1, 1), poison=None):
        self.score, self.cell, self.poison, self.shapes = score, cell, poison, []

    def run(self, tensor):
        height, width = tensor.shape[2:]
        self.shapes.append((height, width))
        cells = [(height // s, width // s) for s in (8, 16, 32)]
        parts = [[np.zeros((1, h * w, n), np.float32) for h, w in cells] for n in (1, 1, 4, 10)]
        at = self.cell[1] * (width // 32) + self.cell[0]
        parts[0][2][0, at] = self.score
        parts[1][2][0, at] = self.score
        parts[3][2][0, at] = [-0.3, 0, 0.3, 0, 0, 0.2, -0.2, 0.5, 0.2, 0.5]
        if self.poison is not None:
            parts[2][2][0, at] = self.poison
        return [output for part in parts for output in part]


def test_a_cell_becomes_a_box_and_points():
    face = YuNet(Drawn(), SPEC).detect(np.zeros((200, 160, 3), np.uint8), DetectOptions(turn=False))[0]
    assert (face.box.x, face.box.y, face.box.width, face.box.height) == (16, 16, 32, 32)
    assert np.allclose(face.points[0], (32 - 0.3 * 32, 32), atol=1e-4)
    assert face.score == pytest.approx(0.81)


def test_the_input_is_padded_to_a_multiple_of_32():
    network = Drawn()
    YuNet(network, SPEC).detect(np.zeros((161, 300, 3), np.uint8), DetectOptions(turn=False))
    assert network.shapes == [(192, 320)]


def test_large_photographs_are_searched_at_the_limit_and_its_halves():
    sizes = [image.shape[:2] for image, _ in _levels(np.zeros((1000, 4000, 3), np.uint8), 1280)]
    assert sizes == [(320, 1280), (160, 640), (80, 320)]
    assert [scale for _, scale in _levels(np.zeros((480, 300, 3), np.uint8), 1280)] == [1.0]
    assert [image.shape[:2] for image, _ in _levels(np.zeros((40, 80, 3), np.uint8), 1280)] == [(80, 160)]


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_no_face(poison):
    found = YuNet(Drawn(poison=poison), SPEC).detect(np.zeros((200, 160, 3), np.uint8), DetectOptions())
    assert all(np.isfinite([face.box.x, face.box.width]).all() for face in found)


def test_limits_decide_what_is_a_face():
    image = np.zeros((200, 160, 3), np.uint8)
    assert YuNet(Drawn(), SPEC).detect(image, DetectOptions(min_score=0.82, turn=False)) == []
    assert YuNet(Drawn(), SPEC).detect(image, DetectOptions(min_face_px=33, turn=False)) == []


def test_a_face_in_the_padding_is_none():
    network = Drawn(cell=(5, 1), poison=np.array([0.9, 0, 0, 0], np.float32))  # its left side is at 172.8
    assert len(YuNet(network, SPEC).detect(np.zeros((200, 180, 3), np.uint8), DetectOptions(turn=False))) == 1
    assert YuNet(network, SPEC).detect(np.zeros((200, 161, 3), np.uint8), DetectOptions(turn=False)) == []


def test_a_model_with_other_outputs_is_no_yunet():
    class Other(Drawn):
        def run(self, tensor):
            return super().run(tensor)[:3]

    with pytest.raises(ModelIntegrityError, match="12 outputs"):
        YuNet(Other(), SPEC).detect(np.zeros((64, 64, 3), np.uint8), DetectOptions())


def test_a_doubtful_face_is_sought_in_every_orientation_and_a_sure_one_is_not():
    for score, passes in ((0.81, 4), (0.95, 1)):
        network = Drawn(score)
        YuNet(network, SPEC).detect(np.zeros((200, 160, 3), np.uint8), DetectOptions())
        assert len(network.shapes) == passes


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_turning_there_and_back_is_the_identity(degrees):
    image = np.zeros((30, 50, 3), np.uint8)
    image[10:14, 20:28] = 255
    rows, columns = np.nonzero(_turned(image, degrees)[..., 0])
    box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
    points = np.tile([columns.min(), rows.min()], 5)
    row = np.array([[*box, *points, 0.9]], np.float32)
    assert _turned_back(row, degrees, (30, 50))[0, :4].tolist() == [20, 10, 8, 4]
    assert _turned_back(row[:0], degrees, (30, 50)).shape == (0, 16)


def test_overlaps_are_thinned_to_the_best_as_opencv_does():
    luck = np.random.default_rng(3)
    rows = np.zeros((200, 16), np.float32)
    rows[:, :2] = luck.integers(0, 200, (200, 2))
    rows[:, 2:4] = luck.integers(20, 60, (200, 2))
    rows[:, 14] = (luck.permutation(200) + 1) / 200
    kept = load_cv2().dnn.NMSBoxes(rows[:, :4].tolist(), rows[:, 14].tolist(), 0.0, 0.3)
    assert np.array_equal(_without_overlaps(rows), rows[kept])


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize("name", ["scenes/scientists_29.png", "people/obama-1080p.jpg", "scenes/016_8.jpg"])
def test_boxes_and_points_equal_opencvs(yunet, weights_cache, shared, name):
    from facecli.config import Settings
    from facecli.engine import Engine

    image = read_photo(str(shared / name)).pixels
    path = Engine(Settings(cache=weights_cache)).registry.converted("yunet")
    oracle = load_cv2().FaceDetectorYN.create(str(path), "", image.shape[1::-1], 0.7, 0.3, 5000)
    wanted = oracle.detect(image)[1]
    wanted = wanted[np.argsort(-wanted[:, 14], kind="stable")]
    found = _without_overlaps(yunet._rows(image, 0.7))[:, :15]
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 0.01


@pytest.mark.weights
@pytest.mark.shared
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize(("name", "people"), [("010_2.jpg", 2), ("015_6.jpg", 6), ("016_8.jpg", 8), ("017_0.jpg", 0)])
def test_everyone_is_found_however_the_photograph_is_turned(yunet, shared, name, people, turns):
    image = np.ascontiguousarray(np.rot90(read_photo(str(shared / "scenes" / name)).pixels, turns))
    found = yunet.detect(image, DetectOptions())
    assert len(found) == people
    assert {face.turned_deg for face in found} <= {turns * 90}


@pytest.mark.weights
@pytest.mark.photographs
def test_a_head_that_fills_a_large_photograph_is_found(yunet, photographs_folder):
    image = read_photo(str(photographs_folder / "person_a_1.jpg")).pixels
    box = yunet.detect(image, DetectOptions())[0].box
    x, y = max(0, int(box.x)), max(0, int(box.y))
    head = image[y : y + int(box.height), x : x + int(box.width)]
    large = load_cv2().resize(head, None, fx=4000 / head.shape[0], fy=4000 / head.shape[0])
    found = yunet.detect(large, DetectOptions())
    assert len(found) == 1
    assert found[0].score > 0.8
