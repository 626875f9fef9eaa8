"""The methods that CLIP² is held against, and their training."""
