"""What a person sees of a run: Snakemake's logger plugin ``clip2``, which the profiles name.

A terminal shows a live table with a line a stage, anything else gets short lines; a dry run is a table of what would
run and why. A rule's stage is its name up to the first underscore.

Snakemake imports this package to find it, before it reads the Snakefile. So nothing of ``clip2`` is imported here: it
might come from another checkout than the Snakefile, which imports it later.
"""

from snakemake_logger_plugin_clip2.handler import LogHandler

__all__ = ["LogHandler"]
