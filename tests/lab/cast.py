"""Who plays in the town hall: servers, people, machines that only look odd, and the attacks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import secure_shell
from network import ADDRESS, ANNEXE, GATEWAY, NAMES, TUNNEL_DOMAIN, TUNNEL_SERVER

HERE = Path(__file__).parent
BACKUP_BYTES = 300_000
TUNNEL_BYTES = 12_000
ATTEMPTS = 64
SERVER, CONTROLLER, INTRUDER = ADDRESS["serveur"], ADDRESS["automate"], ADDRESS["inconnu"]
C2 = "static-sync.example"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What the ground truth says of a part."""

    attack: bool
    family: str
    """of an attack; of a benign part, the family it may be taken for"""
    actor: str
    victim: str
    victim_port: int | None
    note: str


@dataclass(frozen=True, kw_only=True)
class Part:
    """One program in one host."""

    host: str
    argv: tuple[str, ...]
    at: float = 0.0
    """when it starts, as a share of the recorded time"""
    needs: tuple[str, ...] = ()
    """programs without which it is left out"""
    scene: Scene | None = None


def _script(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, str(HERE / name), *arguments)


def servers(certificate: tuple[str, ...], sshd: tuple[str, ...]) -> list[Part]:
    """What must listen before anybody moves."""
    resolver = (
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file", "--user=root"),
        *("--no-resolv", "--no-hosts", f"--listen-address={GATEWAY}", "--bind-interfaces"),
        *("--local=/example/", f"--server=/{TUNNEL_DOMAIN}/{TUNNEL_SERVER}"),
        *(f"--host-record={name},{address},300" for name, address in NAMES.items()),
    )
    web = _script("web_server.py", *certificate)
    return [
        Part(host="gateway", argv=resolver, needs=("dnsmasq",)),
        Part(host="gateway", argv=_script("clock.py", "serve")),
        Part(host="internet", argv=web),
        Part(host="internet", argv=_script("dns_tunnel.py", "serve", TUNNEL_SERVER)),
        Part(host="serveur", argv=web),
        Part(host="serveur", argv=_script("ftp.py", "serve")),
        Part(host="imprimante", argv=_script("printer.py")),
        Part(host="automate", argv=_script("modbus.py", "serve", CONTROLLER)),
        *([Part(host="serveur", argv=sshd, needs=("sshd",))] if sshd else []),
    ]


def everyday(seed: str, certificate: str, folder: Path, *, with_ssh: bool) -> list[Part]:
    """What happens on any day: people, monitoring, clocks, the water tower, the backup."""
    parts = [
        Part(
            host="scada",
            argv=_script("modbus.py", "poll", CONTROLLER),
            scene=_benign("scada", CONTROLLER, 502, "ot_write", "reads the PLC every second"),
        ),
        Part(
            host="supervision",
            argv=_script(
                *("poll.py", "--every", "10", "--http", f"http://{SERVER}/status"),
                *(part for a in (SERVER, GATEWAY, CONTROLLER) for part in ("--ping", a)),
            ),
            needs=("curl", "ping"),
            scene=_benign("supervision", SERVER, 80, "beacon", "monitoring: HTTP, ICMP every 10 s"),
        ),
    ]
    for host in ("accueil", "etat-civil", "urbanisme", "comptabilite"):
        mail = _script(
            *("poll.py", "--every", "60", "--jitter", "0.02", "--agent", "Thunderbird/115.12"),
            *("--http", "https://mail.mairie.example/text/300/new", "--certificate", certificate),
        )
        note = "asks for new mail every 60 s, as the other desks do"
        scene = _benign(host, NAMES["mail.mairie.example"], 443, "beacon", note)
        parts += [
            Part(
                host=host,
                argv=_script("office.py", f"{seed}-{host}", certificate),
                needs=("curl", "dnsmasq"),
            ),
            Part(host=host, argv=mail, needs=("curl", "dnsmasq", "openssl"), at=0.02, scene=scene),
        ]
    for host in ("accueil", "etat-civil", "urbanisme", "comptabilite", "serveur"):
        scene = _benign(host, GATEWAY, 123, "beacon", "NTP every 32 s")
        parts.append(Part(host=host, argv=_script("clock.py", "poll", GATEWAY, "32"), scene=scene))
    if with_ssh:
        note = f"the nightly backup: {BACKUP_BYTES} random bytes over SSH, logged in by key"
        parts.append(
            Part(
                host="supervision",
                argv=secure_shell.backup(folder, SERVER, BACKUP_BYTES),
                at=0.50,
                needs=("scp",),
                scene=_benign("supervision", SERVER, 22, "exfiltration", note),
            )
        )
    return parts


def attacks(certificate: str, folder: Path, *, with_ssh: bool) -> list[Part]:
    """What the attack day adds."""
    nmap = ("nmap", "-sS", "-Pn", "-n", "-T4", "--max-retries", "1")
    sweep = (*nmap, "-p", "445", "10.20.1.0/24", "10.20.3.0/24")
    one_by_one = (*nmap, SERVER)
    beacon = _script(
        *("poll.py", "--every", "15", "--jitter", "0.1", "--agent", "sync/1.0"),
        *("--http", f"https://{C2}/text/180/v", "--certificate", certificate),
    )
    tunnel = _script("dns_tunnel.py", "send", GATEWAY, TUNNEL_DOMAIN, str(TUNNEL_BYTES))
    guess = _script("secure_shell.py", "guess", SERVER, str(ATTEMPTS), str(folder))
    login = _script("ftp.py", "login", SERVER, "numerisation", "Lab-0nly-not-a-secret")
    parts = [
        Part(
            host="urbanisme",
            argv=beacon,
            at=0.04,
            needs=("curl", "dnsmasq", "openssl"),
            scene=_attack("beacon", "urbanisme", NAMES[C2], 443, f"{C2}, every 15 s ± 10 %"),
        ),
        Part(
            host="inconnu",
            argv=sweep,
            at=0.10,
            needs=("nmap",),
            scene=_attack(
                "scan",
                "inconnu",
                "10.20.0.0/16",
                445,
                "horizontal: ARP sweep of 10.20.1.0/24, SYN to its hosts and to 10.20.3.0/24 "
                f"(behind the gateway; only {' and '.join(ANNEXE)} answer)",
            ),
        ),
        Part(
            host="inconnu",
            argv=one_by_one,
            at=0.22,
            needs=("nmap",),
            scene=_attack("scan", "inconnu", SERVER, None, "vertical: nmap's 1000 usual ports"),
        ),
        Part(
            host="inconnu",
            argv=_script("modbus.py", "write", CONTROLLER, "3"),
            at=0.62,
            scene=_attack("ot_write", "inconnu", CONTROLLER, 502, "one Write Single Coil"),
        ),
        Part(
            host="etat-civil",
            argv=login,
            at=0.68,
            scene=_attack(
                "cleartext_credentials", "etat-civil", SERVER, 21, "one FTP login, bad practice"
            ),
        ),
        Part(
            host="comptabilite",
            argv=tunnel,
            at=0.74,
            needs=("dnsmasq",),
            scene=_attack(
                "dns_tunnel", "comptabilite", GATEWAY, 53, f"names under {TUNNEL_DOMAIN}"
            ),
        ),
    ]
    if with_ssh:
        scene = _attack("brute_force", "inconnu", SERVER, 22, "SSH passwords, none can succeed")
        parts.append(Part(host="inconnu", argv=guess, at=0.32, needs=("ssh",), scene=scene))
    return parts


def _benign(host: str, victim: str, port: int, family: str, note: str) -> Scene:
    return Scene(
        attack=False,
        family=family,
        actor=ADDRESS[host],
        victim=victim,
        victim_port=port,
        note=note,
    )


def _attack(family: str, host: str, victim: str, port: int | None, note: str) -> Scene:
    return Scene(
        attack=True,
        family=family,
        actor=ADDRESS[host],
        victim=victim,
        victim_port=port,
        note=note,
    )
