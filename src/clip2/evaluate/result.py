"""The result file: what is in it and what is fixed. ``schemas/zeroshot.schema.json`` is generated from here."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from clip2.evaluate.result_file import ResultPart, read_result_file
from clip2.store.atomic import write_sealed


class ClassScore(ResultPart):
    """One class."""

    n: int = Field(ge=0, description="objects of the class")
    top1: float | None = Field(ge=0, le=1, description="share recognised; null where n is 0")


class SubsetScore(ResultPart):
    """The same method on some of the objects."""

    n: int = Field(ge=0)
    top1: float | None = Field(ge=0, le=1)
    class_mean_top1: float | None = Field(ge=0, le=1)


class ChangeScore(ResultPart):
    """The same method shown the same objects, changed in a way that should not matter."""

    same_answer: float = Field(ge=0, le=1, description="share of the objects with the answer that they got unchanged")
    class_mean_top1: float = Field(ge=0, le=1)


class MethodScore(ResultPart):
    """One method."""

    n: int = Field(ge=1, description="objects that the method answered for")
    skipped: dict[str, int] = Field({}, description="objects that it could not answer for, by reason")
    top1: float = Field(ge=0, le=1, description="share of objects recognised")
    top3: float = Field(ge=0, le=1)
    top5: float = Field(ge=0, le=1)
    class_mean_top1: float = Field(
        ge=0, le=1, description="unweighted mean of the classes' top-1, over the classes that occur"
    )
    ci95: tuple[float, float] | None = Field(description="bootstrap interval of class_mean_top1")
    ci95_top1: tuple[float, float] | None = Field(description="bootstrap interval of top1")
    absent_classes: list[str] = Field(description="classes without an object; not in the mean")
    per_class: dict[str, ClassScore]
    confusion: list[list[int | float]] = Field(
        description="rows true, columns predicted, in the order of protocol.classes; expected counts for chance"
    )
    subsets: dict[str, SubsetScore] = Field(
        {}, description="on objects with at least so many points, or seen by a camera"
    )
    changed: dict[str, ChangeScore] = Field(
        {}, description="shown the same objects turned, mirrored, moved, in another order, with every point twice"
    )


class Result(ResultPart):
    """A benchmark result of one or more methods on the same objects."""

    dataset: str
    split: str
    source_kind: Literal["real", "built-in world"]
    protocol: dict[str, Any] = Field(description="every choice that moves the numbers")
    n_objects: int = Field(ge=1)
    skipped: dict[str, int] = Field(description="annotated boxes that are no query, by reason")
    methods: dict[str, MethodScore]
    provenance: dict[str, Any]

    @model_validator(mode="after")
    def _same_classes(self) -> Self:
        classes = [method.per_class.keys() for method in self.methods.values()]
        for name, method in self.methods.items():
            if method.per_class.keys() != classes[0]:
                raise ValueError(f"method {name} was asked about other classes than the first one")
        return self


def write_result(path: Path, result: dict[str, Any]) -> None:
    """Check against :class:`Result` and write; a failure here is a bug, not the user's."""
    write_sealed(path, Result.model_validate(result).model_dump(mode="json"))


def read_result(path: Path) -> Result:
    """Read a result file; see :func:`clip2.evaluate.result_file.read_result_file`."""
    return read_result_file(path, Result, "result file")
