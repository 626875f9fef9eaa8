"""What every stage stands on: errors, progress on the screen, the device, work ahead in threads."""
