"""The command line: one file per verb; each parses, calls the pipeline and prints."""

from __future__ import annotations

import io
import sys

import click

from cyberterr import __version__
from cyberterr.cli.dissect import dissect
from cyberterr.cli.doctor import doctor
from cyberterr.cli.elastic import elastic
from cyberterr.cli.evaluate import evaluate
from cyberterr.cli.findings import findings
from cyberterr.cli.flows import flows
from cyberterr.cli.learn import learn
from cyberterr.cli.scan import scan
from cyberterr.cli.verify import verify


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="cyberterr")
def main() -> None:
    """Explained findings on networks and recordings. The tool proposes, a person decides."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may know less than UTF-8


main.add_command(scan)
main.add_command(verify)
main.add_command(flows)
main.add_command(dissect)
main.add_command(findings)
main.add_command(elastic)
main.add_command(learn)
main.add_command(evaluate)
main.add_command(doctor)
