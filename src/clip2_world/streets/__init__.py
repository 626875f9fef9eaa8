"""Streets: what stands and moves there, the car that drives through, and what its sensors record."""
