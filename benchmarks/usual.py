"""The usual way to do what the stages do: one thing at a time, as the libraries' own examples show it.

Written from those examples and from the papers; nothing here is made slower than people write it.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.cluster import DBSCAN
from torch import Tensor
from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor


class UsualDetector:
    """transformers' example of zero-shot detection: float32, one image a call, with all prompts."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.processor = AutoProcessor.from_pretrained(folder)
        self.network = AutoModelForZeroShotObjectDetection.from_pretrained(folder, dtype=torch.float32)
        self.network = self.network.to(device).eval()

    @torch.no_grad()
    def __call__(self, path: Path, names: Sequence[str], threshold: float) -> dict[str, Any]:
        """An image file → scores, boxes and labels of what is above the threshold, in the CPU's memory."""
        image = Image.open(path).convert("RGB")
        prompts = [f"a photo of a {name}" for name in names]
        inputs = self.processor(text=[prompts], images=image, return_tensors="pt").to(self.device)
        outputs = self.network(**inputs)
        found = self.processor.post_process_grounded_object_detection(
            outputs, threshold=threshold, target_sizes=[(image.height, image.width)], text_labels=[list(names)]
        )[0]
        return {key: value.cpu() if isinstance(value, Tensor) else value for key, value in found.items()}


class UsualTeacher:
    """open_clip's example: float32, one image a call."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.device = device
        self.network, self.preprocess = open_clip.create_model_from_pretrained(f"local-dir:{folder}", device=device)
        self.network.eval()

    @torch.no_grad()
    def __call__(self, jpeg: bytes) -> Tensor:
        """An image → (1, D) unit vector in the CPU's memory."""
        image = self.preprocess(Image.open(BytesIO(jpeg)).convert("RGB")).unsqueeze(0).to(self.device)
        features = self.network.encode_image(image)
        return (features / features.norm(dim=-1, keepdim=True)).cpu()


def lift_box(
    points: NDArray[np.float32],
    T_cam_from_points: NDArray[np.float64],
    K: NDArray[np.float64],
    box: NDArray[np.float64],
    eps: float = 0.7,
    min_samples: int = 3,
) -> NDArray[np.int64]:
    """Rows of a cloud (N, 3+) of the object in one box: project all points, keep those in the box, largest cluster.

    eps in metres; both parameters as in :mod:`clip2.lift.dbscan`.
    """
    xyz = np.column_stack([points[:, :3], np.ones(len(points))])
    in_camera = (T_cam_from_points @ xyz.T)[:3]
    depth = in_camera[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v, _ = (K @ in_camera) / depth
    inside = np.flatnonzero((depth > 0.5) & (u >= box[0]) & (u <= box[2]) & (v >= box[1]) & (v <= box[3]))
    if len(inside) < min_samples:
        return inside
    label = DBSCAN(eps=eps, min_samples=min_samples).fit_predict(points[inside, :3])
    return inside[label == np.bincount(label[label >= 0]).argmax()] if (label >= 0).any() else inside[:0]
