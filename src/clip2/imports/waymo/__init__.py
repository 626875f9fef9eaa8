"""Waymo's Open Dataset, perception, in its Parquet form (version 2)."""
