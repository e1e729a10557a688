"""A real OpenSSH server with strict settings, the key of the backup, and a guesser of passwords.

python secure_shell.py guess ADDRESS ATTEMPTS FOLDER
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

CONFIG = """\
ListenAddress {address}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/backup_key.pub
PidFile none
AllowUsers root
# Passwords are asked for, so that guessing shows, and never accepted.
PermitRootLogin prohibit-password
PasswordAuthentication yes
KbdInteractiveAuthentication no
UsePAM no
MaxAuthTries 3
LoginGraceTime 30
X11Forwarding no
AllowTcpForwarding no
# The keys of one run lie in a folder under /tmp.
StrictModes no
KexAlgorithms sntrup761x25519-sha512@openssh.com,curve25519-sha256
Ciphers chacha20-poly1305@openssh.com,aes256-gcm@openssh.com
MACs hmac-sha2-512-etm@openssh.com
Subsystem sftp internal-sftp
"""
ANY_HOST_KEY = (
    *("-F", "/dev/null", "-o", "StrictHostKeyChecking=no"),
    *("-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"),
)
USERS = ("root", "admin", "mairie", "accueil", "sauvegarde", "test")
PASSWORDS = ("123456", "admin", "password", "azerty", "Mairie2024", "bienvenue", "soleil", "root")


def prepare(folder: Path, address: str) -> tuple[str, ...]:
    """Make keys and settings in *folder*; the command that starts the server on *address*.

    Raises:
        subprocess.CalledProcessError: sshd does not know its settings.
    """
    for name in ("host_key", "backup_key"):
        subprocess.run(
            ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", str(folder / name)),
            check=True,
        )
    Path("/run/sshd").mkdir(exist_ok=True)
    config = folder / "sshd_config"
    config.write_text(CONFIG.format(folder=folder, address=address))
    command = (shutil.which("sshd") or "sshd", "-f", str(config))
    # From 9.8 on sshd shuts out who guesses; the lab wants to see all of it.
    patient = ("-o", "PerSourcePenalties=no")
    known = subprocess.run((*command, *patient, "-t"), check=False, capture_output=True)
    return (*command, "-D", "-e", *(patient if known.returncode == 0 else ()))


def backup(folder: Path, address: str, size: int) -> tuple[str, ...]:
    """Make an archive of *size* bytes; the command that uploads it to *address* by key."""
    archive, arrived = folder / "sauvegarde.tar.zst", folder / "received.tar.zst"
    archive.write_bytes(os.urandom(size))
    key = ("-o", "BatchMode=yes", "-i", str(folder / "backup_key"))
    return ("scp", "-q", *ANY_HOST_KEY, *key, str(archive), f"root@{address}:{arrived}")


def _guess(address: str, attempts: int, folder: Path) -> None:
    """Try passwords one connection each, as guessing programs do; none can succeed."""
    ask = folder / "askpass"
    ask.write_text('#!/bin/sh\necho "$GUESS"\n')
    ask.chmod(0o700)
    guesses = [(user, password) for password in PASSWORDS for user in USERS]
    refused = 0
    for number in range(attempts):
        user, password = guesses[number % len(guesses)]
        command = (
            *("ssh", *ANY_HOST_KEY, "-o", "PubkeyAuthentication=no"),
            *("-o", "NumberOfPasswordPrompts=1", "-o", "KexAlgorithms=curve25519-sha256"),
        )
        done = subprocess.run(
            (*command, f"{user}@{address}", "true"),
            env={
                "PATH": os.environ["PATH"],
                "SSH_ASKPASS": str(ask),
                "SSH_ASKPASS_REQUIRE": "force",
                "GUESS": f"{password}{number // len(guesses) or ''}",
            },
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        refused += b"Permission denied" in done.stderr
        time.sleep(random.uniform(0.1, 0.5))
    sys.stdout.write(f"{attempts} attempts, {refused} refused\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case "guess", address, attempts, folder:
            _guess(address, int(attempts), Path(folder))
        case _:
            sys.exit(__doc__)
