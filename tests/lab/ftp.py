"""An FTP server of the old sort, and a login whose password anybody on the wire can read (RFC 959).

python ftp.py serve
python ftp.py login ADDRESS USER PASSWORD
"""

from __future__ import annotations

import asyncio
import ftplib
import sys

PORT = 21


async def _session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greet, take any user and password, name a folder, say goodbye."""

    async def say(line: str) -> None:
        writer.write(f"{line}\r\n".encode())
        await writer.drain()

    await say("220 Scanner de la mairie")
    while line := await reader.readline():
        match line.decode("latin-1").strip().upper().partition(" ")[0]:
            case "USER":
                await say("331 Mot de passe ?")
            case "PASS":
                await say("230 Bienvenue")
            case "PWD":
                await say('257 "/numerisations"')
            case "QUIT":
                await say("221 Au revoir")
                break
            case _:
                await say("502 Commande inconnue")
    writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_session, "", PORT)
    await server.serve_forever()


def _login(address: str, user: str, password: str) -> None:
    with ftplib.FTP(address, user, password, timeout=10) as session:
        sys.stdout.write(f"logged in, folder {session.pwd()}\n")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ("serve",):
            asyncio.run(_serve())
        case "login", address, user, password:
            _login(address, user, password)
        case _:
            sys.exit(__doc__)
