/* What is told of a flow that has finished. */
#include <arpa/inet.h>
#include <math.h>
#include <string.h>

#include "flow.h"

/* Zeek's conn_state, in the order of frames.py's names. */
enum State { S0, S1, S2, S3, SF, REJ, RSTO, RSTR, RSTOS0, RSTRH, SH, SHR, OTH };

static enum State state_of(const Flow *f, const Side *s, const Side *d) {
    if (f->key.protocol != TCP) return s->packets == 0 ? SHR : d->packets == 0 ? S0 : SF;
    bool syn = s->syns > 0, answered = d->syns > 0;
    if (!syn) {
        if (!answered) return OTH;
        return d->flags & RST ? RSTRH : d->flags & FIN ? SHR : OTH;
    }
    if (!answered) {
        if (d->flags & RST) return REJ;
        if (s->flags & RST) return RSTOS0;
        if (d->packets > 0) return OTH;
        return s->flags & FIN ? SH : S0;
    }
    bool source_fin = s->flags & FIN, destination_fin = d->flags & FIN;
    if (source_fin && destination_fin) return SF;
    if ((s->flags | d->flags) & RST) return f->reset_by_source ? RSTO : RSTR;
    return source_fin ? S2 : destination_fin ? S3 : S1;
}

static float deviation(double sum, double squares, double count) {
    double mean = sum / count, variance = squares / count - mean * mean;
    return variance > 0 ? (float)sqrt(variance) : 0;
}

static void describe_side(const Side *s, float length[4], float gap[4]) {
    for (int i = 0; i < 4; i++) length[i] = gap[i] = NAN;
    if (s->packets > 0) {
        length[0] = (float)s->length_min;
        length[1] = (float)((double)s->bytes / (double)s->packets);
        length[2] = (float)s->length_max;
        length[3] = deviation((double)s->bytes, s->squares, (double)s->packets);
    }
    if (s->packets > 1) {
        double gaps = (double)(s->packets - 1);
        gap[0] = s->gap_min;
        gap[1] = (float)(s->gap_sum / gaps);
        gap[2] = s->gap_max;
        gap[3] = deviation(s->gap_sum, s->gap_squares, gaps);
    }
}

FinishedFlow finished_flow(const Flow *f, enum EndReason reason) {
    const Side *s = &f->side[0], *d = &f->side[1];
    Address source = f->source_is_high ? f->key.high : f->key.low;
    Address destination = f->source_is_high ? f->key.low : f->key.high;
    FinishedFlow out = {
        .flow_id = f->id, .first_packet = f->first_packet, .start = f->start, .end = f->last,
        .packets = {s->packets, d->packets}, .bytes = {s->bytes, d->bytes},
        .payload = {s->payload, d->payload}, .source = {source.hi, source.lo},
        .destination = {destination.hi, destination.lo}, .rtt = f->rtt, .source_syns = s->syns,
        .source_port = f->source_is_high ? f->key.high_port : f->key.low_port,
        .destination_port = f->source_is_high ? f->key.low_port : f->key.high_port,
        .vlan = f->key.vlan, .protocol = f->key.protocol, .state = (uint8_t)state_of(f, s, d),
        .tunnel = f->key.tunnel, .end_reason = (uint8_t)reason, .v4 = f->v4,
        .flags = {s->flags, d->flags}, .ttl = {s->ttl, d->ttl}, .icmp_type = f->icmp_type,
    };
    describe_side(s, out.length[0], out.gap[0]);
    describe_side(d, out.length[1], out.gap[1]);
    return out;
}

static char *decimal(char *text, uint32_t byte) {
    if (byte >= 100) *text++ = (char)('0' + byte / 100);
    if (byte >= 10) *text++ = (char)('0' + byte / 10 % 10);
    *text++ = (char)('0' + byte % 10);
    return text;
}

uint64_t meter_addresses(const FinishedFlow *flows, uint64_t count, int destination, char *text) {
    char *at = text;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t *address = destination ? flows[i].destination : flows[i].source;
        if (flows[i].v4) {
            for (int shift = 24; shift >= 0; shift -= 8) {
                at = decimal(at, address[1] >> shift & 0xff);
                if (shift > 0) *at++ = '.';
            }
        } else {
            uint8_t network[16];
            for (int b = 0; b < 16; b++) network[b] = (uint8_t)(address[b / 8] >> (56 - 8 * (b % 8)));
            inet_ntop(AF_INET6, network, at, INET6_ADDRSTRLEN);
            at += strlen(at);
        }
        *at++ = '\n';
    }
    return (uint64_t)(at - text);
}
