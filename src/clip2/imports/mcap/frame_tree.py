"""Where coordinate frames are, over time: a tree of transforms, as ROS's tf and Foxglove's FrameTransform tell it."""

from collections import Counter
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from clip2.geometry import invert, is_rigid, rigid

Matrix = NDArray[np.float64]
SAME = 1e-6
"""Metres, and parts of a rotation: what differs by less stands still."""
MAX_GAP_NS = 1_000_000_000
"""Between two transforms from which a place between them is taken: nothing is known of what moves for longer."""


class _Edge:
    """Transforms of a frame to its parent, over time."""

    def __init__(self) -> None:
        self._told: dict[int, Matrix] = {}
        self._always = False

    def add(self, time_ns: int, T_parent_from_child: Matrix, always: bool) -> None:
        self._told[time_ns] = T_parent_from_child
        self._always |= always

    def __len__(self) -> int:
        return len(self._told)

    @cached_property
    def times(self) -> NDArray[np.int64]:
        return np.sort(np.fromiter(self._told, np.int64, len(self._told)))

    @cached_property
    def fixed(self) -> Matrix | None:
        """The transform, where it is always the same."""
        told = np.array(list(self._told.values()))
        same = self._always or bool((np.abs(told - told[0]) < SAME).all())
        return self._told[int(self.times[-1])] if same else None

    def at(self, time_ns: int) -> Matrix | None:
        """At a time: as told, or between the neighbours in time; None before, after, and in a gap."""
        if self.fixed is not None:
            return self.fixed
        if time_ns in self._told:
            return self._told[time_ns]
        after = int(np.searchsorted(self.times, time_ns))
        if not 0 < after < len(self.times):
            return None
        t0, t1 = self.times[after - 1 : after + 1].tolist()
        if t1 - t0 > MAX_GAP_NS:
            return None
        share = (time_ns - t0) / (t1 - t0)
        T0, T1 = self._told[t0], self._told[t1]
        R = Slerp([0, 1], Rotation.from_matrix([T0[:3, :3], T1[:3, :3]]))(share).as_matrix()
        return rigid(R, (1 - share) * T0[:3, 3] + share * T1[:3, 3])


class Parents(NamedTuple):
    """A frame that is told to hang from more than one other: the one with the most transforms is taken."""

    frame: str
    taken: str
    others: list[str]


class FrameTree:
    """All frames of a recording. Names are without a leading slash, as ROS 1 wrote them."""

    def __init__(self) -> None:
        self._edges: dict[str, dict[str, _Edge]] = {}  # child → parent → transforms

    def add(self, parent: str, child: str, time_ns: int, T_parent_from_child: Matrix, always: bool) -> None:
        """One more transform; ``always``: it does not change.

        Raises:
            ValueError: not a rotation with a shift.
        """
        if not is_rigid(T_parent_from_child):
            raise ValueError(f"the transform from {child!r} to {parent!r} is not a rotation with a shift")
        parents = self._edges.setdefault(plain_frame(child), {})
        parents.setdefault(plain_frame(parent), _Edge()).add(time_ns, T_parent_from_child, always)

    @property
    def frames(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._edges.keys() | {parent for parents in self._edges.values() for parent in parents})

    @property
    def doubtful(self) -> list[Parents]:
        """Frames with more than one parent."""
        found = []
        for child, parents in sorted(self._edges.items()):
            if len(parents) > 1:
                taken = self._parent(child)
                found.append(Parents(child, taken or "", sorted(parents.keys() - {taken})))
        return found

    def chain(self, frame: str) -> list[str]:
        """The frame, its parent, that one's parent …, up to the one that hangs from none."""
        found = [frame]
        while (parent := self._parent(found[-1])) is not None and parent not in found:
            found.append(parent)
        return found

    def place(self, frame: str, root: str, time_ns: int) -> Matrix | None:
        """(4, 4) ``T_root_from_frame`` at a time, ``root`` being in the frame's chain; None where it is not known."""
        T = np.eye(4)
        for child in self.chain(frame):
            if child == root:
                return T
            edge = self._edge(child)
            step = None if edge is None else edge.at(time_ns)
            if step is None:
                return None
            T = step @ T
        return None

    def meeting(self, one: str, other: str) -> str | None:
        """The nearest frame that both hang from (or are); None where there is none."""
        chain = self.chain(other)
        return next((frame for frame in self.chain(one) if frame in chain), None)

    def moves(self, frame: str, root: str) -> bool:
        """Whether anything between a frame and one of its chain moves."""
        chain = self.chain(frame)
        edges = (self._edge(child) for child in chain[: chain.index(root)])
        return any(edge is not None and edge.fixed is None for edge in edges)

    def fixed(self, target: str, source: str) -> Matrix | None:
        """(4, 4) ``T_target_from_source``, where it is always the same; None where it is not, or not known."""
        top = self.meeting(target, source)
        if top is None or self.moves(target, top) or self.moves(source, top):
            return None
        T_top_from_target, T_top_from_source = (self.place(frame, top, 0) for frame in (target, source))
        if T_top_from_target is None or T_top_from_source is None:
            return None
        return invert(T_top_from_target) @ T_top_from_source

    def _parent(self, child: str) -> str | None:
        parents = Counter({parent: len(edge) for parent, edge in sorted(self._edges.get(child, {}).items())})
        return parents.most_common(1)[0][0] if parents else None

    def _edge(self, child: str) -> _Edge | None:
        parent = self._parent(child)
        return None if parent is None else self._edges[child][parent]


def plain_frame(name: str) -> str:
    """A frame's name without a leading slash."""
    return name.removeprefix("/")
