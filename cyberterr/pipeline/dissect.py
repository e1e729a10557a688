"""From a flow or a finding to what was said in it: deep fields, message by message.

The meter finds the flows, tshark dissects their packets and no others.
"""

from __future__ import annotations

import datetime as dt
import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from cyberterr.capture import deep
from cyberterr.capture.deep_fields import PROTOCOLS
from cyberterr.capture.engine import Reading as Dissected
from cyberterr.capture.engine import tshark_path
from cyberterr.capture.source import Source, discover, open_stream
from cyberterr.config import Settings
from cyberterr.contracts.finding import Finding
from cyberterr.errors import SourceError, UsageError
from cyberterr.pipeline.sources import Reading, read_tables

MOST_FLOWS = 100
"""Flows dissected in one call, the earliest; each is a part of tshark's filter."""
_CAPTURES = ("pcap", "pcapng", "wireshark")
_CHOSEN = [field for field in deep.Chosen._fields if not field.endswith("_ns")]


def dissect(
    paths: Sequence[str],
    settings: Settings,
    reading: Reading,
    *,
    flow_ids: Sequence[int] = (),
    findings: Sequence[Finding] = (),
) -> Iterator[dict[str, Any]]:
    """Give the messages of the flows with *flow_ids*, and of those that *findings* are about.

    A message is a mapping: `time` (UTC, ISO 8601), `flow_id`, `direction` (`src_to_dst` or
    `dst_to_src`), `protocol` and `fields` (names of Wireshark's display filters → values). It
    holds no password, cookie, user name or body; see `capture/deep_fields.py` for what it holds.
    At most `MOST_FLOWS` flows and `deep.MESSAGES_PER_FLOW` messages of each are given.

    Args:
        paths: captures, or folders of them; logs hold no packets.
        settings: time-outs of the meter, which decide what a flow is.
        reading: filled while the iterator runs; captures that cannot be read are in its errors.
        flow_ids: as `cyberterr flows` gives them for the same *paths*.
        findings: their hosts and times choose the flows whose service is known.

    Raises:
        MissingPartError: tshark is absent.
        SourceError: nothing that is named can be read.
        UsageError: no capture is named, or no flow in them is meant.
    """
    tshark_path()
    discovery = discover(paths)
    captures = [source for source in discovery.sources if source.kind in _CAPTURES]
    if not captures:
        raise next(iter(discovery.errors), UsageError("a log holds no packets: name a capture"))
    if any(source.stream is not None for source in captures):
        raise UsageError(
            "a capture is read twice, which a pipe does not allow", hint="write it to a file first"
        )
    flows = _chosen(paths, settings, reading, flow_ids, findings)
    for source in captures:
        try:
            yield from _messages(source, flows, reading)
        except SourceError as error:
            reading.errors.append(error)


def _chosen(
    paths: Sequence[str],
    settings: Settings,
    reading: Reading,
    flow_ids: Sequence[int],
    findings: Sequence[Finding],
) -> list[deep.Chosen]:
    """The flows that are meant, by their start."""
    wanted = functools.reduce(
        operator.or_,
        map(_about, findings),
        pl.col("flow_id").is_in(pl.Series(flow_ids, dtype=pl.UInt64).implode()),
    )
    found = [tables.flows.filter(wanted) for tables in read_tables(paths, settings, reading)]
    if reading.interrupted:
        raise KeyboardInterrupt
    flows = pl.concat(found).sort("start") if found else pl.DataFrame()
    missing = set(flow_ids).difference(flows["flow_id"] if flows.height else ())
    if missing or not flows.height:
        _no_such_flow(paths, reading, missing)
    if flows.height > MOST_FLOWS:
        reading.warn(f"{flows.height} flows are meant; the first {MOST_FLOWS} are dissected")
    rows = flows.head(MOST_FLOWS).with_columns(
        pl.col("start", "end").cast(pl.Int64).name.suffix("_ns")
    )
    fields = ["flow_id", "start_ns", "end_ns", *_CHOSEN[1:]]
    return [deep.Chosen(*row) for row in rows.select(fields).iter_rows()]


def _about(finding: Finding) -> pl.Expr:
    """Flows between the hosts of *finding* in its time, of a service whose fields are known."""
    expression = pl.col("start") <= finding.end
    expression &= pl.col("end") >= finding.start
    for host in filter(None, (finding.actor, finding.victim)):
        expression &= (pl.col("src_ip") == host) | (pl.col("dst_ip") == host)
    if finding.victim_port is not None:
        expression &= pl.col("dst_port") == finding.victim_port
    return expression & pl.col("service").is_in(list(PROTOCOLS))


def _no_such_flow(paths: Sequence[str], reading: Reading, missing: set[int]) -> None:
    """Say what is not there.

    Raises:
        CyberterrError: the first source that could not be read, if that is why.
        UsageError: the sources were read, and hold no such flow.
    """
    if reading.errors:
        raise reading.errors[0]
    if not missing:
        raise UsageError(
            f"{' '.join(paths)} holds no flow of the finding that could be dissected",
            hint=f"is it the capture of the finding? shown are {', '.join(PROTOCOLS)}",
        )
    named = ", ".join(map(str, sorted(missing)[:5]))
    raise UsageError(
        f"no flow {named} in {' '.join(paths)}",
        hint="cyberterr flows SOURCE -o - lists the flows and their ids; name the same sources",
    )


def _messages(
    source: Source, flows: Sequence[deep.Chosen], reading: Reading
) -> Iterator[dict[str, Any]]:
    reading.source = source.path
    seen = Dissected()
    try:
        with open_stream(source, reading.warn) as stream:
            for message in deep.read_messages(stream, flows, seen, where=source.path):
                yield {
                    "time": _iso(message.time_ns),
                    "flow_id": message.flow_id,
                    "direction": "src_to_dst" if message.from_src else "dst_to_src",
                    "protocol": message.protocol,
                    "fields": message.fields,
                }
    finally:
        for text in seen.warnings:
            reading.warn(text)


def _iso(time_ns: int) -> str:
    """UTC with nanoseconds, as far as a calendar goes."""
    seconds, rest = divmod(time_ns, 10**9)
    moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
