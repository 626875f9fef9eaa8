"""Every stage at the size of nuScenes: its peak memory. ``python -m benchmarks.scale``"""
