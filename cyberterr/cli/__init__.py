"""The command line: one file per verb; each parses, calls the pipeline and prints."""

from __future__ import annotations

import click

from cyberterr import __version__
from cyberterr.cli.doctor import doctor
from cyberterr.cli.findings import findings
from cyberterr.cli.flows import flows
from cyberterr.cli.scan import scan


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cyberterr")
def main() -> None:
    """Explained network findings for local authorities. The tool proposes, a person decides."""


main.add_command(scan)
main.add_command(flows)
main.add_command(findings)
main.add_command(doctor)
