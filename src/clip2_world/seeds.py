"""Which seeds are whose, so that what the demo models were trained on never comes up in the demo."""

FIRST_WORLD_SEED = 1_000_000
"""Seeds below are for the demo models: 0 to 899,999 to train them, 900,000 to 999,999 to measure them."""
VAL_OFFSET = 500_000
