"""``python -m clip2``."""

from clip2.cli import main

main()
