"""Meter a capture with nfstream, statistics on and no DPI; optionally write its flows as CSV."""

import os
import sys
from pathlib import Path

from nfstream import NFStreamer

COLUMNS = (
    "src_ip", "dst_ip", "src_port", "dst_port", "protocol", "vlan_id",
    "bidirectional_packets", "bidirectional_bytes",
)  # fmt: skip

if __name__ == "__main__":
    streamer = NFStreamer(
        source=sys.argv[1],
        statistical_analysis=True,
        n_dissections=0,
        accounting_mode=1,
        idle_timeout=120,
        active_timeout=1800,
        n_meters=1,
    )
    count = 0
    with Path(sys.argv[2] if len(sys.argv) > 2 else os.devnull).open("w") as out:
        for flow in streamer:
            count += 1
            if len(sys.argv) > 2:
                print(*(getattr(flow, name) for name in COLUMNS), sep=",", file=out)
    print(count)
