"""Bytes to pixels: what is read comes out upright, BGR and as a viewer shows it; all else is one sentence."""

import io
import os
import random
import struct
import zlib

import numpy as np
import pytest

from facecli.errors import ImageError, SetupError
from facecli.image import ImageLimits, decode_photo, encode_png, read_photo, write_png
from facecli.opencv import load_cv2

cv2 = load_cv2()
FORMATS = ("jpeg", "png", "webp", "bmp", "tiff", "gif")


def picture(height=40, width=64):
    """A smooth picture whose four corners differ."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) * 255 // (width + height)], axis=2).astype(np.uint8)


def encoded(kind, pixels=None, *options):
    suffix = {"jpeg": ".jpg", "tiff": ".tif"}.get(kind, f".{kind}")
    return cv2.imencode(suffix, picture() if pixels is None else pixels, list(options))[1].tobytes()


def exif(orientation):
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x112, 3, 1, orientation, 0, 0)


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, *, depth=8, colour=2, rows=b"\0", extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def refused(data, name="photo.jpg", limits=None):
    with pytest.raises(ImageError) as caught:
        decode_photo(data, name, limits or ImageLimits())
    assert name in caught.value.message
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_told_by_its_first_bytes_whatever_its_name(kind):
    photo = decode_photo(encoded(kind), "photograph.txt")
    assert (photo.format, photo.pixels.shape, photo.pixels.dtype) == (kind, (40, 64, 3), np.uint8)
    far = np.abs(photo.pixels.astype(int) - picture()).mean()
    assert far < {"jpeg": 3, "webp": 3, "gif": 25}.get(kind, 0.01)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_the_orientation_is_applied(kind, orientation):
    suffix = {"jpeg": ".jpg"}.get(kind, f".{kind}")
    data = cv2.imencodeWithMetadata(
        suffix, picture(), [cv2.IMAGE_METADATA_EXIF], [np.frombuffer(exif(orientation), np.uint8)]
    )[1]
    wanted = {
        1: lambda p: p,
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.swapaxes(0, 1),
        6: lambda p: p.swapaxes(0, 1)[:, ::-1],
        7: lambda p: p.swapaxes(0, 1)[::-1, ::-1],
        8: lambda p: p.swapaxes(0, 1)[::-1],
    }[orientation](picture())
    got = decode_photo(data.tobytes(), "x").pixels
    assert got.shape == wanted.shape
    assert np.abs(got.astype(int) - wanted).mean() < 3


def test_transparency_is_composited_on_white():
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[..., 2] = 200
    pixels[..., 3] = [255, 100, 0]
    for kind in ("png", "webp"):
        got = decode_photo(encoded(kind, pixels, *([cv2.IMWRITE_WEBP_QUALITY, 101] if kind == "webp" else [])), "x")
        assert got.pixels[0].tolist() == [[0, 0, 200], [155, 155, 233], [255, 255, 255]]


def test_a_transparent_grey_level_is_white():
    rows = b"\0" + bytes([7, 9, 7])
    data = png(3, 1, colour=0, rows=rows, extra=chunk(b"tRNS", b"\0\x07"))
    assert decode_photo(data, "x").pixels[0, :, 0].tolist() == [255, 9, 255]


def test_a_transparent_palette_entry_is_white():
    palette = chunk(b"PLTE", bytes([10, 20, 30, 40, 50, 60])) + chunk(b"tRNS", bytes([0, 255]))
    data = png(2, 1, colour=3, rows=b"\0\0\1", extra=palette)
    assert decode_photo(data, "x").pixels[0].tolist() == [[255, 255, 255], [60, 50, 40]]


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_are_rounded_to_eight(kind):
    pixels = np.full((4, 4, 3), 257 * 100 + 200, np.uint16)
    assert decode_photo(encoded(kind, pixels), "x").pixels[0, 0].tolist() == [101, 101, 101]


def test_sixteen_bits_with_transparency():
    pixels = np.full((4, 4, 4), 0x8080, np.uint16)
    assert decode_photo(encoded("png", pixels), "x").pixels[0, 0].tolist() == [191, 191, 191]


def test_grey_becomes_three_channels():
    assert decode_photo(encoded("png", np.full((3, 5), 77, np.uint8)), "x").pixels[1, 1].tolist() == [77, 77, 77]


def test_a_floating_point_photograph_within_0_and_1_is_read_and_any_other_refused():
    pixels = np.full((4, 4, 3), 0.25, np.float32)
    assert decode_photo(encoded("tiff", pixels), "x").pixels[0, 0].tolist() == [64, 64, 64]
    for bad in (pixels * 9, -pixels, pixels * np.nan):
        assert "outside 0..1" in refused(encoded("tiff", bad)).message


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.97])
def test_a_file_cut_short_is_refused(kind, share):
    data = encoded(kind)
    error = refused(data[: int(len(data) * share)])
    assert "damaged or cut short" in error.message or "known format" in error.message


@pytest.mark.parametrize("kind", FORMATS)
def test_a_photograph_that_misses_its_last_bytes_is_refused(kind):
    for missing in (1, 2, 8):
        refused(encoded(kind)[:-missing])


def test_what_is_no_photograph_is_refused_with_the_known_formats():
    for data in (b"hello, I am text\n" * 40, b"BM is how this text begins", b"\0" * 100, b"%PDF-1.7", b"\xff"):
        assert "JPEG" in refused(data).hint
    assert "empty" in refused(b"").message


@pytest.mark.parametrize(("width", "height"), [(30000, 30000), (2**31 - 1, 2**31 - 1), (1, 48 << 21), (0, 5)])
def test_a_bomb_is_refused_by_its_header(width, height):
    refused(png(width, height))


def test_a_bomb_of_every_format_is_refused_by_its_header():
    bmp = bytearray(encoded("bmp"))
    bmp[18:26] = struct.pack("<ii", 30000, -30000)
    gif = bytearray(encoded("gif"))
    gif[6:10] = b"\xff\xff\xff\xff"
    jpeg = encoded("jpeg")
    at = jpeg.index(b"\xff\xc0")
    jpeg = jpeg[: at + 5] + struct.pack(">HH", 65500, 65500) + jpeg[at + 9 :]
    webp = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0" * 2
    tiff = b"II*\0" + struct.pack("<IHHHIIHHII", 8, 2, 256, 4, 1, 60000, 257, 4, 1, 60000)
    for data in (bytes(bmp), bytes(gif), jpeg, webp, tiff):
        assert "too large" in refused(data).message


def test_limits_are_the_callers():
    assert "2,559" in refused(encoded("png"), limits=ImageLimits(max_pixels=2559)).message
    decode_photo(encoded("png"), "x", ImageLimits(max_pixels=2560))
    assert "bytes" in refused(encoded("png"), limits=ImageLimits(max_bytes=50)).message


def test_deep_photographs_may_have_fewer_pixels():
    limits = ImageLimits(max_pixels=2560)
    assert "1,280" in refused(encoded("png", picture().astype(np.uint16) * 257), limits=limits).message
    assert "1,706" in refused(encoded("jpeg", None, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), limits=limits).message


def test_a_path_is_read(tmp_path):
    path = tmp_path / "a photo"
    write_png(path, picture())
    photo = read_photo(str(path))
    assert photo.name == str(path)
    assert np.array_equal(photo.pixels, picture())
    assert len(photo.sha256) == 64


def test_standard_input_is_a_dash_and_a_file_called_so_is_dot_slash_dash(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "-", picture())
    assert np.array_equal(read_photo("./-").pixels, picture())
    piped = read_photo("-", stdin=io.BytesIO(encode_png(picture()[:9])))
    assert (piped.name, piped.pixels.shape) == ("-", (9, 64, 3))
    with pytest.raises(ImageError, match="standard input is empty"):
        read_photo("-", stdin=io.BytesIO())


def test_standard_input_is_read_no_further_than_the_limit():
    endless = io.BytesIO(b"\xff" * 10_000)
    with pytest.raises(ImageError, match="larger than 100 bytes"):
        read_photo("-", ImageLimits(max_bytes=100), stdin=endless)
    assert endless.tell() == 101


def test_what_is_no_regular_file_is_refused_without_blocking(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name, said in ((tmp_path, "folder"), (tmp_path / "fifo", "not a regular file"), ("/dev/zero", "not a regular")):
        with pytest.raises(ImageError, match=said):
            read_photo(str(name))


def test_a_missing_file_is_named_with_its_reason(tmp_path):
    with pytest.raises(ImageError, match=r"gone\.jpg can't be read: No such file"):
        read_photo(str(tmp_path / "gone.jpg"))
    with pytest.raises(ImageError, match="can't be read"):
        read_photo("a\0b")


def test_heic_without_its_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(SetupError) as caught:
        decode_photo(b"\0\0\0\x18ftypheic\0\0\0\0heicmif1" + bytes(50), "phone.heic")
    assert "facecli[heic]" in caught.value.hint


@pytest.mark.parametrize(("kind", "orientation"), [("heic", 1), ("avif", 1), ("avif", 6)])
def test_heic_and_avif_are_read_upright_through_the_extra(kind, orientation):
    pytest.importorskip("pillow_heif").register_heif_opener()
    image = pytest.importorskip("PIL.Image")
    stream, tag = io.BytesIO(), image.Exif()
    tag[0x112] = orientation
    image.fromarray(picture(64, 96)[..., ::-1].copy()).save(stream, {"heic": "HEIF"}.get(kind, "AVIF"), exif=tag)
    photo = decode_photo(stream.getvalue(), "x")
    wanted = picture(64, 96) if orientation == 1 else picture(64, 96).swapaxes(0, 1)[:, ::-1]
    assert (photo.format, photo.pixels.shape) == (kind, wanted.shape)
    assert np.abs(photo.pixels.astype(int) - wanted).mean() < 6
    refused(stream.getvalue()[: len(stream.getvalue()) // 2])
    assert "too large" in refused(stream.getvalue(), limits=ImageLimits(max_pixels=100)).message


@pytest.mark.parametrize("kind", FORMATS)
def test_five_hundred_mutations_end_in_a_photograph_or_one_sentence(kind):
    whole = encoded(kind)
    for seed in range(500):
        luck = random.Random(f"{kind}{seed}")  # noqa: S311 (mutations, no secrets)
        data = bytearray(whole)
        for _ in range(luck.choice((1, 2, 8))):
            data[luck.randrange(min(len(data), luck.choice((64, len(data)))))] = luck.randrange(256)
        try:
            photo = decode_photo(bytes(data[: luck.choice((len(data), luck.randrange(len(data))))]), "mutated")
        except ImageError as error:
            assert "mutated" in error.message  # noqa: PT017
        else:
            assert photo.pixels.dtype == np.uint8
            assert photo.pixels.shape[2] == 3
