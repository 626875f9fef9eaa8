"""Pictures → what an image tower takes: as the model's own preprocessing does it, in threads or on the GPU."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from open_clip.transform import CenterCropOrPad, MaybeConvertMode, MaybeToTensor, ResizeKeepRatio
from PIL import Image
from torch import Tensor
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize

from clip2.runtime.errors import InputError
from clip2.runtime.prefetch import to_device
from clip2.scans.images import decode_image

Picture = Image.Image | bytes
"""RGB, or the content of an image file."""
LARGEST = 512
"""Pixels. A batch on the GPU is padded to its largest picture, so the thread that read a larger one resizes it."""


class Pixels(Protocol):
    """Preprocessing in two steps: what a thread does to one picture, and what is done to a batch."""

    def prepare(self, picture: Picture) -> Any:
        """Decode, and what else is done on the CPU; called in several threads."""

    def batch(self, prepared: Sequence[Any]) -> Tensor:
        """What :meth:`prepare` gave, n times → (n, 3, S, S) float32; S is the tower's."""


def pixels_for(preprocess: Any, device: torch.device) -> Pixels:
    """On the device where that is a GPU and the model's steps are known ones, else the model's own preprocessing."""
    if device.type == "cuda" and DevicePixels.serves(preprocess):
        return DevicePixels(preprocess, device)
    return OwnPixels(preprocess, device)


class OwnPixels:
    """The model's own preprocessing, in the threads. Batches are on the CPU."""

    def __init__(self, preprocess: Any, device: torch.device) -> None:
        self._preprocess, self._pin = preprocess, device.type == "cuda"

    def prepare(self, picture: Picture) -> Tensor:
        if isinstance(picture, bytes):
            picture = Image.open(io.BytesIO(picture)).convert("RGB")
        pixels: Tensor = self._preprocess(picture)
        return pixels

    def batch(self, prepared: Sequence[Tensor]) -> Tensor:
        pixels = torch.stack(list(prepared))
        return pixels.pin_memory() if self._pin else pixels


class _Axis(NamedTuple):
    """How one axis of a picture is resized and cropped."""

    length: int  # pixels that it has
    resized: int  # pixels that it is resized to
    start: int  # the first of these that is kept; where it is negative, black stands before


class DevicePixels:
    """open_clip's ``image_transform`` on the device, a batch of pictures of any sizes at a time.

    Pillow resizes with a separable, antialiased filter: along the rows, then along the columns, each time rounded to
    8 bits (the columns come first where the height shrinks much more than the width: there a pixel may differ by two
    levels). Both are a product with a matrix a picture, in which the cropping is a choice of rows and the padding up to
    the largest picture of the batch is zeros. The number of kernels does not depend on the batch; the products cost
    0.25 GFLOP for a picture of 336² → 224².
    """

    def __init__(self, preprocess: Any, device: torch.device) -> None:
        steps = preprocess.transforms
        self._resize, colours = steps[0], steps[-1]
        self._on_cpu = Compose(steps[:-3])
        self._cubic = self._resize.interpolation == InterpolationMode.BICUBIC
        size = steps[1].size if len(steps) == 5 else self._resize.size
        self._kept: tuple[int, int] = (size, size) if isinstance(size, int) else tuple(size)  # height, width
        self.device = device
        mean, std = (torch.tensor(v, device=device).view(3, 1, 1) for v in (colours.mean, colours.std))
        self._scale, self._shift = 1 / (255 * std), -mean / std

    @staticmethod
    def serves(preprocess: Any) -> bool:
        """Whether this preprocessing does just what this class does: others are used as they are."""
        match getattr(preprocess, "transforms", None):
            case [resize, MaybeConvertMode(), MaybeToTensor(), Normalize()]:  # resize_mode "squash"
                cropped = isinstance(resize, Resize) and _n_sides(resize.size) == 2
            case [resize, CenterCrop() as crop, MaybeConvertMode(), MaybeToTensor(), Normalize()]:  # "shortest"
                cropped = _n_sides(crop.size) == 2
            case [resize, CenterCropOrPad() as crop, MaybeConvertMode(), MaybeToTensor(), Normalize()]:  # "longest"
                cropped = _n_sides(crop.size) == 2 and not np.any(crop.fill)
            case _:
                return False
        plain = (isinstance(resize, Resize) and resize.max_size is None) or (
            isinstance(resize, ResizeKeepRatio) and not (resize.random_scale_prob or resize.random_aspect_prob)
        )
        return cropped and plain and resize.interpolation in (InterpolationMode.BICUBIC, InterpolationMode.BILINEAR)

    def prepare(self, picture: Picture) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""
        pixels = _decode(picture) if isinstance(picture, bytes) else np.asarray(picture.convert("RGB"))
        return np.asarray(self._on_cpu(Image.fromarray(pixels))) if max(pixels.shape) > LARGEST else pixels

    @torch.inference_mode()
    def batch(self, prepared: Sequence[NDArray[np.uint8]]) -> Tensor:
        axes = [self._axes(*pixels.shape[:2]) for pixels in prepared]
        x = to_device(self._padded(prepared), self.device).float()
        wide = self._matrices([width for _, width in axes], self._kept[1], x.shape[2])
        x = _to_8_bits(torch.einsum("nsx,nyxc->nysc", wide, x))
        tall = self._matrices([height for height, _ in axes], self._kept[0], x.shape[1])
        x = _to_8_bits(torch.einsum("nty,nysc->ncts", tall, x))
        return torch.addcmul(self._shift, x, self._scale)

    def _axes(self, height: int, width: int) -> tuple[_Axis, _Axis]:
        """Of the height and of the width of a picture."""
        size = self._resize.size
        resized: tuple[int, ...]
        if isinstance(self._resize, ResizeKeepRatio):
            ratios = height / self._resize.size[0], width / self._resize.size[1]
            longest = self._resize.longest
            ratio = max(ratios) * longest + min(ratios) * (1 - longest)
            resized = round(height / ratio), round(width / ratio)
        elif _n_sides(size) == 2:
            resized = tuple(size)
        else:
            side, shorter = size if isinstance(size, int) else size[0], min(height, width)
            resized = tuple(side if n == shorter else int(side * n / shorter) for n in (height, width))
        tall, wide = (
            _Axis(length, n, -((kept - n) // 2) if kept > n else round((n - kept) / 2))
            for length, n, kept in zip((height, width), resized, self._kept)
        )
        return tall, wide

    def _padded(self, pictures: Sequence[NDArray[np.uint8]]) -> Tensor:
        """(n, H, W, 3) uint8, H and W the largest; what stands beyond a picture is left as it was."""
        height, width = (max(sides) for sides in zip(*(picture.shape[:2] for picture in pictures)))
        padded = torch.empty(len(pictures), height, width, 3, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        for picture, place in zip(pictures, padded.numpy()):
            place[: picture.shape[0], : picture.shape[1]] = picture
        return padded

    def _matrices(self, axes: list[_Axis], kept: int, longest: int) -> Tensor:
        """(n, kept, longest) float32: how much of each source pixel is in each pixel that is kept.

        Pillow's filters (``precompute_coeffs`` in its Resample.c), computed once for each distinct axis.
        """
        number = {axis: i for i, axis in enumerate(dict.fromkeys(axes))}
        table, index = torch.tensor(list(number), dtype=torch.float64), torch.tensor([number[axis] for axis in axes])
        if self.device.type == "cuda":
            table, index = table.pin_memory(), index.pin_memory()
        length, resized, start = to_device(table, self.device).T[:, :, None, None]
        scale = length / resized
        position = start + torch.arange(kept, device=self.device)[:, None]
        pixel = torch.arange(longest, device=self.device)
        away = ((pixel + 0.5 - (position + 0.5) * scale) / scale.clamp(min=1)).abs()
        weights = torch.where(pixel < length, _cubic(away) if self._cubic else (1 - away).clamp(min=0), 0)
        weights = weights / weights.sum(-1, keepdim=True)
        weights = torch.where((position >= 0) & (position < resized), weights, 0)
        return weights.float()[to_device(index, self.device)]


def _decode(content: bytes) -> NDArray[np.uint8]:
    image = decode_image(np.frombuffer(content, np.uint8))
    if image is None:
        raise InputError("a picture is not a readable image file; delete the shard that holds it and make it again")
    return image


def _n_sides(size: Any) -> int:
    return 1 if isinstance(size, int) else len(size)


def _cubic(x: Tensor) -> Tensor:
    """Keys' cubic convolution with a = −0.5, as in Pillow, for x ≥ 0."""
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((2.5 - 0.5 * x) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0))


def _to_8_bits(x: Tensor) -> Tensor:
    """Rounded and clipped to 0 … 255, in place."""
    return x.add_(0.5).floor_().clamp_(0, 255)
