"""KITTI's raw data (Geiger, Lenz, Stiller and Urtasun, IJRR 2013)."""
