"""Open-world localisation: lifted crops become 3D boxes, named by text, scored as detections."""
