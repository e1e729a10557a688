"""Safe decoding of sound, what its quality allows, where it says it comes from."""
