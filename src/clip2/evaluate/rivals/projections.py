"""The depth baselines by name."""

from clip2.evaluate.rivals import clip2point, pointclip, pointclip_v2

PROJECTIONS = {p.name: p for p in (pointclip.PROJECTION, pointclip_v2.PROJECTION, clip2point.PROJECTION)}
UNTUNED = ("pointclip", "pointclip_v2")
"""Those that answer with the frozen teacher alone; CLIP2Point is nothing without its tower."""
TUNED = ("clip2point", *(f"{name}_tp" for name in PROJECTIONS))
"""Names of what `clip2 tune` makes."""
