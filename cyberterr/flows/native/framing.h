/* pcap and pcapng: where one packet ends and the next begins. */
#ifndef CYBERTERR_FRAMING_H
#define CYBERTERR_FRAMING_H

#include "packet.h"

enum { MAX_CAPTURED = 262144 }; /* libpcap's MAXIMUM_SNAPLEN: a longer record is a corrupt one */
enum { MAX_INTERFACES = 4096 };

typedef struct {
    uint16_t link_type;
    uint64_t ticks_per_second;
    int64_t offset_s;
    uint64_t dropped;
} Interface;

enum Format { FORMAT_UNKNOWN, FORMAT_PCAP, FORMAT_PCAPNG };

typedef struct {
    enum Format format;
    bool swapped;        /* written on a machine of the other byte order than ours */
    bool nanoseconds;    /* pcap only */
    bool extended;       /* pcap only: Kuznetzov's record header of 24 bytes */
    uint64_t skip;       /* bytes of an uninteresting pcapng block still to pass over */
    uint32_t interfaces; /* pcap: 1 */
    Interface interface[MAX_INTERFACES];
    int64_t last_ns;
    uint64_t missing_times; /* simple packet blocks carry no time: they take the last one seen */
} Framing;

typedef struct {
    uint16_t link_type;
    int64_t time_ns;
    Span frame;
} Frame;

enum Framed {
    FRAMED_PACKET,
    FRAMED_NOTHING,    /* a block without a packet: go on */
    FRAMED_NEED_MORE,  /* the record is not complete yet */
    FRAMED_NO_CAPTURE, /* no capture magic */
    FRAMED_CORRUPT,    /* no record can begin like this: what follows is lost */
};

void framing_reset(Framing *framing);
/* Takes one record from data; *used says how many bytes it was (also for FRAMED_NOTHING). */
enum Framed next_frame(Framing *framing, const uint8_t *data, uint64_t size, uint64_t *used, Frame *frame);

#endif
