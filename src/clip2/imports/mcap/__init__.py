"""ROS 2's and Foxglove's recordings (.mcap)."""
