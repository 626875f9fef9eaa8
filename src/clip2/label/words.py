"""Names as detectors, annotations and people write them."""


def canonical(name: str) -> str:
    """Spelling variants of one name are one name."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
