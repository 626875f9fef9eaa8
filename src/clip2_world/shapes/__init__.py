"""Single objects: scanned, as CAD models, and as pictures with their shapes."""
