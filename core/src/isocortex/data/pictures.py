"""Reading pictures: whole, upright, one to a file, in colours that are known, or refused."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from isocortex.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

    from isocortex.typing import Array

#: what Pillow may take a file for; others of its formats run programs, or hold what is no picture
_FORMATS: Final = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
#: modes that become RGB without a guess
_MODES: Final = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "I;16", "I;16L", "I;16B")
#: pixels that a byte of a file can stand for: deflate makes at most 1,032 bytes of one, JPEG 340 pixels
_PIXELS_PER_BYTE: Final = {"PNG": 8 * 1032, "JPEG": 1024, "MPO": 1024}
_PHOTOMETRIC, _BITS_PER_SAMPLE = 262, 258


def read_image(path: Path) -> tuple[Array, None]:
    """Read an image as (height, width, 3) uint8 RGB, upright.

    The orientation in EXIF or XMP is applied, as viewers do. Transparency is laid on mid-grey. 16-bit grey is divided
    by 257, of 16-bit colours the upper 8 bits are taken. Grey, palettes and bits become RGB. Colour profiles and gamma
    are not applied.

    Raises
    ------
    DataError
        The file is no PNG, JPEG, BMP, TIFF or WebP, is truncated or damaged, is too large to be true, holds several
        pictures, or has values of an unknown range or colours that need a profile (CMYK, LAB, YCbCr).
    """
    import warnings

    import numpy as np
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            content = path.read_bytes()
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                _check(image, content)
                image.load()
                if image.format == "PNG":
                    _check_lines(image, content)
                ImageOps.exif_transpose(image, in_place=True)
                return np.asarray(_as_rgb(image)), None
    except DataError as error:
        raise DataError(f"{path.name} cannot be used: {error}") from error
    except Exception as error:  # Pillow's decoders raise whatever a damaged file leads them to
        raise DataError(
            f"{path.name} cannot be read as an image ({error}). Copy or download it again; expected PNG, JPEG, BMP, "
            "TIFF or WebP."
        ) from error


def _check(image: Image, content: bytes) -> None:
    """Refuse what can be told from the file before pixels are decoded."""
    n_frames = int(getattr(image, "n_frames", 1))
    if n_frames > 1 and image.format != "MPO":  # photographs of phones: the first picture is the one that is shown
        raise DataError(f"It holds {n_frames} pictures, as films do. Save the one that is meant.")
    if image.mode not in _MODES:
        advice = (
            "32-bit values, whose range is unknown. Save it with 8 or 16 bits."
            if image.mode in ("I", "F")
            else "colours that need a profile to be shown. Convert it to RGB."
        )
        raise DataError(f"It has {advice.replace('.', f' ({image.mode}).', 1)}")
    if image.format == "TIFF" and image.mode.startswith("I;16"):
        _check_deep_tiff(image)
    kind, n_bytes = str(image.format), len(content)
    if image.width * image.height > _PIXELS_PER_BYTE.get(kind, 1 << 40) * n_bytes:
        raise ValueError(f"it promises {image.width} × {image.height} pixels, more than {n_bytes:,} bytes can hold")
    if kind in _WHOLE:
        _WHOLE[kind](content)


def _check_deep_tiff(image: Image) -> None:
    tags = getattr(image, "tag_v2")  # noqa: B009
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if bits != 16 or tags.get(_PHOTOMETRIC) == 0:
        kind = f"{bits} bits" if bits != 16 else "16 bits with black and white exchanged"
        raise DataError(f"It has {kind} for a pixel; Pillow does not scale these. Save it with 8 or 16 bits.")


def _check_png(content: bytes) -> None:
    """Every chunk must have its checksum, up to the last; Pillow looks at neither in the pixels."""
    for _ in _png_chunks(content):
        pass


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    position, name = 8, b""
    while name != b"IEND":
        head = content[position : position + 8]
        name, end = head[4:], position + 12 + int.from_bytes(head[:4], "big")
        if len(head) < 8 or end > len(content):
            raise ValueError("it is truncated")
        if zlib.crc32(content[position + 4 : end - 4]).to_bytes(4, "big") != content[end - 4 : end]:
            raise ValueError(f"its part {name!r} does not have its checksum")
        yield name, content[position + 8 : end - 4]
        position = end


def _check_lines(image: Image, content: bytes) -> None:
    """Pillow leaves lines that are not there black: where the last one is, the bytes of all lines are counted."""
    last = image.crop((0, image.height - 1, image.width, image.height))
    if last.getbbox(alpha_only=False) is not None and not content[28]:
        return
    n_bytes = _n_bytes_of_png(content[16:29])
    pixels = b"".join(body for name, body in _png_chunks(content) if name == b"IDAT")
    if len(zlib.decompressobj().decompress(pixels, n_bytes)) < n_bytes:
        raise ValueError("it is truncated")


def _n_bytes_of_png(head: bytes) -> int:
    """Bytes of the lines before they are packed; a picture in seven passes has at least those of a plain one."""
    width, height = int.from_bytes(head[:4], "big"), int.from_bytes(head[4:8], "big")
    n_channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[head[9]]
    if not head[12]:
        return height * (1 + (width * n_channels * head[8] + 7) // 8)
    return width * height * n_channels * head[8] // 8


def _check_jpeg(content: bytes) -> None:
    """The mark of the end must follow the pixels; what lies behind it, as phones write it, is not looked at."""
    position = 2
    while content[position : position + 2] not in (b"\xff\xda", b"") and content[position] == 0xFF:
        position += (
            1 if content[position + 1] == 0xFF else 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        )
    if content.find(b"\xff\xd9", position) < 0:
        raise ValueError("it is truncated")


def _check_webp(content: bytes) -> None:
    if 8 + int.from_bytes(content[4:8], "little") > len(content):
        raise ValueError("it is truncated")


_WHOLE = {"PNG": _check_png, "JPEG": _check_jpeg, "WEBP": _check_webp}


def _as_rgb(image: Image) -> Image:
    import numpy as np
    from PIL import Image as PillowImage

    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.float64) / 257
        return PillowImage.fromarray(np.rint(grey).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in image.info:
        opaque = image.convert("RGBA")
        image = PillowImage.alpha_composite(PillowImage.new("RGBA", opaque.size, (128, 128, 128, 255)), opaque)
    return image.convert("RGB")
