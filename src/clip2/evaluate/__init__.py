"""Recognition of annotated objects without training on their labels: queries, methods, metrics, audit."""
