"""What brings the tools that everything else runs on; it never needs anything but Python 3.11."""
