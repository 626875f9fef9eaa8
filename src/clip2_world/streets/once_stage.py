"""The stage that makes the built-in world's streets as a ONCE data set, sequence by sequence, resumable."""

from pathlib import Path

from clip2.store.atomic import write_json, write_text
from clip2_world.resume import COMPLETE, code_digest, make_scenes, prepare
from clip2_world.seeds import VAL_OFFSET
from clip2_world.streets.once_settings import OnceWorldSettings
from clip2_world.streets.once_writer import SequenceRecipe, write_sequence

_NUMBERS = {"train": 900_001, "val": 950_001}
"""First sequence numbers, apart from those of ONCE itself, which have six digits too and begin with 000."""


def run(root: Path, settings: OnceWorldSettings, workers: int = 1) -> None:
    """Make the data set, or what is missing of it.

    Args:
        root: folder to make it in; it must be new, empty or a built-in world already.
        settings: how much to make. The same settings give the same bytes, whatever ``workers``.
        workers: processes that render sequences.

    Raises:
        InputError: ``root`` holds something else.
    """
    prepare(root, "ONCE")
    (root / COMPLETE).unlink(missing_ok=True)
    recipes = {role: sequence_recipes(settings, role) for role in _NUMBERS}
    everything = [recipe for role in recipes.values() for recipe in role]
    boxes = sum(make_scenes(root, everything, write_sequence, code_digest(), workers))
    for role, chosen in recipes.items():
        write_text(root / "ImageSets" / f"{role}.txt", "".join(f"{recipe.name}\n" for recipe in chosen))
    counts = {"sequences": len(everything), "frames": len(everything) * settings.frames, "boxes": boxes}
    write_json(root / COMPLETE, {"format": "ONCE", "settings": settings.model_dump(mode="json"), "counts": counts})


def sequence_recipes(settings: OnceWorldSettings, role: str) -> list[SequenceRecipe]:
    """The sequences of a role; train and val have seeds apart."""
    number, offset = (settings.train_scenes, 0) if role == "train" else (settings.val_scenes, VAL_OFFSET)
    return [
        SequenceRecipe(
            str(_NUMBERS[role] + index),
            settings.first_seed + offset + index,
            settings.frames,
            settings.image_width,
            settings.cameras,
        )
        for index in range(number)
    ]
