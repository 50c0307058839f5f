"""Pictures of every format: whole, upright and in known colours, or refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from isocortex.data.pictures import read_image
from isocortex.errors import DataError

NOISE = np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8)
#: what a viewer does to the stored pixels for each value of the orientation (EXIF 2.3, tag 0x0112)
UPRIGHT = {
    1: lambda array: array,
    2: lambda array: array[:, ::-1],
    3: lambda array: array[::-1, ::-1],
    4: lambda array: array[::-1],
    5: lambda array: array.swapaxes(0, 1),
    6: lambda array: array.swapaxes(0, 1)[:, ::-1],
    7: lambda array: array[::-1, ::-1].swapaxes(0, 1),
    8: lambda array: array.swapaxes(0, 1)[::-1],
}


def saved(array: np.ndarray | Image.Image, format_: str, **options: object) -> bytes:
    file = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(file, format_, **options)  # type: ignore[arg-type]
    return file.getvalue()


def read(tmp_path: Path, content: bytes, name: str = "a.png") -> np.ndarray:
    (tmp_path / name).write_bytes(content)
    array, rate = read_image(tmp_path / name)
    assert rate is None
    assert array.dtype == np.uint8
    assert array.ndim == 3
    return array


def png_chunk(name: bytes, body: bytes, crc: int | None = None) -> bytes:
    checksum = zlib.crc32(name + body) if crc is None else crc
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def png(width: int, height: int, pixels: bytes, kind: int = 2) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    chunks = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(pixels)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize(
    ("format_", "options"),
    [
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("JPEG", {"quality": 100, "subsampling": 0}),
    ],
    ids=["png", "webp", "tiff", "tiff lzw", "jpeg"],
)
def test_pictures_are_upright(tmp_path: Path, format_: str, options: dict[str, object], orientation: int) -> None:
    smooth = np.array(Image.fromarray(NOISE[:6, :9]).resize((36, 24), Image.Resampling.BICUBIC))
    exif = Image.Exif()
    exif[0x0112] = orientation
    array = read(tmp_path, saved(smooth, format_, exif=exif, **options))
    np.testing.assert_allclose(array.astype(int), UPRIGHT[orientation](smooth), atol=6 if format_ == "JPEG" else 0)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_an_orientation_that_does_not_exist_is_none(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(read(tmp_path, saved(NOISE, "PNG", exif=exif)), NOISE)


def test_sixteen_bits_are_turned_too(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = NOISE[..., 0].astype(np.uint16) * 257
    np.testing.assert_array_equal(read(tmp_path, saved(grey, "PNG", exif=exif))[..., 0], UPRIGHT[6](NOISE[..., 0]))


def frames(n: int = 3) -> list[Image.Image]:
    return [Image.fromarray(np.roll(NOISE, place, axis=0)) for place in range(n)]


CMYK = Image.fromarray(NOISE).convert("CMYK")
SRGB, LAB_PROFILE = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
LAB = ImageCms.applyTransform(Image.fromarray(NOISE), ImageCms.buildTransform(SRGB, LAB_PROFILE, "RGB", "LAB"))
assert LAB is not None
TIFF_16 = saved((NOISE[..., 0].astype(np.uint16) * 257), "TIFF")


def tiff_with(tag: int, value: int) -> bytes:
    """A 16-bit TIFF with another value of one short tag."""
    content = bytearray(TIFF_16)
    (place,) = struct.unpack_from("<I", content, 4)
    (n,) = struct.unpack_from("<H", content, place)
    for entry in range(place + 2, place + 2 + 12 * n, 12):
        if struct.unpack_from("<H", content, entry)[0] == tag:
            struct.pack_into("<H", content, entry + 8, value)
            return bytes(content)
    raise AssertionError(tag)


REFUSED: dict[str, tuple[bytes, str]] = {
    "tiff of three": (saved(frames()[0], "TIFF", save_all=True, append_images=frames()[1:]), "holds 3 pictures"),
    "apng": (saved(frames()[0], "PNG", save_all=True, append_images=frames()[1:]), "holds 3 pictures"),
    "webp film": (saved(frames()[0], "WEBP", save_all=True, append_images=frames()[1:]), "holds 3 pictures"),
    "cmyk jpeg": (saved(CMYK, "JPEG"), "need a profile"),
    "cmyk tiff": (saved(CMYK, "TIFF"), "need a profile"),
    "lab tiff": (saved(LAB, "TIFF"), "need a profile"),
    "32 bits": (saved(NOISE[..., 0].astype(np.int32), "TIFF"), "whose range is unknown"),
    "float": (saved(NOISE[..., 0].astype(np.float32), "TIFF"), "whose range is unknown"),
    "12 bits": (tiff_with(258, 12), "12 bits"),
    "black and white exchanged": (tiff_with(262, 0), "black and white exchanged"),
    "gif": (saved(NOISE, "GIF"), "expected PNG, JPEG, BMP, TIFF or WebP"),
    "ppm": (saved(NOISE, "PPM"), "expected PNG"),
    "eps": (saved(NOISE, "EPS"), "expected PNG"),
    "pdf": (saved(NOISE, "PDF"), "expected PNG"),
    "ico": (saved(NOISE, "ICO"), "expected PNG"),
    "tga": (saved(NOISE, "TGA"), "expected PNG"),
    "jpeg 2000": (saved(NOISE, "JPEG2000"), "expected PNG"),
    "a web page": (b"<!DOCTYPE html><html>404</html>", "expected PNG"),
    "nothing": (b"", "expected PNG"),
    "png promising 9000 x 9000": (png(9000, 9000, bytes(100)), "more than .* bytes can hold"),
    "png promising 2**31 pixels a line": (png((1 << 31) - 1, 1, bytes(100)), "."),
    "png promising 30000 x 30000": (png(30000, 30000, bytes(100)), "."),
    "png of 90 million pixels": (png(9500, 9500, bytes(9500 * 9501), 0), "."),
    "png with fewer pixels": (png(100, 100, bytes(301 * 50)), "."),
    "bmp promising 9000 x 9000": (b"BM" + struct.pack("<6I2H", 200, 0, 54, 40, 9000, 9000, 1, 24) + bytes(170), "."),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_guessed_or_is_no_picture_is_refused(tmp_path: Path, name: str) -> None:
    content, message = REFUSED[name]
    with pytest.raises(DataError, match=rf"a\.png cannot be .*({message})"):
        read(tmp_path, content)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp", "a.bmp"])
@pytest.mark.parametrize("format_", ["PNG", "BMP", "TIFF", "WEBP"])
def test_the_content_decides_not_the_name(tmp_path: Path, name: str, format_: str) -> None:
    options = {"lossless": True} if format_ == "WEBP" else {}
    np.testing.assert_array_equal(read(tmp_path, saved(NOISE, format_, **options), name), NOISE)


def test_a_photograph_of_a_phone_is_its_first_picture(tmp_path: Path) -> None:
    """Phones put further pictures behind the one that is shown (MPO)."""
    content = saved(frames()[0], "MPO", save_all=True, append_images=frames()[1:], quality=95)
    assert Image.open(io.BytesIO(content)).format == "MPO"
    first = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    np.testing.assert_array_equal(read(tmp_path, content, "a.jpg"), first)


def test_deep_colours_keep_their_upper_bits(tmp_path: Path) -> None:
    deep = (NOISE.astype(np.uint16) * 256 + 255).astype(">u2")
    head = struct.pack(">IIBBBBB", 36, 24, 16, 2, 0, 0, 0)
    lines = b"".join(b"\0" + line.tobytes() for line in deep)
    chunks = png_chunk(b"IHDR", head) + png_chunk(b"IDAT", zlib.compress(lines)) + png_chunk(b"IEND", b"")
    np.testing.assert_array_equal(read(tmp_path, b"\x89PNG\r\n\x1a\n" + chunks), NOISE)


def test_grey_with_black_and_white_exchanged_is_shown_as_viewers_do(tmp_path: Path) -> None:
    content = bytearray(saved(NOISE[..., 0], "TIFF"))
    (place,) = struct.unpack_from("<I", content, 4)
    (n,) = struct.unpack_from("<H", content, place)
    (entry,) = (
        one for one in range(place + 2, place + 2 + 12 * n, 12) if struct.unpack_from("<H", content, one)[0] == 262
    )
    struct.pack_into("<H", content, entry + 8, 0)
    np.testing.assert_array_equal(read(tmp_path, bytes(content))[..., 0], 255 - NOISE[..., 0])


def test_colour_profiles_and_gamma_are_not_applied(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    more = PngImagePlugin.PngInfo()
    more.add(b"gAMA", struct.pack(">I", 100_000))
    np.testing.assert_array_equal(read(tmp_path, saved(NOISE, "PNG", icc_profile=profile, pnginfo=more)), NOISE)


WHOLE = {
    "png": saved(NOISE, "PNG"),
    "jpeg": saved(NOISE, "JPEG"),
    "progressive jpeg": saved(NOISE, "JPEG", progressive=True),
    "webp": saved(NOISE, "WEBP"),
    "lossless webp": saved(NOISE, "WEBP", lossless=True),
    "bmp": saved(NOISE, "BMP"),
    "tiff": saved(NOISE, "TIFF"),
    "tiff lzw": saved(NOISE, "TIFF", compression="tiff_lzw"),
    "tiff deflate": saved(NOISE, "TIFF", compression="tiff_adobe_deflate"),
    "jpeg with a thumbnail": saved(NOISE, "JPEG", exif=b"Exif\0\0" + saved(NOISE, "JPEG")),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", WHOLE)
def test_no_shortening_of_a_picture_is_taken_for_it(tmp_path: Path, name: str) -> None:
    """Every place near both ends, and some between."""
    content = WHOLE[name]
    (tmp_path / "whole").write_bytes(content)
    whole = read_image(tmp_path / "whole")[0]
    ends = {*range(60), *range(len(content) - 60, len(content)), *range(60, len(content) - 60, 97)}
    for end in sorted(ends):
        try:
            array = read(tmp_path, content[:end])
        except DataError:
            continue
        assert name.startswith("tiff"), end
        np.testing.assert_array_equal(array, whole)  # behind the pixels of a TIFF lie tags of which none decides


@pytest.mark.parametrize("place", range(0, 60, 3))
def test_a_flipped_byte_of_a_png_is_found(tmp_path: Path, place: int) -> None:
    content = bytearray(WHOLE["png"])
    content[33 + place * (len(content) - 40) // 60] ^= 0x10
    with pytest.raises(DataError, match=r"a\.png cannot be read"):
        read(tmp_path, bytes(content))
