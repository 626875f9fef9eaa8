"""What Snakemake asks of a logger plugin."""

import os
from logging import LogRecord

from rich.console import Console
from snakemake_interface_logger_plugins.base import LogHandlerBase

from snakemake_logger_plugin_clip2.events import Events

PIPE_WIDTH = 120


class LogHandler(LogHandlerBase):
    """Gives Snakemake's log records to the screen that fits."""

    def __post_init__(self) -> None:
        from snakemake.logging import DefaultFormatter  # not above: Snakemake looks for plugins while it is imported

        settings = self.common_settings
        console = Console(
            stderr=not settings.stdout,
            no_color=settings.nocolor or None,
            highlight=False,
            markup=False,
            emoji=False,
        )
        if not (console.is_terminal or os.environ.get("COLUMNS")):
            console.width = PIPE_WIDTH
        formatter = DefaultFormatter(settings.quiet) if settings.printshellcmds else None
        self._events = Events(console, settings.dryrun, formatter)

    def emit(self, record: LogRecord) -> None:
        try:
            self._events.handle(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        self._events.close()
        super().close()

    @property
    def writes_to_stream(self) -> bool:
        return True

    @property
    def writes_to_file(self) -> bool:
        return False

    @property
    def has_filter(self) -> bool:
        return False

    @property
    def has_formatter(self) -> bool:
        return True

    @property
    def needs_rulegraph(self) -> bool:
        return False
