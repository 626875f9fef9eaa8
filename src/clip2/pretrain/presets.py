"""Sizes of encoder to choose from. Measured figures are in docs/pretraining.md."""

from clip2.pretrain.encoder import EncoderConfig, Level
from clip2.pretrain.settings import PretrainSettings

LEVELS = {
    "pointnet2-tiny": (Level(32, 16, 0.4, (32, 64)), Level(8, 8, 0.8, (64, 128))),
    "pointnet2-small": (Level(128, 24, 0.2, (64, 128)), Level(32, 16, 0.4, (128, 256))),
    # The classic SSG: 512 and 128 centroids, radii 0.2 and 0.4.
    "pointnet2-base": (Level(512, 32, 0.2, (64, 128)), Level(128, 64, 0.4, (128, 256))),
}
GLOBAL_WIDTHS = {"pointnet2-tiny": (128, 256), "pointnet2-small": (256, 512), "pointnet2-base": (512, 1024)}
HEAD_WIDTH = {"pointnet2-tiny": 256, "pointnet2-small": 512, "pointnet2-base": 512}


def encoder_config(settings: PretrainSettings, dim: int) -> EncoderConfig:
    """The encoder that the settings ask for, with the teacher's dimension."""
    name = settings.encoder
    return EncoderConfig(
        dim=dim,
        n_points=settings.n_points,
        levels=LEVELS[name],
        global_widths=GLOBAL_WIDTHS[name],
        head_width=HEAD_WIDTH[name],
        size_input=settings.size_input,
        centroids=settings.centroids,
    )
