"""Where findings and decisions live."""
