"""The floor: a bare script that does the work of `facecli verify A B` with the same models, and nothing else.

No checks, no configuration, no second format, no evidence: what can't be saved by writing a better program. It loads
graphs that are optimised already, as facecli's cache holds them. Usage::

    python tools/floor.py DETECTOR.onnx EMBEDDER.onnx A B

With a file of vectors (`.npy`) in place of B it searches them.
"""

import sys

import cv2
import numpy as np
import onnxruntime

TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)


def session(path: str) -> onnxruntime.InferenceSession:
    """Load a graph as it is, on one thread."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def points_of(detector: onnxruntime.InferenceSession, image: np.ndarray) -> np.ndarray:
    """Return the five points of the most confident face."""
    height, width = image.shape[:2]
    padded = cv2.copyMakeBorder(image, 0, -height % 32, 0, -width % 32, cv2.BORDER_CONSTANT)
    tensor = padded.astype(np.float32).transpose(2, 0, 1)[None]
    outputs = dict(zip((o.name for o in detector.get_outputs()), detector.run(None, {"input": tensor}), strict=True))
    best, found = -1.0, None
    for stride in (8, 16, 32):
        scores = np.sqrt(outputs[f"cls_{stride}"][0, :, 0] * outputs[f"obj_{stride}"][0, :, 0])
        at = int(scores.argmax())
        if scores[at] > best:
            grid = np.array([at % (padded.shape[1] // stride), at // (padded.shape[1] // stride)])
            best, found = scores[at], (outputs[f"kps_{stride}"][0, at].reshape(5, 2) + grid) * stride
    return found


def vector_of(detector: onnxruntime.InferenceSession, embedder: onnxruntime.InferenceSession, path: str) -> np.ndarray:
    """Read, detect, align and embed."""
    image = cv2.imread(path)
    points = points_of(detector, image)
    a, b = points - points.mean(0), TEMPLATE - TEMPLATE.mean(0)
    cos, sin = (a * b).sum() / (a * a).sum(), (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / (a * a).sum()
    linear = np.array([[cos, -sin], [sin, cos]])
    matrix = np.column_stack([linear, TEMPLATE.mean(0) - linear @ points.mean(0)])
    crop = cv2.warpAffine(image, matrix, (112, 112))
    tensor = crop[:, :, ::-1].astype(np.float32).transpose(2, 0, 1)[None]
    (vector,) = embedder.run(None, {embedder.get_inputs()[0].name: tensor})[0]
    return vector / np.linalg.norm(vector)


def main(detector: str, embedder: str, probe: str, reference: str) -> None:
    """Compare two photographs, or search one among vectors."""
    networks = session(detector), session(embedder)
    vector = vector_of(*networks, probe)
    if reference.endswith(".npy"):
        scores = np.load(reference) @ vector
        print(np.argsort(-scores)[:5], np.sort(-scores)[:5])
    else:
        print(float(vector @ vector_of(*networks, reference)))


main(*sys.argv[1:])
