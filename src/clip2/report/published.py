"""Figures that others published, to stand beside ours: never measured by this project, and marked so wherever shown."""

from typing import NamedTuple


class Published(NamedTuple):
    """One published figure, in percent.

    Attributes:
        benchmark: key of a benchmark ("nuscenes").
        method: our name of the method where we have it, else the authors'.
        metric: "class_mean_top1" or "top1"; as published, where the paper does not say, as derived from its tables.
        source: where it was found.
        remark: what makes it hard to compare.
    """

    benchmark: str
    method: str
    value: str
    metric: str
    source: str
    remark: str = ""


_PAPER = "CLIP² (CVPR 2023)"
_OPENINS3D = "OpenIns3D (ECCV 2024), table 1"
_OPENSHAPE = "OpenShape (NeurIPS 2023), table 2"
_OBJ_ONLY = "OBJ_ONLY, test"
PUBLISHED = (
    Published("nuscenes", "clip2", "37.8", "class_mean_top1", _PAPER, "crops, sweeps and filters not stated"),
    Published("nuscenes", "pointclip", "10.7–11.7", "class_mean_top1", _PAPER, "the paper's own numbers disagree"),
    Published("nuscenes", "BlendCLIP", "46.2", "class_mean_top1", "arXiv 2510.18244", "trained with human 3D boxes"),
    Published("sunrgbd", "clip2", "61.3", "class_mean_top1", _PAPER),
    Published("sunrgbd", "clip2point", "18.6", "class_mean_top1", _PAPER),
    Published("scannet", "clip2", "38.5", "class_mean_top1", _OPENINS3D, "its own cells average 38.2"),
    Published("scannet", "pointclip", "6.3", "class_mean_top1", _OPENINS3D),
    Published("scannet", "pointclip_v2", "11.0", "class_mean_top1", _OPENINS3D),
    Published("scannet", "clip2point", "24.9", "class_mean_top1", _OPENINS3D),
    Published("scannet", "pointclip_tp", "26.1", "class_mean_top1", _OPENINS3D),
    Published("scannet", "clip2point_tp", "35.2", "class_mean_top1", _OPENINS3D),
    Published("scannet", "Uni3D (1B)", "45.8", "class_mean_top1", _OPENINS3D),
    Published("scannet", "OpenIns3D", "60.8", "class_mean_top1", _OPENINS3D),
    Published("scanobjectnn", "pointclip", "10.5", "top1", _OPENSHAPE, f"RN50, {_OBJ_ONLY}"),
    Published("scanobjectnn", "pointclip_v2", "42.2", "top1", _OPENSHAPE, f"ViT-B/16, {_OBJ_ONLY}, searched on test"),
    Published("scanobjectnn", "clip2point", "25.5", "top1", _OPENSHAPE, f"ViT-B/32, {_OBJ_ONLY}"),
    Published("scanobjectnn", "ULIP-PointBERT", "51.5", "top1", _OPENSHAPE, _OBJ_ONLY),
    Published("modelnet40", "pointclip", "19.3", "top1", _OPENSHAPE, "RN50"),
    Published("modelnet40", "pointclip_v2", "63.6", "top1", _OPENSHAPE, "ViT-B/16, searched on test"),
    Published("modelnet40", "clip2point", "49.5", "top1", _OPENSHAPE, "ViT-B/32"),
    Published("modelnet40", "ULIP-PointBERT", "60.4", "top1", _OPENSHAPE),
)
