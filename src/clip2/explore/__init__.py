"""A page to look at scans, what was found in them and how well: written to disk, or served with live search."""
