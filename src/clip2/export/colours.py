"""A colour for each name, the same in every export."""

import colorsys
import hashlib


def colour_of(name: str) -> tuple[int, int, int]:
    """RGB, 0 to 255, by a name's letters; bright enough on black and white."""
    hue = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.9)
    return round(255 * red), round(255 * green), round(255 * blue)
