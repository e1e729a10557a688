#!/bin/sh
# All that must hold before a change lands: format, lint, types, layers, tests.
set -eu
cd "$(dirname "$0")"
bin=.venv/bin
$bin/ruff format --check .
$bin/ruff check .
$bin/mypy
$bin/lint-imports
$bin/python -m pytest "$@"
