from __future__ import annotations

import datetime as dt

import pytest

from cyberterr.errors import UsageError
from cyberterr.review.decisions import decision

NOW = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)


def test_a_decision_says_who_why_and_when():
    made = decision("f1", "benign", reason=" the nightly backup ", author="a.martin", now=NOW)
    assert (made.reason, made.author, made.time) == ("the nightly backup", "a.martin", NOW)


@pytest.mark.parametrize(
    ("verdict", "reason", "author", "words"),
    [
        ("benign", "  ", "a.martin", "needs a reason"),
        ("benign", "backup", " ", "needs an author"),
        ("benign", "x" * 2001, "a.martin", "2001 characters"),
        ("perhaps", "backup", "a.martin", "no such verdict: 'perhaps'"),
    ],
)
def test_a_decision_nobody_could_account_for_is_refused(verdict, reason, author, words):
    with pytest.raises(UsageError, match=words):
        decision("f1", verdict, reason=reason, author=author, now=NOW)
