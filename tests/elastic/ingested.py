"""What Elastic's integrations store of a log line, made as their ingest pipelines make it.

Follows packages/zeek/data_stream/*/elasticsearch/ingest_pipeline/default.yml and packages/suricata/
data_stream/eve of elastic/integrations, and packetbeat/flows/worker.go of elastic/beats. The lines
of Zeek's logs are made of rows of the flow and companion tables.
"""

import copy
import datetime as dt

PROTOCOLS = {1: "icmp", 58: "icmp", 6: "tcp", 17: "udp"}
FLAGS = ((2, "S"), (16, "A"), (1, "F"), (4, "R"))


def opened(row, moment):
    return {
        "ts": round(row[moment].timestamp(), 6),
        "uid": f"C{row['flow_id']}",
        "id.orig_h": row["src_ip"],
        "id.orig_p": row["src_port"],
        "id.resp_h": row["dst_ip"],
        "id.resp_p": row["dst_port"],
        "proto": PROTOCOLS.get(row["protocol"], "unknown_transport"),
    }


def conn(row):
    sent = "".join(letter for bit, letter in FLAGS if (row["src_flags"] or 0) & bit)
    got = "".join(letter for bit, letter in FLAGS if (row["dst_flags"] or 0) & bit).lower()
    line = opened(row, "start")
    if row["icmp_type"] is not None:
        line["id.orig_p"] = row["icmp_type"]
    return line | {
        "service": row["service"],
        "duration": (row["end"] - row["start"]).total_seconds(),
        "orig_bytes": row["src_payload"],
        "resp_bytes": row["dst_payload"],
        "conn_state": row["state"],
        "history": sent + got or None,
        "orig_pkts": row["src_packets"],
        "orig_ip_bytes": row["src_bytes"],
        "resp_pkts": row["dst_packets"],
        "resp_ip_bytes": row["dst_bytes"],
    }


SPOKEN = {
    "dns": {"query": "query", "qtype_name": "qtype", "rcode_name": "rcode", "answers": "answers"},
    "ssl": {"server_name": "server_name", "next_protocol": "alpn"},
    "http": {
        "method": "method", "host": "host", "uri": "uri", "user_agent": "user_agent",
        "status_code": "status",
    },
    "ssh": {
        "client": "client", "server": "server", "auth_success": "success",
        "auth_attempts": "attempts",
    },
}  # fmt: skip


MOVED = {
    "conn": {
        "proto": "network.transport", "service": "network.protocol", "orig_pkts": "source.packets",
        "orig_ip_bytes": "source.bytes", "resp_pkts": "destination.packets",
        "resp_ip_bytes": "destination.bytes", "conn_state": "zeek.connection.state",
    },
    "dns": {"proto": "network.transport"},
    "ssl": {"server_name": "zeek.ssl.server.name"},
    "http": {
        "method": "http.request.method", "status_code": "http.response.status_code",
        "uri": "url.original", "host": "url.domain", "user_agent": "user_agent.original",
    },
    "ssh": {"auth_attempts": "zeek.ssh.auth.attempts", "auth_success": "zeek.ssh.auth.success"},
}  # fmt: skip


def _put(document, field, value):
    *outer, last = field.split(".")
    for name in outer:
        document = document.setdefault(name, {})
    document[last] = value


def ingested(log, line, agent="probe-1"):
    """What the Zeek integration stores of *line*."""
    rest = copy.copy(line)
    moment = dt.datetime.fromtimestamp(rest.pop("ts"), dt.UTC)
    dataset = "zeek.connection" if log == "conn" else f"zeek.{log}"
    document = {
        "@timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "agent": {"name": agent, "type": "filebeat"},
        "data_stream": {"dataset": dataset},
        "event": {"dataset": dataset, "id": rest["uid"]},
        "network": {},
        "zeek": {"session_id": rest.pop("uid")},
    }
    for side, name in (("orig", "source"), ("resp", "destination")):
        address = rest.pop(f"id.{side}_h")
        document[name] = {"address": address, "ip": address, "port": rest.pop(f"id.{side}_p")}
    if log == "conn":
        document["event"]["duration"] = round(rest.pop("duration") * 1e9)
        rest.pop("orig_bytes", None)
        rest.pop("resp_bytes", None)
    elif log != "dns":
        rest.pop("proto")
        document["network"]["transport"] = "tcp"
    for name, value in rest.items():
        _put(document, MOVED[log].get(name, f"{dataset}.{name}"), value)
    if document["network"].get("transport") == "icmp":
        icmp = {"type": document["source"].pop("port"), "code": document["destination"].pop("port")}
        _put(document, "zeek.connection.icmp", icmp)
    return document


def eve_ingested(line):
    """What the Suricata integration stores of the EVE record *line*."""
    rest = copy.deepcopy(line)

    def instant(text):
        moment = dt.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f%z").astimezone(dt.UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    document = {
        "@timestamp": instant(rest.pop("timestamp")),
        "agent": {"name": "probe-2"},
        "event": {"dataset": "suricata.eve"},
        "data_stream": {"dataset": "suricata.eve"},
        "network": {"transport": rest.pop("proto", "").lower() or None},
        "source": {},
        "destination": {},
    }
    for eve, ecs in (("src", "source"), ("dest", "destination")):
        document[ecs] |= {"address": rest.get(f"{eve}_ip"), "ip": rest.pop(f"{eve}_ip", None)}
        document[ecs]["port"] = rest.pop(f"{eve}_port", None)
    if (application := rest.pop("app_proto", None)) not in ("failed", None):
        document["network"]["protocol"] = application
    if "flow_id" in rest:
        rest["flow_id"] = str(rest["flow_id"])
    flow = rest.get("flow", {})
    for side, ecs in (("toserver", "source"), ("toclient", "destination")):
        for count, name in (("pkts", "packets"), ("bytes", "bytes")):
            if f"{count}_{side}" in flow:
                document[ecs][name] = flow.pop(f"{count}_{side}")
    for name in ("start", "end"):
        if name in flow:
            document["event"][name] = instant(flow.pop(name))
    if "dns" in rest:
        dns = rest["dns"]
        document["dns"] = {"id": str(dns["id"]), "type": dns["type"]}
        if dns["type"] == "query" or dns.get("version") == 2:
            document["dns"]["question"] = {"name": dns.get("rrname"), "type": dns.get("rrtype")}
        if "answers" in dns:
            document["dns"]["answers"] = [{"data": a.get("rdata")} for a in dns.pop("answers")]
        dns.pop("version", None)
    if "http" in rest:
        http, moved = rest["http"], MOVED_EVE
        for name in moved.keys() & http.keys():
            _put(document, moved[name], http.pop(name))
    document["suricata"] = {"eve": rest}
    return document


MOVED_EVE = {
    "hostname": "url.domain",
    "url": "url.original",
    "http_user_agent": "user_agent.original",
    "http_method": "http.request.method",
    "status": "http.response.status_code",
}


def flow_reports(line, agent="desk-7"):
    """What Packetbeat reports of a connection: every ten seconds, and when it is over."""
    start = dt.datetime.fromtimestamp(line["ts"], dt.UTC)
    name = "|".join(str(line[f"id.{field}"]) for field in ("orig_h", "orig_p", "resp_h", "resp_p"))
    ended = start + dt.timedelta(seconds=line["duration"])
    reports = []
    for final, until in [(False, s) for s in range(10, int(line["duration"]) + 1, 10)] + [
        (True, None)
    ]:
        share = 1 if final else until / line["duration"]
        seen = ended if final else start + dt.timedelta(seconds=until)
        reports.append(
            {
                "@timestamp": (seen + dt.timedelta(seconds=30 * final)).isoformat(),
                "agent": {"name": agent, "type": "packetbeat"},
                "event": {
                    "dataset": "flow",
                    "action": "network_flow",
                    "start": start.isoformat(timespec="milliseconds"),
                    "end": seen.isoformat(timespec="milliseconds"),
                },
                "flow": {"id": name, "final": final},
                "network": {"transport": line["proto"]},
                "source": {
                    "ip": line["id.orig_h"],
                    "port": line["id.orig_p"],
                    "packets": max(1, int(line["orig_pkts"] * share)),
                    "bytes": int(line["orig_ip_bytes"] * share),
                },
                "destination": {
                    "ip": line["id.resp_h"],
                    "port": line["id.resp_p"],
                    "packets": int(line["resp_pkts"] * share),
                    "bytes": int(line["resp_ip_bytes"] * share),
                },
                "type": "flow",
            }
        )
    return reports
