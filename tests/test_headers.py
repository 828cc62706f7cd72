"""What a header says is told for any bytes whatever, and nothing is ever raised."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from facecli import headers
from facecli.headers import Size

KINDS = ("jpeg", "png", "webp", "bmp", "tiff", "gif")
MAGIC = {
    "jpeg": b"\xff\xd8\xff\xc0\0\x11",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "webp": b"RIFF\0\0\0\0WEBPVP8",
    "bmp": b"BM",
    "tiff": b"II*\0",
    "gif": b"GIF89a",
}


@given(st.sampled_from(KINDS), st.binary(max_size=80))
def test_any_bytes_get_an_answer(kind, tail):
    data = MAGIC[kind] + tail
    size = headers.size_of(data, kind)
    assert size is None or isinstance(size, Size)
    assert headers.is_complete(data, kind) in (True, False)
    assert 1 <= headers.orientation_of(tail) <= 8
    assert headers.grey_key_of(data) is None or headers.grey_key_of(data) >= 0
    headers.format_of(tail)


def test_big_tiff_and_both_byte_orders_tell_their_size():
    small = struct.pack(">HIHHHIHHHHIHH", 42, 8, 2, 256, 3, 1, 640, 0, 257, 3, 1, 480, 0)
    assert headers.size_of(b"MM" + small, "tiff") == Size(640, 480)
    big = struct.pack("<HHHQQHHQQHHQQ", 43, 8, 0, 16, 2, 256, 4, 1, 640, 257, 4, 1, 480)
    assert headers.size_of(b"II" + big, "tiff") == Size(640, 480)


def test_the_cost_of_deep_samples_stands_behind_a_list():
    entries = struct.pack("<HHHIIHHIIHHII", 3, 256, 4, 1, 64, 257, 4, 1, 48, 258, 3, 3, 50)
    data = b"II*\0" + struct.pack("<I", 8) + entries
    data = data.ljust(50, b"\0") + struct.pack("<HHH", 16, 16, 16)
    assert headers.size_of(data, "tiff") == Size(64, 48, 2.0)


def test_an_offset_beyond_all_measure_is_no_size():
    assert headers.size_of(b"II+\0\x08\0\0\0" + b"\xff" * 8 + bytes(40), "tiff") is None


def test_avif_and_heic_are_told_apart_by_their_brands():
    assert headers.format_of(b"\0\0\0\x1cftypavif\0\0\0\0mif1miaf") == "avif"
    assert headers.format_of(b"\0\0\0\x1cftypmif1\0\0\0\0avifmiaf") == "avif"
    assert headers.format_of(b"\0\0\0\x1cftypmif1\0\0\0\0heicmiaf") == "heic"
    assert headers.format_of(b"\0\0\0\x1cftypisom\0\0\0\0mp42isom") is None
