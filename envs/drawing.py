"""A few shapes on RGB pictures [height, width, 3], and pictures as PNG files."""

import struct
import zlib

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
Colour = tuple[int, int, int]

INK: Colour = (38, 50, 56)
BLUE: Colour = (0, 114, 178)
ORANGE: Colour = (213, 94, 0)
GREY: Colour = (176, 190, 197)


def blank(height: int, width: int) -> Picture:
    """A white picture."""
    return np.full((height, width, 3), 255, np.uint8)


def rectangle(picture: Picture, left: float, top: float, width: float, height: float, colour: Colour) -> None:
    """Fills an upright rectangle; what lies outside the picture is left out."""
    rows = slice(max(0, round(top)), max(0, round(top + height)))
    picture[rows, max(0, round(left)) : max(0, round(left + width))] = colour


def bar(picture: Picture, start: tuple[float, float], end: tuple[float, float], width: float, colour: Colour) -> None:
    """Draws a straight bar with round ends between two points (x to the right, y down)."""
    y, x = np.indices(picture.shape[:2])
    along = np.subtract(end, start)
    length_squared = float(along @ along) or 1.0
    place = np.clip(((x - start[0]) * along[0] + (y - start[1]) * along[1]) / length_squared, 0.0, 1.0)
    distance_squared = (x - start[0] - place * along[0]) ** 2 + (y - start[1] - place * along[1]) ** 2
    picture[distance_squared <= (width / 2) ** 2] = colour


def png(picture: Picture) -> bytes:
    """The picture as a PNG file (https://www.w3.org/TR/png-3/): 8 bits, RGB, unfiltered rows."""
    height, width, _ = picture.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, -1)], 1).tobytes()

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body
