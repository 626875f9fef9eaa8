"""The methods that CLIP² is compared with, and their training."""
