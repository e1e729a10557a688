"""A network printer: takes jobs on port 9100 (AppSocket) and says it is ready."""

from __future__ import annotations

import asyncio

PORT = 9100
LARGEST_JOB = 1_000_000


async def _job(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = LARGEST_JOB
    while left > 0 and (part := await reader.read(4096)):
        left -= len(part)
    writer.write(b"\x1b%-12345X@PJL USTATUS JOB\r\nEND\r\n")
    writer.close()


async def _serve() -> None:
    server = await asyncio.start_server(_job, "", PORT)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve())
