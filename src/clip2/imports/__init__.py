"""Recordings of other forms → a folder that the source `folder` reads."""
