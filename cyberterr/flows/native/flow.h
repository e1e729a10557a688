/* A flow while it is open. */
#ifndef CYBERTERR_FLOW_H
#define CYBERTERR_FLOW_H

#include "meter.h"
#include "packet.h"

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10 };
enum Protocol { ICMP = 1, TCP = 6, UDP = 17 };

typedef struct {
    uint64_t packets, bytes, payload;
    int64_t last;
    double squares; /* of lengths */
    double gap_sum, gap_squares;
    float gap_min, gap_max;
    uint32_t length_min, length_max;
    uint32_t syns;
    uint8_t flags, ttl;
    uint16_t tapped;
} Side;

typedef struct {
    Address low, high; /* the smaller endpoint first, so both directions find the same flow */
    uint16_t low_port, high_port, vlan;
    uint8_t protocol, tunnel;
    uint32_t tunnel_id, zero; /* zero: no padding, the key is hashed and compared as bytes */
} Key;

typedef struct {
    Key key;
    uint32_t next_in_bucket, next_in_queue, bucket;
    bool source_is_high, v4, reset_by_source;
    uint8_t icmp_type;
    int64_t start, last, queued_last, syn_time;
    uint64_t id, first_packet;
    float rtt;
    Side side[2];
} Flow;

FinishedFlow finished_flow(const Flow *flow, enum EndReason reason);

#endif
