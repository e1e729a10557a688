"""Play one day and record it. `town_hall.py` starts this inside namespaces of its own.

    python stage.py FOLDER NAME SECONDS day|quiet SEED

Standard input is a lifeline: when it closes, the play stops and what is recorded so far is kept.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cast
import network
import secure_shell

SETTLE_S = 1.5  # servers need so long to listen
SKIPPED = 3


def _start(part: cast.Part, log: Path) -> subprocess.Popen[bytes] | None:
    """Start *part* in its host, or say why it is left out."""
    missing = [program for program in part.needs if not shutil.which(program)]
    title = part.scene.note if part.scene else Path(part.argv[0]).name
    if title.startswith("python"):
        title = " ".join((Path(part.argv[1]).name, *part.argv[2:3]))
    if missing:
        logging.info("left out: %s in %s (missing: %s)", title, part.host, ", ".join(missing))
        return None
    logging.info("%s: %s", part.host, title)
    with log.open("wb") as output:
        return subprocess.Popen(
            ("ip", "netns", "exec", part.host, *part.argv),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def _stop(programs: list[subprocess.Popen[bytes]]) -> None:
    for program in programs:
        program.terminate()
    for program in programs:
        try:
            program.wait(3)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()


def _utc(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _certificate(folder: Path) -> tuple[str, ...]:
    """Make a self-signed certificate for all names; its paths, or nothing without openssl."""
    if not shutil.which("openssl"):
        logging.info("left out: HTTPS (missing: openssl)")
        return ()
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = "subjectAltName=" + ",".join(f"DNS:{name}" for name in network.NAMES)
    subprocess.run(
        (
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=town hall lab", "-addext", names),
            *("-out", str(certificate), "-keyout", str(key)),
        ),
        check=True,
        capture_output=True,
    )
    return str(certificate), str(key)


def _record(target: Path) -> subprocess.Popen[bytes]:
    """Capture what passes the switch, as a mirror port shows it."""
    command: tuple[str, ...]
    if shutil.which("dumpcap"):
        command = ("dumpcap", "-q", "-P", "-i", network.SWITCH, "-w", str(target))
    else:
        command = ("tcpdump", "-Z", "root", "-U", "-i", network.SWITCH, "-w", str(target))
    logging.info("recording on %s with %s", network.SWITCH, command[0])
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def _hang_up() -> bool:
    """Wait a fifth of a second; whether whoever started us has let go."""
    return bool(select.select([sys.stdin], [], [], 0.2)[0])


def _play(parts: list[cast.Part], seconds: float, folder: Path) -> list[dict[str, object]]:
    """Start each part at its time, stop all at the end; what really happened, by start."""
    waiting = sorted(parts, key=lambda part: part.at)
    running: list[tuple[cast.Part, subprocess.Popen[bytes], float, Path]] = []
    truth: list[dict[str, object]] = []

    def over(part: cast.Part, program: subprocess.Popen[bytes], start: float, log: Path) -> None:
        said = log.read_text(errors="replace").strip().splitlines()
        if program.returncode > 0:
            logging.info("%s: exit %d: %s", part.host, program.returncode, "; ".join(said[-2:]))
        if part.scene is None:
            return
        scene, note = part.scene, part.scene.note
        if scene.attack and program.returncode == 0 and said and part.argv[0] == sys.executable:
            note = f"{note}; {said[-1]}"
        if program.returncode < 0:
            note = f"{note}; runs until the end of the recording"
        truth.append(
            {
                "attack": scene.attack,
                "family": scene.family,
                "actor": scene.actor,
                "victim": scene.victim,
                "victim_port": scene.victim_port,
                "start": _utc(start),
                "end": _utc(time.time()),
                "note": note,
            }
        )

    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        while waiting and waiting[0].at * seconds <= passed:
            part = waiting.pop(0)
            log = folder / f"part-{len(waiting)}.log"
            start = time.time()
            if program := _start(part, log):
                running.append((part, program, start, log))
        for entry in [entry for entry in running if entry[1].poll() is not None]:
            running.remove(entry)
            over(*entry)
        if _hang_up():
            logging.info("stopped after %.0f of %.0f s; what was recorded is kept", passed, seconds)
            break
    _stop([entry[1] for entry in running])
    for entry in running:
        over(*entry)
    return sorted(truth, key=lambda scene: str(scene["start"]))


def _keep(raw: Path, folder: Path, name: str) -> Path:
    """Bring the recording home as pcapng, without what it says of the machine that made it."""
    if shutil.which("editcap"):
        capture = folder / f"{name}.pcapng"
        subprocess.run(("editcap", "-F", "pcapng", str(raw), str(capture)), check=True)
    else:
        logging.info("editcap is missing: the capture stays a pcap")
        capture = folder / f"{name}.pcap"
        shutil.copyfile(raw, capture)
    return capture


def _day(folder: Path, name: str, seconds: float, *, quiet: bool, seed: str, work: Path) -> None:
    network.use_our_resolver(work)
    network.build(with_intruder=not quiet)
    certificate = _certificate(work)
    with_ssh = all(shutil.which(program) for program in ("sshd", "ssh", "ssh-keygen"))
    sshd = secure_shell.prepare(work, cast.SERVER) if with_ssh else ()
    if not with_ssh:
        logging.info("left out: sshd, backup and brute force (missing: OpenSSH)")
    trust = certificate[0] if certificate else ""
    parts = cast.everyday(seed, trust, work, with_ssh=with_ssh)
    if not quiet:
        parts += cast.attacks(trust, work, with_ssh=with_ssh)
    started = [
        _start(part, work / f"server-{number}.log")
        for number, part in enumerate(cast.servers(certificate, sshd))
    ]
    time.sleep(SETTLE_S)
    raw = work / "raw.pcap"
    recorder = _record(raw)
    time.sleep(SETTLE_S)
    start = time.time()
    try:
        truth = _play(parts, seconds, work)
    finally:
        time.sleep(0.5)  # what is still on the wire
        recorder.send_signal(signal.SIGINT)
        recorder.wait(10)
        _stop([server for server in started if server])
    capture = _keep(raw, folder, name)
    document = {
        "capture": capture.name,
        "start": _utc(start),
        "end": _utc(time.time()),
        "own_networks": [network.OWN],
        "gateway": network.GATEWAY,
        "dns_server": network.GATEWAY,
        "hosts": network.ADDRESS,
        "names": network.NAMES,
        "attacks": [_without_flag(scene) for scene in truth if scene["attack"]],
        "benign": [_without_flag(scene) for scene in truth if not scene["attack"]],
    }
    text = json.dumps(document, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")
    logging.info("kept %s, %d bytes, and its truth", capture, capture.stat().st_size)


def _without_flag(scene: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in scene.items() if key != "attack"}


def main() -> int:
    """Play; 0 where a capture was kept, 3 where the machine would not let us."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    folder, name, seconds, mode, seed = sys.argv[1:]
    try:
        # Only this mount namespace sees it: namespaces' names, and sshd's empty folder.
        subprocess.run(("mount", "-t", "tmpfs", "tmpfs", "/run"), check=True, capture_output=True)
        with tempfile.TemporaryDirectory(prefix="town-hall-") as work:
            _day(
                *(Path(folder), name, float(seconds)),
                quiet=mode == "quiet",
                seed=seed,
                work=Path(work),
            )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode() if isinstance(error.stderr, bytes) else error.stderr or ""
        logging.info("skipped: %s: %s", " ".join(error.cmd[:6]), said.strip())
        return SKIPPED
    except OSError as error:
        logging.info("skipped: %s", error)
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
