"""A week of a town, a line for each thing that happened: small enough to count by hand.

Monday 9 to Sunday 15 March 2026, UTC: 20 incidents raised and one that goes on, two that got
worse, decisions that were changed, scans that lost packets. `town` makes documents of it.
"""

from __future__ import annotations

import datetime as dt
from typing import NamedTuple

from cyberterr.contracts.finding import Severity, Text
from cyberterr.contracts.store import Verdict

MONDAY = dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC)

LOW, MEDIUM, HIGH, CRITICAL = Severity
PLANNING, ACCOUNTS, STUDENT, WORKSHOP = "10.20.4.14", "10.20.4.31", "10.20.7.9", "10.20.2.5"
PRINTER, ARCHIVE = "10.20.9.80", "10.20.4.60"
OUTSIDE, ELSEWHERE = "198.51.100.23", "198.51.100.77"
FILES, MAIL, NAMES, PUMP = "10.20.1.10", "10.20.1.20", "10.20.1.53", "10.20.30.2"
UPDATE, DROP = "203.0.113.66", "203.0.113.90"


class Incident(NamedTuple):
    """One line of the week."""

    day: int
    rule: str
    family: str
    severity: Severity
    actor: str
    victim: str | None
    title: Text


def _text(english: str, french: str) -> Text:
    return Text(english, french)


BEACON = _text("A PC calls the same server every minute", "Un PC appelle un serveur chaque minute")
PROBE = _text("Somebody outside tries our ports", "Quelqu’un de l’extérieur essaie nos ports")
CLEAR = _text("A password crosses the network in clear", "Un mot de passe circule en clair")

INCIDENTS = (
    Incident(0, "beacon", "beacon", HIGH, PLANNING, UPDATE, BEACON),
    Incident(
        0,
        "port_scan",
        "scan",
        MEDIUM,
        STUDENT,
        FILES,
        _text("A PC tries 900 ports of a server", "Un PC essaie 900 ports d’un serveur"),
    ),
    Incident(
        0,
        "dga",
        "dga",
        LOW,
        ACCOUNTS,
        None,
        _text("A PC asks for 40 names nobody has", "Un PC demande 40 noms inexistants"),
    ),
    Incident(1, "outside_scan", "scan", LOW, OUTSIDE, MAIL, PROBE),
    Incident(1, "cleartext", "cleartext_credentials", MEDIUM, WORKSHOP, FILES, CLEAR),
    Incident(
        1,
        "brute_force",
        "brute_force",
        MEDIUM,
        OUTSIDE,
        MAIL,
        _text(
            "700 passwords tried on the mail server", "700 mots de passe essayés sur la messagerie"
        ),
    ),
    Incident(
        2,
        "brute_force",
        "brute_force",
        HIGH,
        STUDENT,
        FILES,
        _text("A PC guesses passwords and gets in", "Un PC devine un mot de passe et entre"),
    ),
    Incident(
        2,
        "exfiltration",
        "exfiltration",
        HIGH,
        PLANNING,
        DROP,
        _text("A PC sends 412 MB to a new server", "Un PC envoie 412 Mo à un serveur inconnu"),
    ),
    Incident(2, "cleartext", "cleartext_credentials", MEDIUM, PRINTER, FILES, CLEAR),
    Incident(2, "outside_scan", "scan", LOW, OUTSIDE, MAIL, PROBE),
    Incident(
        3,
        "dns_tunnel",
        "dns_tunnel",
        HIGH,
        ACCOUNTS,
        NAMES,
        _text("A PC hides data in DNS questions", "Un PC cache des données dans le DNS"),
    ),
    Incident(
        3,
        "ping_sweep",
        "scan",
        MEDIUM,
        STUDENT,
        None,
        _text("A PC pings 250 neighbours", "Un PC interroge 250 voisins"),
    ),
    Incident(3, "outside_scan", "scan", LOW, ELSEWHERE, MAIL, PROBE),
    Incident(4, "beacon", "beacon", MEDIUM, ACCOUNTS, UPDATE, BEACON),
    Incident(
        4,
        "ot_write",
        "ot_write",
        HIGH,
        WORKSHOP,
        PUMP,
        _text("A new machine orders the pump to stop", "Une machine inconnue arrête la pompe"),
    ),
    Incident(
        4,
        "ot_recon",
        "ot_recon",
        MEDIUM,
        WORKSHOP,
        PUMP,
        _text("A new machine asks the pump what it is", "Une machine inconnue interroge la pompe"),
    ),
    Incident(4, "cleartext", "cleartext_credentials", MEDIUM, PRINTER, FILES, CLEAR),
    Incident(5, "outside_scan", "scan", LOW, OUTSIDE, MAIL, PROBE),
    Incident(6, "beacon", "beacon", MEDIUM, PLANNING, UPDATE, BEACON),
    Incident(
        6,
        "anomaly",
        "anomaly",
        LOW,
        PRINTER,
        None,
        _text("The printer behaves unlike itself", "L’imprimante se comporte autrement"),
    ),
)
"""each becomes an alert on its day; a number below is its place, counted from 1"""

GOES_ON = ((1, 1, HIGH, "event"), (2, 1, MEDIUM, "event"))
"""incident, day of the second revision, severity, kind"""
GOT_WORSE = ((8, 3, CRITICAL, "alert"), (14, 5, HIGH, "alert"))

DECISIONS: tuple[tuple[int, int, Verdict, str, str], ...] = (
    (1, 0, "true_positive", "the PC runs a program that nobody installed", "a.martin"),
    (2, 0, "benign", "inventory by the IT team, announced", "a.martin"),
    (5, 1, "true_positive", "old backup program, to be replaced", "l.durand"),
    (6, 1, "false_positive", "looked like the mail gateway", "l.durand"),
    (6, 2, "true_positive", "it was not: the address is unknown", "a.martin"),
    (7, 2, "true_positive", "a pupil, the account is closed", "a.martin"),
    (9, 2, "false_positive", "the printer logs in without a password", "l.durand"),
    (10, 3, "benign", "the usual noise of the internet", "l.durand"),
    (14, 5, "false_positive", "update service of the accounting software", "a.martin"),
    (17, 5, "false_positive", "the printer again", "l.durand"),
    (18, 6, "benign", "the usual noise of the internet", "l.durand"),
)
SUPPRESSED = (
    (
        "quiet-printer",
        "cleartext",
        PRINTER,
        None,
        2,
        dt.date(2026, 6, 12),
        "the printer has no password",
    ),
    ("quiet-outside", "outside_scan", None, MAIL, 3, dt.date(2026, 9, 1), "the usual noise"),
    (
        "quiet-workshop",
        "cleartext",
        WORKSHOP,
        None,
        3,
        dt.date(2026, 4, 1),
        "until the backup is replaced",
    ),
)
LIFTED = "quiet-workshop"

SCANS = (
    ("town-hall", 0, 1000, 0, 0, 0, ()),
    ("town-hall", 1, 1100, 12, 0, 0, ()),
    ("town-hall", 2, 1200, 0, 5, 0, ()),
    ("town-hall", 3, 1150, 40, 0, 1, ()),
    ("town-hall", 4, 1050, 0, 0, 0, ()),
    ("town-hall", 5, 300, 0, 0, 0, ("dhcp",)),
    ("town-hall", 6, 280, 0, 0, 0, ("dhcp",)),
    ("school", 0, 200, 0, 0, 0, ("ot_write", "ot_recon")),
    ("school", 2, 220, 0, 0, 0, ("ot_write", "ot_recon")),
    ("school", 4, 210, 0, 0, 0, ("ot_write", "ot_recon")),
)
"""sensor, day, flows, packets lost, flows closed early, warnings, detectors that judged nothing"""

VOICE, FACE, STILL = "voice 0.2", "face 0.1", "still 0.1"
CLIPS = (
    ("mayor_message.wav", "audio", "signs_of_synthesis", 0.91, 0, (VOICE,)),
    ("radio_call.mp3", "audio", "cannot_say", 0.55, 1, (VOICE,)),
    ("council.wav", "audio", "no_sign_found", 0.12, 1, (VOICE,)),
    ("speech.mp4", "video", "signs_of_synthesis", 0.84, 3, (VOICE, FACE)),
    ("market.mp4", "video", "no_sign_found", 0.2, 4, (VOICE, FACE)),
    ("flood.jpg", "image", "cannot_say", 0.5, 4, (STILL,)),
    ("bridge.jpg", "image", "no_sign_found", 0.1, 5, (STILL,)),
    ("poster.png", "image", "no_sign_found", 0.15, 6, (STILL,)),
)
TOUCHES = (
    (STUDENT, "token-archive", "honeytoken.credential", 2, "log-in tried", False),
    (STUDENT, "share-old", "decoy.file_share", 2, "folder listed", False),
    (STUDENT, "share-old", "decoy.file_share", 3, "file opened", False),
    (ACCOUNTS, "token-archive", "honeytoken.credential", 3, "log-in tried", False),
    ("10.20.7.44", "letter-salaries", "honeytoken.document", 5, "document opened", False),
    (FILES, "share-old", "decoy.file_share", 0, "folder listed", True),
    (FILES, "token-archive", "honeytoken.credential", 3, "log-in tried", True),
)
STEPS = (
    ("run-1", "close-account", "warn", "proposed", 2, "system"),
    ("run-1", "close-account", "warn", "approved", 2, "a.martin"),
    ("run-1", "close-account", "warn", "done", 2, "system"),
    ("run-1", "close-account", "close", "proposed", 2, "system"),
    ("run-1", "close-account", "close", "refused", 2, "l.durand"),
    ("run-2", "isolate-pc", "isolate", "proposed", 3, "system"),
    ("run-2", "isolate-pc", "isolate", "approved", 3, "a.martin"),
    ("run-2", "isolate-pc", "isolate", "done", 3, "system"),
    ("run-2", "isolate-pc", "isolate", "rolled_back", 4, "a.martin"),
)
