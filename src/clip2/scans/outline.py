"""What a data set's index says before any recording is opened: how much each role holds, and of which scenes.

The workflow asks each time that it reads its rules, on a cluster once a job: an outline takes milliseconds, and where a
data set has no cheap count of its frames, it is an estimate.
"""

from typing import NamedTuple


class Part(NamedTuple):
    """One role of a source.

    Attributes:
        scenes: names of what goes to a role as a whole, comparable between roles and between sources of one data root.
        n_scenes: how many there are.
        n_frames: about how many pictures they have.
    """

    scenes: frozenset[str]
    n_scenes: int
    n_frames: int


Outline = dict[str, Part]
"""Role → what it holds."""
