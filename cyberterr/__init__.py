"""cyberterr: cybersecurity and deepfake detection for local authorities."""

__version__ = "0.1.0"
