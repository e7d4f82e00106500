"""Unpacks PEX files as the layers of an image, while the image is built. Standard library only."""
