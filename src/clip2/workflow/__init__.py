"""What the commands and rules share: the configuration, the kinds of source, and which source files a stage runs."""
