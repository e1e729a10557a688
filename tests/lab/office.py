"""A person at a desk: pages, look-ups, the shared folder, the printer; never at even intervals.

python office.py SEED [CERTIFICATE]
"""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import tempfile
import time

BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:115.0) Gecko/20100101 Firefox/115.0",
)
SITES = (
    "https://www.mairie.example",
    "https://demarches.example",
    "https://www.journal.example",
    "https://www.meteo.example",
    "https://plan.ville.example",
    "http://www.mairie.example",
    "http://www.meteo.example",
)
LOOKED_UP = (
    "img.journal.example",
    "api.meteo.example",
    "updates.poste.example",
    "imprimante.mairie.example",
    "wpad.mairie.example",  # does not exist, and is asked for all the same
    "www.jounral.example",  # mistyped
)
SHARE = "http://partage.mairie.example"
PRINTER = ("imprimante.mairie.example", 9100)
DECK = ("browse",) * 6 + ("look_up",) * 3 + ("share", "print_out")


def _curl(browser: str, certificate: str, *arguments: str) -> None:
    trust = ("--cacert", certificate) if certificate else ()
    subprocess.run(
        ("curl", "--silent", "--max-time", "15", "--user-agent", browser, *trust, *arguments),
        check=False,
        stdout=subprocess.DEVNULL,
    )


def _browse(chance: random.Random, browser: str, certificate: str) -> None:
    """One page and what it shows, over one connection as a browser does."""
    site = chance.choice([s for s in SITES if certificate or s.startswith("http:")])
    urls = [f"{site}/text/{chance.randint(1200, 4000)}/page-{chance.randint(1, 40)}"]
    for number in range(chance.randint(0, 3)):
        urls.append(f"{site}/image/{chance.randint(400, 3000)}/{number}")
    _curl(browser, certificate, *(part for url in urls for part in ("--output", "/dev/null", url)))


def _share(chance: random.Random, browser: str) -> None:
    """Save a document in the shared folder, or open one."""
    url = f"{SHARE}/text/{chance.randint(8000, 18000)}/deliberation-{chance.randint(1, 90)}.odt"
    if chance.random() < 0.5:
        _curl(browser, "", "--output", "/dev/null", url)
        return
    with tempfile.NamedTemporaryFile() as document:
        document.write(chance.randbytes(chance.randint(6000, 20000)))
        document.flush()
        _curl(browser, "", "--upload-file", document.name, url)


def _print_out(chance: random.Random) -> None:
    """Send one job to port 9100, in its printer language."""
    job = b"%!PS-Adobe-3.0\n" + b"72 720 moveto (Avis) show\n" * chance.randint(150, 500)
    with socket.create_connection(PRINTER, timeout=5) as line:
        line.sendall(b"\x1b%-12345X@PJL JOB\r\n@PJL ENTER LANGUAGE=POSTSCRIPT\r\n" + job)
        line.sendall(b"showpage\n\x1b%-12345X@PJL EOJ\r\n")
        line.shutdown(socket.SHUT_WR)
        line.recv(200)


def _work(seed: str, certificate: str) -> None:
    chance = random.Random(seed)
    browser = chance.choice(BROWSERS)
    while True:
        for task in chance.sample(DECK, len(DECK)):
            time.sleep(min(60.0, chance.lognormvariate(2.0, 0.9)))
            with contextlib.suppress(OSError):  # a name or server that is not there today
                if task == "browse":
                    _browse(chance, browser, certificate)
                elif task == "look_up":
                    socket.getaddrinfo(chance.choice(LOOKED_UP), 443)
                elif task == "share":
                    _share(chance, browser)
                else:
                    _print_out(chance)


if __name__ == "__main__":
    _work(*(*sys.argv[1:], "")[:2])
