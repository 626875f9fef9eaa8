"""Furnished rooms, and what an RGB-D camera records of them."""
