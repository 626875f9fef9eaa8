"""Settings of the track stage."""

from pydantic import Field

from clip2.runtime.settings import Settings


class TrackSettings(Settings):
    """How triplets become tracks. Limits hold for things of any class."""

    threshold: float = Field(
        0.0, description="evidence (log odds) above which views are joined; higher: purer tracks, and more of them"
    )
    max_gap_s: float = Field(
        2.0, ge=0, description="seconds after which a thing that was not seen again is another one"
    )
    max_speed: float = Field(30.0, ge=0, description="metres a second; faster things are not followed")
    seconds_per_sample: float = Field(0.5, gt=0, description="between samples of a source that has no times")
    teacher: bool = Field(
        True,
        description="whether the teacher's view of each picture names things, too; false: the detector alone, for a "
        "teacher that does not know such pictures",
    )
    max_names: int = Field(5, ge=1, description="names that a track keeps, best first")
    max_points: int = Field(8192, ge=1, description="points that a track keeps of all its views together")
