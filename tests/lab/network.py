"""The town hall's network: one switch, one gateway, and an Internet of our own behind it.

Every host is a network namespace; the switch is a bridge without any way out. Call `build` only
inside a private network and mount namespace (`town_hall.py` makes it), so nothing of this is ever
seen by the machine that plays the lab, and all of it ends with the last process.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

SWITCH = "switch0"
GATEWAY = "10.20.1.1"
OWN = "10.20.0.0/16"

OFFICE = {
    "gateway": GATEWAY,
    "accueil": "10.20.1.10",
    "etat-civil": "10.20.1.11",
    "urbanisme": "10.20.1.12",
    "comptabilite": "10.20.1.13",
    "serveur": "10.20.1.20",
    "supervision": "10.20.1.30",
    "imprimante": "10.20.1.40",
    "inconnu": "10.20.1.66",
}
WATERWORKS = {"scada": "10.20.2.5", "automate": "10.20.2.10"}
ANNEXE = ("10.20.3.10", "10.20.3.20")
"""the school's two machines, reached through the gateway; the rest of 10.20.3.0/24 is silent"""

ADDRESS = {**OFFICE, **WATERWORKS}

NAMES = {
    "www.mairie.example": "198.51.100.10",
    "mail.mairie.example": "198.51.100.25",
    "demarches.example": "198.51.100.30",
    "updates.poste.example": "198.51.100.40",
    "www.journal.example": "192.0.2.80",
    "img.journal.example": "192.0.2.81",
    "www.meteo.example": "192.0.2.90",
    "api.meteo.example": "192.0.2.90",
    "plan.ville.example": "192.0.2.110",
    "static-sync.example": "203.0.113.77",
    "partage.mairie.example": ADDRESS["serveur"],
    "imprimante.mairie.example": ADDRESS["imprimante"],
}
"""What the town's resolver knows: names of RFC 2606, addresses of RFC 5737 or our own."""

TUNNEL_DOMAIN = "t.relay.example"
TUNNEL_SERVER = "203.0.113.53"
LINK = ("198.18.0.1", "198.18.0.2")
"""gateway and Internet side of the line (RFC 2544)"""


_FORWARD = "open('/proc/sys/net/ipv4/ip_forward', 'w').write('1')"


def _ip(*arguments: str) -> None:
    subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True)


def _within(host: str, *arguments: str) -> None:
    subprocess.run(("ip", "netns", "exec", host, *arguments), check=True, capture_output=True)


def _cable(host: str, address: str) -> None:
    """Plug *host* into the switch; its MAC spells its address."""
    port = f"port-{address.removeprefix('10.20.')}"
    mac = "02:00:" + ":".join(f"{int(part):02x}" for part in address.split("."))
    _ip("netns", "add", host)
    _ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host)
    _ip("link", "set", port, "master", SWITCH, "addrgenmode", "none")
    _ip("link", "set", port, "up")
    _ip("-n", host, "link", "set", "eth0", "address", mac, "addrgenmode", "none")
    _ip("-n", host, "link", "set", "eth0", "up")
    _ip("-n", host, "link", "set", "lo", "up")
    _ip("-n", host, "address", "add", f"{address}/24", "dev", "eth0")
    if shutil.which("ethtool"):  # packets as a cable carries them: real checksums, real sizes
        _within(host, "ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off")


def _internet() -> None:
    """Put every outside address into one namespace, one hop behind the gateway."""
    outside = {a for a in (*NAMES.values(), TUNNEL_SERVER) if not a.startswith("10.")}
    _ip("netns", "add", "internet")
    _ip("-n", "internet", "link", "set", "lo", "up")
    for address in sorted(outside):
        _ip("-n", "internet", "address", "add", f"{address}/32", "dev", "lo")
    _ip(
        *("link", "add", "line", "netns", "gateway", "type", "veth"),
        *("peer", "name", "line", "netns", "internet"),
    )
    for host, address in zip(("gateway", "internet"), LINK, strict=True):
        _ip("-n", host, "link", "set", "line", "addrgenmode", "none")
        _ip("-n", host, "link", "set", "line", "up")
        _ip("-n", host, "address", "add", f"{address}/30", "dev", "line")
    _ip("-n", "internet", "route", "add", OWN, "via", LINK[0])
    _ip("-n", "gateway", "route", "add", "default", "via", LINK[1])
    _within("gateway", sys.executable, "-c", _FORWARD)


def build(*, with_intruder: bool) -> None:
    """Make the switch and all hosts; the machine `inconnu` only where *with_intruder*.

    Raises:
        subprocess.CalledProcessError: `ip` refuses, mostly for want of rights or kernel parts.
    """
    _ip("link", "set", "lo", "up")
    _ip("link", "add", SWITCH, "type", "bridge")
    # First no IPv6 address, then up: in one command the kernel does it the other way round.
    _ip("link", "set", SWITCH, "addrgenmode", "none")
    _ip("link", "set", SWITCH, "up")
    for host, address in ADDRESS.items():
        if host != "inconnu" or with_intruder:
            _cable(host, address)
    for host in OFFICE:
        if host == "gateway" or (host == "inconnu" and not with_intruder):
            continue
        _ip("-n", host, "route", "add", "10.20.2.0/24", "dev", "eth0")
        _ip("-n", host, "route", "add", "default", "via", GATEWAY)
    for host in WATERWORKS:
        _ip("-n", host, "route", "add", "10.20.1.0/24", "dev", "eth0")
        _ip("-n", host, "route", "add", "default", "via", "10.20.2.1")
    _ip("-n", "gateway", "address", "add", "10.20.2.1/24", "dev", "eth0")
    _ip("-n", "gateway", "route", "add", "blackhole", "10.20.3.0/24")
    for address in ANNEXE:
        _ip("-n", "gateway", "address", "add", f"{address}/32", "dev", "lo")
    _internet()
    if not shutil.which("ethtool"):
        logging.info("ethtool is missing: checksums and sizes are recorded before offload")


def use_our_resolver(folder: Path) -> None:
    """Make the lab's resolver that of every program in this mount namespace."""
    ours = folder / "resolv.conf"
    ours.write_text(f"nameserver {GATEWAY}\noptions timeout:2 attempts:2\n")
    system = Path("/etc/resolv.conf").resolve()  # on many machines a link into /run
    system.parent.mkdir(parents=True, exist_ok=True)
    system.touch()
    subprocess.run(("mount", "--bind", str(ours), str(system)), check=True, capture_output=True)
