"""Photographs to templates, many at once, each of which may fail: what fails is a failure to acquire, and is named."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from facecli.engine import one_face
from facecli.errors import ImageError, NoFaceError, QualityError, SeveralFacesError
from facecli.evaluate.cache import Embedded, Refused, TemplateCache, context
from facecli.evaluate.verification import Failure
from facecli.files import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    import numpy as np
    from numpy.typing import NDArray

    from facecli.engine import Engine
    from facecli.evaluate.protocols import Image
    from facecli.types import Quality, Vectors

AHEAD = 32
"""Photographs in work per worker before the first must be taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Templates:
    """The templates of a protocol's photographs.

    Attributes
    ----------
    images
        All photographs, ``n`` of them.
    row
        ``(n,)``: where each one's template is; -1 where there is none.
    vectors
        ``(templates, dimension)``.
    qualities
        What the quality gate measured, of each template.
    failures
        Photographs without a template, in order.
    """

    images: tuple[Image, ...]
    row: NDArray[np.int64]
    vectors: Vectors
    qualities: tuple[Quality, ...]
    failures: tuple[Failure, ...]


def embed_images(
    engine: Engine, images: Sequence[Image], *, keep: bool = True, step: Callable[[int], None] | None = None
) -> Templates:
    """Make a template of each photograph that gives one.

    Parameters
    ----------
    engine
        Models and settings; its face policy says which face of a photograph is meant.
    images
        The photographs.
    keep
        Whether templates are looked up and kept in the user's cache.
    step
        Told how many photographs are done.

    Raises
    ------
    UsageError
        The face policy is ``all``.
    ModelError, DeviceError
        What concerns the whole run stops it.
    """
    import numpy as np

    policy = one_face(engine.settings.faces)
    cache = TemplateCache(engine.settings.cache if keep else None, context(engine, policy))
    row = np.full(len(images), -1, np.int64)
    found: list[Embedded] = []
    failures: list[Failure] = []
    try:
        for number, result in enumerate(_results(engine, images, cache)):
            if isinstance(result, Embedded):
                row[number] = len(found)
                found.append(result)
            else:
                source = images[number].source
                failures.append(Failure(source, result.kind, result.message.replace("{photo}", source)))
            if step is not None:
                step(number + 1)
    finally:
        cache.close()
    vectors = (
        np.stack([one.vector for one in found])
        if found
        else np.zeros((0, engine.pipeline.embedder.pin.dimension), np.float32)
    )
    return Templates(tuple(images), row, vectors, tuple(one.quality for one in found), tuple(failures))


def _results(engine: Engine, images: Sequence[Image], cache: TemplateCache) -> Iterator[Embedded | Refused]:
    """Work on photographs side by side, a bounded number ahead, and yield what each gave, in order."""
    workers = os.cpu_count() or 1
    pending: deque[Future[Embedded | Refused]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="facecli-evaluate") as pool:
        try:
            for image in images:
                pending.append(pool.submit(_embedded, engine, image.source, cache))
                if len(pending) > AHEAD * workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _embedded(engine: Engine, source: str, cache: TemplateCache) -> Embedded | Refused:
    """Look one photograph up, or embed it."""
    path = Path(source)
    try:
        # a FIFO would never come to an end, and - is no file but standard input
        known = cache.get(sha256_of(path)) if source != "-" and path.is_file() else None
    except (OSError, ValueError):
        known = None
    if known is not None:
        return known
    try:
        photo = engine.read(source)
    except ImageError as error:  # not kept: another library may read it tomorrow
        return Refused(type(error).__name__, error.message)
    result: Embedded | Refused
    try:
        sample = engine.pipeline.sample(photo, engine.settings.faces)
        result = Embedded(sample.vector, sample.quality)
    except (NoFaceError, SeveralFacesError, QualityError) as error:
        result = Refused(type(error).__name__, error.message.replace(source, "{photo}"))
    cache.put(photo.sha256, result)
    return result
