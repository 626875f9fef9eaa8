"""Point, image and depth together."""
