"""The generated reference pages are what the contracts say; refresh: `python docs/generate.py`."""

import datetime as dt
import runpy
from pathlib import Path

import msgspec
import pytest

from cyberterr import errors
from cyberterr.contracts import Finding

DOCS = Path(__file__).parents[1] / "docs"
GENERATE = runpy.run_path(str(DOCS / "generate.py"))
PAGES = GENERATE["PAGES"]


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name):
    assert (DOCS / "reference" / name).read_text(encoding="utf-8") == PAGES[name]()


def test_every_page_of_the_reference_is_generated():
    assert {path.name for path in (DOCS / "reference").glob("*.md")} == set(PAGES)


@pytest.mark.parametrize("name", [f.name for f in msgspec.structs.fields(Finding)])
def test_every_field_of_a_finding_but_its_picture_has_a_place_in_the_event(name):
    assert bool(GENERATE["ecs_fields"](name)) is (name != "picture")


def test_every_exit_code_is_explained():
    codes = {value for name, value in vars(errors).items() if isinstance(value, int)}
    assert codes | set(errors.SEVEREST_FIRST) <= set(GENERATE["EXIT_CODES"])


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (dt.timedelta(days=1), "1 day"),
        (dt.timedelta(hours=24), "1 day"),
        (dt.timedelta(hours=1), "1 hour"),
        (dt.timedelta(minutes=10), "10 minutes"),
        (dt.timedelta(seconds=90), "90 seconds"),
        (dt.timedelta(0), "none"),
    ],
)
def test_a_duration_is_printed_as_people_say_it(length, said):
    assert GENERATE["duration"](length) == said


def test_a_field_whose_meaning_is_not_written_down_stops_the_page():
    with pytest.raises(ValueError, match=r"Undocumented\.silent"):
        list(GENERATE["documented"](Undocumented))


class Undocumented:
    """Has a field without a meaning."""

    silent: int
