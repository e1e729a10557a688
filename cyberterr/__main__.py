"""`python -m cyberterr`."""

from cyberterr.cli import main

main()
