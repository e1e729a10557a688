/* Packets become bidirectional flows, in bounded memory. */
#ifndef CYBERTERR_METER_H
#define CYBERTERR_METER_H

#include <stdint.h>

typedef struct Meter Meter;

typedef struct {
    int64_t idle_ns, active_ns;
    int64_t late_ns; /* how much out of order packets may come: merged captures do so, a live line hardly */
    uint32_t max_open_flows;
    uint32_t tap; /* 1: copy the payloads that layer 7 wants */
} MeterOptions;

/* How a flow ended; the names stand in frames.py. */
enum EndReason { END_IDLE, END_ACTIVE, END_OF_SOURCE, END_EVICTED };

/* A finished flow; frames.py mirrors this layout. Index 0 is the source, 1 the destination. */
typedef struct {
    uint64_t flow_id, first_packet;
    int64_t start, end;
    uint64_t packets[2], bytes[2], payload[2];
    uint64_t source[2], destination[2]; /* addresses, high and low half */
    float length[2][4];                 /* min, mean, max, std */
    float gap[2][4];                    /* seconds; NaN with fewer than two packets */
    float rtt;                          /* seconds; NaN without a handshake */
    uint32_t source_syns;
    uint16_t source_port, destination_port, vlan;
    uint8_t protocol, state, tunnel, end_reason, v4;
    uint8_t flags[2], ttl[2], icmp_type;
} FinishedFlow;

/* A tapped payload: this header, then `size` bytes, then padding to 8. */
typedef struct {
    uint64_t flow_id;
    int64_t time_ns;
    uint64_t source[2], destination[2]; /* of the flow, not of the packet */
    uint32_t tcp_seq, size;
    uint16_t source_port, destination_port;
    uint8_t protocol, from_source, v4, unused;
} TappedHeader;

typedef struct {
    uint64_t packets, wire_bytes;    /* everything that was read */
    uint64_t ip_packets, other, malformed, unknown_link, cut_short;
    uint64_t flows, evicted, dropped, backwards, jumps_back, without_time, tunnelled, fragments;
    int64_t first_ns, last_ns, source_first_ns;
    uint32_t unknown_link_type, open_flows;
} MeterCounts;

enum { FINISHED_ROOM = 32768 }; /* finished flows between two collections, at most */

enum MeterStatus {
    METER_NEED_MORE,   /* all whole records were taken */
    METER_FULL,        /* collect finished flows and tapped payloads, then go on */
    METER_NO_CAPTURE,  /* the source has no capture magic */
    METER_CORRUPT,     /* no record can begin where it stopped */
};

Meter *meter_new(const MeterOptions *options);
void meter_free(Meter *meter);
void meter_next_source(Meter *meter); /* another file: framing starts anew, open flows stay */
enum MeterStatus meter_feed(Meter *meter, const uint8_t *data, uint64_t size, uint64_t *used);
void meter_expire(Meter *meter, int64_t now_ns); /* close what has been idle; for live sources */
int meter_finish(Meter *meter); /* close open flows; 1 while there are more than fit: collect, call again */
uint32_t meter_flows(Meter *meter, const FinishedFlow **flows);   /* count; meter_collected frees */
uint64_t meter_tapped(Meter *meter, const uint8_t **bytes);
void meter_collected(Meter *meter);
void meter_counts(const Meter *meter, MeterCounts *counts);
/* Text of one side's addresses, newline after each; returns the bytes written, ADDRESS_TEXT a flow at most. */
enum { ADDRESS_TEXT = 47 }; /* the longest IPv6 text with IPv4 tail, and a newline */
uint64_t meter_addresses(const FinishedFlow *flows, uint64_t count, int destination, char *text);

#endif
