"""Pictures as cameras and recorders write them: 16-bit ones, turned ones, depth images, and damaged ones."""

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from clip2.scans.depth import CloudError, depth_cloud, read_depth
from clip2.scans.images import ImageError, picture_complaint, picture_size, read_image
from clip2.scans.png import SIGNATURE, checked_png

ORIENTATION = 0x0112
TURNED_BY = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation → what a viewer does (Pillow's ImageOps.exif_transpose)."""


def picture(height: int = 24, width: int = 32) -> np.ndarray:
    """(H, W, 3) uint8, all rows and columns different."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([8 * columns % 256, 10 * rows % 256, (8 * columns + 10 * rows) % 256], axis=2).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image[..., ::-1] if image.ndim == 3 else image)[1])


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def put(folder: Path, data: bytes, name: str = "a.png") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_pictures_of_16_bits_are_scaled_by_what_is_in_use(tmp_path: Path, bits: int) -> None:
    image = picture()
    image[0, 0] = 255  # something bright, as there is in pictures
    deep = image.astype(np.uint16) << (bits - 8)
    np.testing.assert_array_equal(read_image(put(tmp_path, png(deep))), image)


def test_a_hot_pixel_says_nothing_of_the_bits(tmp_path: Path) -> None:
    image = np.tile(picture(), (10, 10, 1))
    deep = image.astype(np.uint16) << 4
    deep[7, 7] = 65535
    read = read_image(put(tmp_path, png(deep)))
    image[7, 7] = 255
    np.testing.assert_array_equal(read, image)


def jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", image)[1])


def noisy(height: int = 240, width: int = 320) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8)


def test_a_jpeg_whose_lower_part_is_lost_is_refused(tmp_path: Path) -> None:
    """With an end marker all the same: decoders fill in grey and say nothing."""
    whole = jpeg(noisy())
    read_image(put(tmp_path, whole))
    with pytest.raises(ImageError, match="the lower part of the JPEG is lost"):
        read_image(put(tmp_path, whole[: len(whole) // 2] + b"\xff\xd9"))
    read_image(put(tmp_path, jpeg(np.full((24, 32, 3), 128, np.uint8))))  # all of it grey: a picture
    read_image(put(tmp_path, jpeg(np.concatenate([noisy(), np.full((64, 320, 3), 128, np.uint8)]))))  # a border


LOOKS: dict[str, tuple[bytes, str | None]] = {
    "a JPEG": (jpeg(noisy()), None),
    "with more behind its end": (jpeg(noisy()) + bytes(10_000), None),
    "a PNG": (png(noisy()), None),
    "half of a JPEG": (jpeg(noisy())[:20_000], "ends too early"),
    "half of a PNG": (png(noisy())[:-5000], "the PNG is cut short"),
    "of another size": (png(noisy(120, 160)), "is 160×120, its calibration is for 320×240"),
    "a page": (b"<!DOCTYPE html><html>503" + b" " * 3000, "is a web page"),
    "anything": (bytes(range(256)) * 20, "not a readable image; copy it again"),
}


@pytest.mark.parametrize(("data", "said"), LOOKS.values(), ids=LOOKS)
def test_a_look_at_head_and_end(tmp_path: Path, data: bytes, said: str | None) -> None:
    complaint = picture_complaint(put(tmp_path, data), (320, 240))
    assert (complaint is None) if said is None else (said in str(complaint))


def as_file(image: np.ndarray, format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, format)
    return file.getvalue()


def test_pictures_of_other_forms_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a GIF picture; save it as PNG or JPEG"):
        read_image(put(tmp_path, as_file(picture(), "GIF")))


def test_messages_hold_no_address_in_memory(tmp_path: Path) -> None:
    for data in (b"<html>", bytes(range(200))):
        with pytest.raises(ImageError) as error:
            read_image(put(tmp_path, data))
        assert " at 0x" not in str(error.value)


def test_pictures_of_8_bits_stay_as_they_are(tmp_path: Path) -> None:
    dark = picture() // 16
    np.testing.assert_array_equal(read_image(put(tmp_path, png(dark))), dark)


@pytest.mark.parametrize("ending", ["jpg", "png"])
@pytest.mark.parametrize("orientation", TURNED_BY)
def test_pictures_are_turned_as_viewers_turn_them(tmp_path: Path, orientation: int, ending: str) -> None:
    stored = Image.fromarray(picture())
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path = tmp_path / f"a.{ending}"
    stored.save(path, exif=exif.tobytes(), **({"quality": 100, "subsampling": 0} if ending == "jpg" else {}))
    method = TURNED_BY[orientation]
    shown = np.asarray(stored if method is None else stored.transpose(method)).astype(int)
    found = read_image(path, (shown.shape[1], shown.shape[0]))
    assert picture_size(path) == (shown.shape[1], shown.shape[0])
    assert found.flags.c_contiguous
    assert np.abs(found - shown).mean() < (6 if ending == "jpg" else 1e-9)  # another way up: about 80
    if orientation > 4:
        with pytest.raises(
            ImageError, match=rf"is 24×32 when turned as its EXIF orientation \({orientation}\) says, its"
        ):
            read_image(path, (32, 24))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "is a Git LFS pointer"),
        (b"<html>Sign in</html>", "is a web page"),
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(50), "is a ZIP archive"),
        (png(picture())[:-20], "the PNG is cut short"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "the JPEG ends too early"),
        (bytes(range(200)), "not a readable image"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(ImageError, match=said) as error:
        read_image(put(tmp_path, data))
    assert error.value.reason == "image_unreadable"
    assert "\n" not in str(error.value)


def test_a_dangling_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to("/somewhere/else.jpg")
    with pytest.raises(ImageError, match=r"is a link to /somewhere/else\.jpg, where nothing is"):
        read_image(tmp_path / "a.jpg")


# --- damaged PNGs ----------------------------------------------------------------------------------------------------


def huge_head(data: bytes, width: int = 60_000, height: int = 60_000) -> bytes:
    head = struct.pack(">II", width, height) + data[24:29]
    return data[:8] + chunk(b"IHDR", head) + data[33:]


def bomb(n_bytes: int) -> bytes:
    """A text chunk that unpacks to much."""
    return chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(n_bytes), 9))


@pytest.mark.parametrize("kind", ["a chunk of gigabytes", "an animation", "a bomb", "a profile"])
def test_chunks_that_are_no_pixels_are_never_decoded(kind: str) -> None:
    data = png(picture())
    extra = {
        "a chunk of gigabytes": struct.pack(">I", 0xFFFFFFF0) + b"IDAT" + bytes(50),
        "an animation": chunk(b"acTL", struct.pack(">II", 2**31, 0)),
        "a bomb": bomb(1 << 24),
        "a profile": chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1 << 20))),
    }[kind]
    inserted = data[:33] + extra + data[33:]
    if kind == "a chunk of gigabytes":
        with pytest.raises(ValueError, match="cut short"):
            checked_png(inserted)
    else:
        assert checked_png(inserted) == checked_png(data)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    data = bytearray(png(picture()))
    data[data.index(b"IDAT") + 20] ^= 1
    with pytest.raises(ImageError, match="the PNG is damaged"):
        read_image(put(tmp_path, bytes(data)))


def test_a_picture_s_size_is_looked_at_before_it_is_decoded(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is 8000×9000, its calibration is for 32×24"):
        read_image(put(tmp_path, huge_head(png(picture()), 8000, 9000)), (32, 24))
    with pytest.raises(ImageError, match=r"exceeds limit|larger than any picture"):
        read_image(put(tmp_path, huge_head(png(picture()))))


# --- depth -----------------------------------------------------------------------------------------------------------

DEPTH: dict[str, Any] = {"K": [30, 0, 16, 0, 30, 12, 0, 0, 1], "width": 32, "height": 24, "metres_per_unit": 0.001}
VALUES = (np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 9) % 7000


def test_depth_is_read(tmp_path: Path) -> None:
    path = put(tmp_path, png(VALUES))
    np.testing.assert_allclose(read_depth(path, "depth-png", DEPTH), VALUES * 0.001, rtol=1e-6)
    path.write_bytes(zlib.compress(VALUES.tobytes()))
    np.testing.assert_allclose(read_depth(path, "depth-zlib", DEPTH), VALUES * 0.001, rtol=1e-6)


WRONG_DEPTH = {
    "gigabytes of PNG": ("depth-png", huge_head(png(VALUES)), "is 60000×60000, its calibration is for 32×24"),
    "a chunk of gigabytes": ("depth-png", png(VALUES)[:33] + b"\xaf\xff\xff\xffIDAT" + bytes(99), "cut short"),
    "8 bits": ("depth-png", png(picture()[..., 0]), "not a 16-bit one-channel PNG"),
    "colour": ("depth-png", png(picture()), "not a 16-bit one-channel PNG"),
    "no head": ("depth-png", SIGNATURE + chunk(b"IDAT", b"") + chunk(b"IEND", b""), "the PNG is damaged"),
    "a pointer": ("depth-png", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
    "nothing": ("depth-png-sunrgbd", b"", "is empty"),
    "a stream of gigabytes": ("depth-zlib", zlib.compress(bytes(1 << 26), 9), "more than 1536 bytes, not 32×24"),
    "a short stream": ("depth-zlib", zlib.compress(bytes(100)), "100 bytes, not 32×24"),
    "a stream cut short": ("depth-zlib", zlib.compress(VALUES.tobytes())[:-3], "incomplete"),
    "no stream": ("depth-zlib", b"hello", "the compressed depth is damaged"),
}


@pytest.mark.parametrize(("format", "data", "said"), WRONG_DEPTH.values(), ids=WRONG_DEPTH)
def test_depth_that_is_none_is_named(tmp_path: Path, format: str, data: bytes, said: str) -> None:
    with pytest.raises(CloudError, match=said):
        read_depth(put(tmp_path, data), format, DEPTH)


def test_depth_of_the_other_byte_order_is_refused(tmp_path: Path) -> None:
    surface = np.add.outer(7 * np.arange(24), 3 * np.arange(32) + 900).astype(np.uint16)
    read_depth(put(tmp_path, png(surface)), "depth-png", DEPTH)
    with pytest.raises(CloudError, match="bytes of its numbers are swapped"):
        read_depth(put(tmp_path, png(surface.byteswap())), "depth-png", DEPTH)


@pytest.mark.parametrize("value", [0, 65535])
def test_depth_without_a_pixel_is_refused(tmp_path: Path, value: int) -> None:
    with pytest.raises(CloudError, match=r"a\.png: no pixel of it lies within 8 m, of 0\.001 m a unit"):
        depth_cloud(put(tmp_path, png(np.full((24, 32), value, np.uint16))), "depth-png", DEPTH)


def test_damaged_pictures_are_one_error(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    jpeg = io.BytesIO()
    Image.fromarray(picture()).save(jpeg, "JPEG")
    for whole in (png(picture()), jpeg.getvalue(), png(VALUES)):
        for trial in range(60):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 1 + trial % 4):
                data[at] = rng.integers(0, 256)
            path = put(tmp_path, bytes(data))
            for read in (lambda p: read_image(p, (32, 24)), lambda p: read_depth(p, "depth-png", DEPTH)):
                with contextlib.suppress(ImageError, CloudError):
                    read(path)
