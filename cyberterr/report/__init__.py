"""Findings made readable: terminal, HTML, pictures."""
