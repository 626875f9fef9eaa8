"""From lifted crops to named 3D boxes, without a human label."""
