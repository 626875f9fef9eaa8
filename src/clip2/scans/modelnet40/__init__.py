"""ModelNet40: CAD models as points, 40 classes."""
