"""Recognition from a few annotated objects of each class."""
