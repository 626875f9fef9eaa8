"""ScanNet's recognition protocol: instances of its meshes."""
