"""What is known of a thing at one sample, from all views that show it there."""

from dataclasses import dataclass

import numpy as np

from clip2.track.views import Floats, Ints, Views


@dataclass(frozen=True)
class Sightings:
    """k sightings, ordered by sample.

    Attributes:
        sighting_of: (n,) which sighting each view belongs to.
        cluster: (k,) which cluster of views each belongs to.
        sample: (k,) number of its sample; ``times``: (m,) seconds of the samples.
        centre: (k, 3) mean of its points: of a half-seen thing it moves less than the middle of its box.
        low, high: (k, 3) corners of the upright box around its points.
        image: (k, D) mean of what the teacher sees.
        names: (k, V) mean of the square roots of the names' probabilities.
        usual: cosine between the teacher's vectors of any two things.
    """

    sighting_of: Ints
    cluster: Ints
    sample: Ints
    times: Floats
    centre: Floats
    low: Floats
    high: Floats
    image: Floats
    names: Floats
    usual: float

    def __len__(self) -> int:
        return len(self.cluster)

    def alike(self, one: Ints, other: Ints) -> tuple[Floats, Floats]:
        """(p,) of pairs: how alike they look (0 for any two things, 1 for the same); how alike their names are."""
        cosine = (self.image[one] * self.image[other]).sum(1)
        return (cosine - self.usual) / (1 - self.usual), (self.names[one] * self.names[other]).sum(1)


def sightings(views: Views, cluster: Ints, usual: float) -> Sightings:
    """Gather views by sample and cluster.

    Args:
        cluster: (n,) of the views.
    """
    keys, group = np.unique(np.stack([views.sample, cluster], 1), axis=0, return_inverse=True)
    group = group.ravel()
    k, n_views = len(keys), np.bincount(group)[:, None]
    n_points = np.bincount(group, [len(points) for points in views.points])[:, None]

    def summed(values: Floats) -> Floats:
        total = np.zeros((k, values.shape[1]))
        np.add.at(total, group, values)
        return total

    low, high = np.full((k, 3), np.inf), np.full((k, 3), -np.inf)
    np.minimum.at(low, group, np.stack([points[:, :3].min(0) for points in views.points]))
    np.maximum.at(high, group, np.stack([points[:, :3].max(0) for points in views.points]))
    return Sightings(
        sighting_of=group,
        cluster=keys[:, 1],
        sample=keys[:, 0],
        times=views.times,
        centre=summed(np.stack([points[:, :3].sum(0) for points in views.points])) / n_points,
        low=low,
        high=high,
        image=summed(views.image) / n_views,
        names=summed(np.sqrt(views.names)) / n_views,
        usual=usual,
    )
