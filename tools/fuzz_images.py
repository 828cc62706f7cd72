"""Feed mutated photographs to the decoder, and count what does not end as it must.

The promise (S5): whatever the bytes, decoding ends within 2 s and 512 MB in a picture or in an ``ImageError``; no
crash, no traceback. Seeds are photographs written in every format that facecli reads, in odd depths, palettes and
orientations; mutations flip, insert, delete, repeat and splice bytes, and put extreme numbers where lengths and sizes
stand.

    python tools/fuzz_images.py --photographs .photographs --minutes 20 --seed 1

Work is done in a child process under RLIMIT_AS with an alarm, so that a crash ends the child and not the count; the
input that did it is kept. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 30_000, 65_536)
LIMIT_S = 10
SLOW_S = 2.0
ADDRESS_SPACE = 3 << 30
"""Of address space, most of it reserved and never touched; what is really used is measured as peak RSS."""


def main() -> None:
    """Run the parent, or the child that does the work."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photographs", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--child", type=int, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        work(options.photographs, options.seed, options.child)
    else:
        supervise(options)


def supervise(options: argparse.Namespace) -> None:
    """Start children one after another, each where the last one ended, until the time is over."""
    until = time.monotonic() + 60 * options.minutes
    outcomes: Counter[str] = Counter()
    found: list[dict[str, object]] = []
    at, slowest, peak = 0, 0.0, 0
    options.keep.mkdir(parents=True, exist_ok=True)
    while time.monotonic() < until:
        child = start(options, at)
        for told in lines_of(child, until):
            at = told["number"] + 1
            outcomes[told["outcome"]] += 1
            slowest, peak = max(slowest, told["seconds"]), max(peak, told["peak_mb"])
            if told["outcome"] == "traceback" or told["seconds"] > SLOW_S:
                found.append(told)
        if time.monotonic() >= until:
            break
        outcomes["crash or hang"] += 1
        found.append({"number": at, "status": child.returncode})
        options.keep.joinpath(f"{options.seed}-{at}.bin").write_bytes(mutated(options.photographs, options.seed, at))
        at += 1
    told = {"images": sum(outcomes.values()), "outcomes": dict(outcomes), "slowest_s": slowest, "peak_mb": peak}
    print(json.dumps({**told, "found": found}, indent=1))


def start(options: argparse.Namespace, first: int) -> subprocess.Popen[str]:
    """Start a child at a number."""
    command = [sys.executable, __file__, "--photographs", str(options.photographs), "--seed", str(options.seed)]
    return subprocess.Popen([*command, "--child", str(first)], stdout=subprocess.PIPE, text=True)


def lines_of(child: subprocess.Popen[str], until: float) -> Iterator[dict[str, Any]]:
    """Give what a child reports until it ends, hangs, or the time is over."""
    stream = child.stdout
    while time.monotonic() < until:
        ready, _, _ = select.select([stream], [], [], LIMIT_S + 60)
        line = stream.readline() if ready else ""
        if not line:
            break
        yield json.loads(line)
    child.kill()
    child.wait()


def work(photographs: Path, seed: int, first: int) -> None:
    """Decode one mutated photograph after another and report each on a line."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    seeds = seeds_of(photographs)
    number = first
    while True:
        data = mutation(seeds, seed, number)
        signal.alarm(LIMIT_S)
        began = time.monotonic()
        outcome, why = decoded(data)
        seconds = time.monotonic() - began
        signal.alarm(0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        told = {"number": number, "outcome": outcome, "seconds": round(seconds, 3), "peak_mb": peak, "why": why}
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()
        number += 1


def decoded(data: bytes) -> tuple[str, str]:
    """Decode, and say how it ended."""
    import numpy as np

    from facecli.errors import ImageError
    from facecli.image import decode_photo

    try:
        photo = decode_photo(data, "mutated")
    except ImageError:
        return "refused", ""
    except Exception as error:  # noqa: BLE001 (this is what is looked for)
        import traceback

        return "traceback", f"{type(error).__name__}: {error}: {traceback.format_exc()[-600:]}"
    pixels = photo.pixels
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        return "traceback", f"pixels of {pixels.dtype} {pixels.shape}"
    return "decoded", ""


def mutated(photographs: Path, seed: int, number: int) -> bytes:
    """Make one mutated photograph again."""
    return mutation(seeds_of(photographs), seed, number)


def seeds_of(photographs: Path) -> list[bytes]:
    """Return whole files in every format, small enough to be mutated quickly, and the photographs as they are."""
    import numpy as np

    from facecli.opencv import load_cv2

    cv2 = load_cv2()
    files = sorted(photographs.glob("*.jpg"))
    small = cv2.resize(cv2.imread(str(files[0])), (96, 128))
    grey, deep = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), small.astype(np.uint16) * 257
    alpha = np.dstack([small, grey])
    written = [
        (".jpg", small, []),
        (".jpg", grey, []),
        (".jpg", small, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", small, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (".png", small, []),
        (".png", grey, []),
        (".png", deep, []),
        (".png", alpha, []),
        (".png", grey // 128 * 255, [cv2.IMWRITE_PNG_BILEVEL, 1]),
        (".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 80]),
        (".webp", small, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        (".webp", alpha, [cv2.IMWRITE_WEBP_QUALITY, 101]),
        (".bmp", small, []),
        (".bmp", grey, []),
        (".bmp", alpha, []),
        *(
            (".tiff", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, c])
            for c in (1, 5, 7, 8, 32773)
            for pixels in (small, grey)
        ),
        (".tiff", deep, []),
        (".tiff", alpha, []),
        (".tiff", small.astype(np.float32) / 255, []),
        (".gif", small, []),
    ]
    made = [cv2.imencode(ending, pixels, flags)[1].tobytes() for ending, pixels, flags in written]
    return [*made, *_with_exif(made), *_by_pillow(small), *(file.read_bytes() for file in files[:2])]


def _with_exif(made: list[bytes]) -> list[bytes]:
    """Put an orientation into the first JPEG."""
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    block = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    return [made[0][:2] + block + made[0][2:]]


def _by_pillow(small: object) -> list[bytes]:
    """Write what OpenCV can't: palettes, interlacing, CMYK, animations, HEIC and AVIF; none without Pillow."""
    import io

    try:
        from PIL import Image
    except ImportError:
        return []
    picture = Image.fromarray(small[..., ::-1].copy())
    wanted = [
        ("PNG", picture.quantize(16), {"transparency": 0}),
        ("GIF", picture.quantize(64), {"save_all": True, "append_images": [picture.rotate(9).quantize(64)]}),
        ("JPEG", picture.convert("CMYK"), {}),
        ("WEBP", picture, {"save_all": True, "append_images": [picture.rotate(9)]}),
        ("PNG", picture, {"save_all": True, "append_images": [picture.rotate(9)]}),
        ("TIFF", picture, {"compression": "tiff_lzw", "save_all": True, "append_images": [picture.rotate(9)]}),
        ("TIFF", picture, {"big_tiff": True}),
        ("AVIF", picture, {}),
    ]
    try:
        import pillow_heif

        pillow_heif.register_heif_opener()
        wanted.append(("HEIF", picture, {}))
    except ImportError:
        pass
    files = []
    for kind, image, flags in wanted:
        stream = io.BytesIO()
        image.save(stream, kind, **flags)
        files.append(stream.getvalue())
    return files


def mutation(seeds: list[bytes], seed: int, number: int) -> bytes:
    """Return the mutated photograph of this number: the same every time."""
    luck = random.Random(f"{seed}/{number}")  # noqa: S311
    data = bytearray(luck.choice(seeds))
    for _ in range(luck.choice((1, 1, 2, 3, 8, 40))):
        _mutate(data, seeds, luck)
    return bytes(data)


def _mutate(data: bytearray, seeds: list[bytes], luck: random.Random) -> None:
    """Change one thing; half of the time near the beginning, where sizes and lengths stand."""
    at = luck.randrange(min(len(data), 512) if luck.random() < 0.5 else max(len(data), 1)) if data else 0
    size = luck.choice((1, 2, 4, 8))
    match luck.randrange(8):
        case 0 | 1:
            data[at : at + 1] = bytes([luck.randrange(256)])
        case 2:
            data[at : at + 1] = bytes([(data[at] if at < len(data) else 0) ^ 1 << luck.randrange(8)])
        case 3 | 4:
            value = luck.choice(EXTREMES) % (1 << 8 * size)
            data[at : at + size] = value.to_bytes(size, luck.choice(("big", "little")))
        case 5:
            del data[at : at + luck.choice((1, 2, 16, 256, len(data)))]
        case 6:
            data[at:at] = data[at : at + luck.choice((1, 4, 64, 1024))]
        case _:
            other = luck.choice(seeds)
            start = luck.randrange(len(other))
            data[at : at + size * 8] = other[start : start + size * 8]


if __name__ == "__main__":
    main()
