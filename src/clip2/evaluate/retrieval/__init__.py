"""Rare things found by their names."""
