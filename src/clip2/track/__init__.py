"""Triplets of one thing, over cameras and samples, become a track."""
