"""Shipped detectors, one per file. Loaded by `cyberterr.content`, never imported by name."""
