"""ScanObjectNN: scanned objects, 15 classes."""
