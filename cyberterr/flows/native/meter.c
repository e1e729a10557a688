#include "meter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "flow.h"
#include "framing.h"
#include "packet.h"

enum { NONE = 0xffffffff };
enum { TAP_ROOM = 4 << 20, TAP_SPARE = 65536 + 128 }; /* bytes; the spare fits one more payload */
enum { FRAGMENTS = 4096 };
static const int64_t FRAGMENT_NS = 30 * 1000000000LL;
static const int64_t JUMP_NS = 60 * 1000000000LL; /* back by more: not out of order, but another clock */
enum { EPOCH = 1024 }; /* packets that must agree that time has passed: one wrong clock moves nothing */

typedef struct {
    uint64_t key;
    int64_t time;
    uint16_t src_port, dst_port;
} Fragment;

struct Meter {
    MeterOptions options;
    MeterCounts counts;
    uint32_t bucket_mask;
    uint32_t *buckets;
    Flow *flows;
    uint32_t used, free_list;       /* flows never used begin at `used`; given back ones are chained */
    uint32_t queue_head, queue_tail; /* open flows, the one idle longest near the head */
    FinishedFlow *finished;
    uint32_t finished_count;
    uint8_t *tap;
    uint64_t tap_size;
    bool fresh; /* no packet of this source yet */
    int64_t previous_ns;
    int64_t clock_ns, epoch_oldest_ns; /* all packets of the last whole epoch are later than the clock */
    uint32_t epoch_packets;
    Fragment fragments[FRAGMENTS];
    Framing framing;
};

static uint64_t mix(uint64_t a, uint64_t b) { /* folded multiply (wyhash's step) */
    __uint128_t product = (__uint128_t)(a ^ 0x9e3779b97f4a7c15u) * (b ^ 0xe7037ed1a0b428dbu);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_key(const Key *key) {
    uint64_t words[6];
    memcpy(words, key, sizeof words);
    return mix(mix(words[0] ^ words[4], words[1] ^ words[5]), mix(words[2], words[3]));
}

Meter *meter_new(const MeterOptions *options) {
    _Static_assert(sizeof(Key) == 2 * sizeof(Address) + 3 * 2 + 2 * 1 + 2 * 4, "the key has no holes");
    Meter *m = calloc(1, sizeof *m);
    if (m == NULL) return NULL;
    uint32_t buckets = 1024;
    while (buckets < options->max_open_flows) buckets *= 2;
    m->options = *options;
    m->bucket_mask = buckets - 1;
    m->buckets = malloc(buckets * sizeof *m->buckets);
    m->flows = malloc(options->max_open_flows * sizeof *m->flows); /* touched only as flows open */
    m->finished = malloc(FINISHED_ROOM * sizeof *m->finished);
    m->tap = options->tap ? malloc(TAP_ROOM + TAP_SPARE) : NULL;
    if (!m->buckets || !m->flows || !m->finished || (options->tap && !m->tap)) {
        meter_free(m);
        return NULL;
    }
    memset(m->buckets, 0xff, buckets * sizeof *m->buckets);
    m->free_list = m->queue_head = m->queue_tail = NONE;
    m->fresh = true;
    m->clock_ns = INT64_MIN / 2;
    m->epoch_oldest_ns = INT64_MAX;
    return m;
}

void meter_free(Meter *m) {
    if (m == NULL) return;
    free(m->buckets);
    free(m->flows);
    free(m->finished);
    free(m->tap);
    free(m);
}

static void add_source_counts(const Meter *m, MeterCounts *counts) {
    counts->without_time += m->framing.missing_times;
    for (uint32_t i = 0; i < m->framing.interfaces; i++) counts->dropped += m->framing.interface[i].dropped;
}

void meter_next_source(Meter *m) {
    add_source_counts(m, &m->counts);
    framing_reset(&m->framing);
    m->fresh = true;
}

/* ---- finishing a flow ---- */

static void finish(Meter *m, uint32_t index, enum EndReason reason) {
    Flow *f = &m->flows[index];
    m->finished[m->finished_count++] = finished_flow(f, reason);
    m->counts.flows++;
    uint32_t *link = &m->buckets[f->bucket];
    while (*link != index) link = &m->flows[*link].next_in_bucket;
    *link = f->next_in_bucket;
}

/* ---- the queue: who has been idle longest. Lazy: a flow moves only when its turn comes. ---- */

static void enqueue(Meter *m, uint32_t index) {
    Flow *f = &m->flows[index];
    f->queued_last = f->last;
    f->next_in_queue = NONE;
    if (m->queue_tail == NONE) m->queue_head = index;
    else m->flows[m->queue_tail].next_in_queue = index;
    m->queue_tail = index;
}

static uint32_t dequeue(Meter *m) {
    uint32_t index = m->queue_head;
    m->queue_head = m->flows[index].next_in_queue;
    if (m->queue_head == NONE) m->queue_tail = NONE;
    return index;
}

static void release(Meter *m, uint32_t index) {
    m->flows[index].next_in_queue = m->free_list;
    m->free_list = index;
    m->counts.open_flows--;
}

static void finish_head(Meter *m, enum EndReason reason) {
    uint32_t index = dequeue(m);
    finish(m, index, reason);
    release(m, index);
}

static void expire(Meter *m, int64_t now) {
    int64_t oldest = now - m->options.idle_ns - m->options.late_ns;
    while (m->queue_head != NONE && m->flows[m->queue_head].queued_last < oldest &&
           m->finished_count < FINISHED_ROOM - 2) { /* two are kept for the packet at hand */
        if (m->flows[m->queue_head].last < oldest) finish_head(m, END_IDLE);
        else enqueue(m, dequeue(m));
    }
}

static void evict(Meter *m) { /* second chance: pass over flows that spoke since they were queued */
    for (int tries = 0; tries < 4096; tries++) {
        const Flow *head = &m->flows[m->queue_head];
        if (head->last == head->queued_last) break;
        enqueue(m, dequeue(m));
    }
    m->counts.evicted++;
    finish_head(m, END_EVICTED);
}

/* ---- a packet finds its flow ---- */

static void clear(Flow *f, const Packet *p, int64_t time, uint64_t number) {
    bool from_high = memcmp(&p->src, &f->key.high, sizeof p->src) == 0 && p->src_port == f->key.high_port;
    bool syn = p->tcp_flags & SYN;
    bool reversed = p->protocol == TCP && ((syn && (p->tcp_flags & ACK)) ||
                                           (!syn && p->src_port < 1024 && p->dst_port >= 1024));
    f->source_is_high = from_high != reversed;
    f->v4 = p->v4;
    f->icmp_type = p->icmp_type;
    f->reset_by_source = false;
    f->start = f->last = time;
    f->syn_time = INT64_MIN;
    f->first_packet = number;
    f->rtt = NAN;
    memset(f->side, 0, sizeof f->side);
    f->id = mix(hash_key(&f->key), mix((uint64_t)time, f->source_is_high));
}

static uint32_t open_flow(Meter *m, const Key *key, uint32_t bucket, const Packet *p, int64_t time) {
    uint32_t index;
    if (m->counts.open_flows == m->options.max_open_flows) evict(m);
    if (m->free_list != NONE) {
        index = m->free_list;
        m->free_list = m->flows[index].next_in_queue;
    } else {
        index = m->used++;
    }
    Flow *f = &m->flows[index];
    f->key = *key;
    f->bucket = bucket;
    f->next_in_bucket = m->buckets[bucket];
    m->buckets[bucket] = index;
    m->counts.open_flows++;
    clear(f, p, time, m->counts.packets);
    enqueue(m, index);
    return index;
}

static Key key_of(const Packet *p) {
    bool src_first = p->src.hi != p->dst.hi   ? p->src.hi < p->dst.hi
                     : p->src.lo != p->dst.lo ? p->src.lo < p->dst.lo
                                              : p->src_port <= p->dst_port;
    Key key = {
        .low = src_first ? p->src : p->dst, .high = src_first ? p->dst : p->src,
        .low_port = src_first ? p->src_port : p->dst_port,
        .high_port = src_first ? p->dst_port : p->src_port,
        .vlan = p->vlan, .protocol = p->protocol, .tunnel = p->tunnel, .tunnel_id = p->tunnel_id,
    };
    return key;
}

static Flow *flow_of(Meter *m, const Packet *p, int64_t time) {
    Key key = key_of(p);
    uint32_t bucket = (uint32_t)hash_key(&key) & m->bucket_mask;
    uint32_t index = m->buckets[bucket];
    while (index != NONE && memcmp(&m->flows[index].key, &key, sizeof key) != 0)
        index = m->flows[index].next_in_bucket;
    if (index == NONE) return &m->flows[open_flow(m, &key, bucket, p, time)];
    Flow *f = &m->flows[index];
    bool idle = time - f->last > m->options.idle_ns || f->last - time > m->options.idle_ns;
    bool active = time - f->start > m->options.active_ns;
    if (idle || active) { /* the flow's own packets cut it, so the interleaving with others does not */
        finish(m, index, idle ? END_IDLE : END_ACTIVE);
        f->next_in_bucket = m->buckets[bucket];
        m->buckets[bucket] = index;
        clear(f, p, time, m->counts.packets);
    }
    return f;
}

static void add(Flow *f, Side *side, const Packet *p, int64_t time) {
    double length = p->ip_bytes;
    if (side->packets == 0) {
        side->length_min = side->length_max = p->ip_bytes;
        side->ttl = p->ttl;
        side->gap_min = INFINITY;
        side->gap_max = 0;
    } else {
        double gap = time > side->last ? (double)(time - side->last) * 1e-9 : 0;
        side->gap_sum += gap;
        side->gap_squares += gap * gap;
        if (gap < side->gap_min) side->gap_min = (float)gap;
        if (gap > side->gap_max) side->gap_max = (float)gap;
        if (p->ip_bytes < side->length_min) side->length_min = p->ip_bytes;
        if (p->ip_bytes > side->length_max) side->length_max = p->ip_bytes;
        if (p->ttl < side->ttl) side->ttl = p->ttl;
    }
    if (side->packets == 0 || time > side->last) side->last = time;
    side->packets++;
    side->bytes += p->ip_bytes;
    side->payload += p->payload_bytes;
    side->squares += length * length;
    side->flags |= p->tcp_flags;
    if (time > f->last) f->last = time;
    if (time < f->start) f->start = time;
}

static void follow_handshake(Flow *f, bool from_source, const Packet *p, int64_t time) {
    if (p->tcp_flags & SYN) {
        f->side[!from_source].syns++;
        if (from_source && f->syn_time == INT64_MIN) f->syn_time = time;
        if (!from_source && f->syn_time != INT64_MIN && isnan(f->rtt))
            f->rtt = (float)((double)(time - f->syn_time) * 1e-9);
    }
    bool first_reset = p->tcp_flags & RST && !((f->side[0].flags | f->side[1].flags) & RST);
    if (first_reset) f->reset_by_source = from_source;
}

/* ---- what layer 7 wants to see ---- */

static uint16_t payloads_wanted(const Flow *f, const Packet *p) {
    uint16_t ports[2] = {f->key.low_port, f->key.high_port};
    for (int i = 0; i < 2; i++) {
        switch (ports[i]) {
        case 53: case 5353: case 5355:                               /* every DNS message */
        case 102: case 502: case 2404: case 20000: case 47808:       /* every order to a machine */
            return UINT16_MAX;
        case 21: case 23: case 25: case 110: case 143: case 587: case 161: /* every login */
            return 400;
        default:
            break;
        }
    }
    if (f->key.protocol == TCP) return 12;
    return p->payload.at[0] >= 0xC0 ? 8 : 2; /* QUIC's long header: a hello may span three datagrams, twice after a Retry */
}

static void tap(Meter *m, Flow *f, bool from_source, const Packet *p, int64_t time) {
    Side *side = &f->side[!from_source];
    bool ciphertext = p->protocol == TCP && p->payload.captured > 2 && p->payload.at[0] == 0x17 && p->payload.at[1] == 3;
    if (ciphertext || side->tapped >= payloads_wanted(f, p)) return;
    if (side->tapped < UINT16_MAX - 1) side->tapped++;
    uint32_t size = p->payload.captured > 65535 ? 65535 : p->payload.captured;
    const Address *source = f->source_is_high ? &f->key.high : &f->key.low;
    const Address *destination = f->source_is_high ? &f->key.low : &f->key.high;
    TappedHeader header = {
        .flow_id = f->id, .time_ns = time, .source = {source->hi, source->lo},
        .destination = {destination->hi, destination->lo}, .tcp_seq = p->tcp_seq, .size = size,
        .source_port = f->source_is_high ? f->key.high_port : f->key.low_port,
        .destination_port = f->source_is_high ? f->key.low_port : f->key.high_port,
        .protocol = p->protocol, .from_source = from_source, .v4 = f->v4,
    };
    memcpy(m->tap + m->tap_size, &header, sizeof header);
    memcpy(m->tap + m->tap_size + sizeof header, p->payload.at, size);
    m->tap_size += sizeof header + ((size + 7u) & ~7u);
}

/* ---- fragments: only the first one says the ports ---- */

static void match_fragment(Meter *m, Packet *p, int64_t time) {
    uint64_t key = mix(mix(p->src.hi ^ p->fragment_id, p->src.lo), mix(p->dst.hi ^ p->protocol, p->dst.lo));
    Fragment *known = &m->fragments[key % FRAGMENTS];
    m->counts.fragments++;
    if (p->first_fragment) {
        *known = (Fragment){key, time, p->src_port, p->dst_port};
    } else if (known->key == key && time - known->time < FRAGMENT_NS && known->time - time < FRAGMENT_NS) {
        p->src_port = known->src_port;
        p->dst_port = known->dst_port;
    }
}

static void follow_clock(Meter *m, int64_t time) {
    MeterCounts *c = &m->counts;
    if (c->packets == 1) c->first_ns = c->last_ns = time;
    if (m->fresh) c->source_first_ns = m->previous_ns = time;
    m->fresh = false;
    if (time < m->previous_ns) c->backwards++;
    if (time < m->previous_ns - JUMP_NS) c->jumps_back++;
    m->previous_ns = time;
    if (time < c->first_ns) c->first_ns = time;
    if (time > c->last_ns) c->last_ns = time;
    if (time < m->epoch_oldest_ns) m->epoch_oldest_ns = time;
    if (++m->epoch_packets < EPOCH) return;
    m->clock_ns = m->epoch_oldest_ns;
    m->epoch_oldest_ns = INT64_MAX;
    m->epoch_packets = 0;
}

static void take(Meter *m, const Frame *frame) {
    Packet p;
    MeterCounts *c = &m->counts;
    c->packets++;
    c->wire_bytes += frame->frame.wire;
    if (frame->frame.captured < frame->frame.wire) c->cut_short++;
    follow_clock(m, frame->time_ns);
    switch (decode_packet(frame->link_type, frame->frame, &p)) {
    case DECODED_IP:
        break;
    case DECODED_OTHER:
        c->other++;
        return;
    case DECODED_MALFORMED:
        c->malformed++;
        return;
    case DECODED_UNKNOWN_LINK:
        c->unknown_link++;
        c->unknown_link_type = frame->link_type;
        return;
    }
    c->ip_packets++;
    if (p.tunnel != TUNNEL_NONE) c->tunnelled++;
    if (p.first_fragment || p.later_fragment) match_fragment(m, &p, frame->time_ns);
    Flow *f = flow_of(m, &p, frame->time_ns);
    Address source = f->source_is_high ? f->key.high : f->key.low;
    uint16_t source_port = f->source_is_high ? f->key.high_port : f->key.low_port;
    bool from_source = memcmp(&p.src, &source, sizeof source) == 0 && p.src_port == source_port;
    if (p.protocol == TCP) follow_handshake(f, from_source, &p, frame->time_ns);
    add(f, &f->side[!from_source], &p, frame->time_ns);
    if (m->tap != NULL && p.payload.captured > 0 && !p.later_fragment && (p.protocol == TCP || p.protocol == UDP))
        tap(m, f, from_source, &p, frame->time_ns);
    expire(m, m->clock_ns);
}

enum MeterStatus meter_feed(Meter *m, const uint8_t *data, uint64_t size, uint64_t *used) {
    *used = 0;
    for (;;) {
        Frame frame;
        uint64_t bytes;
        if (m->finished_count >= FINISHED_ROOM - 2 || m->tap_size > TAP_ROOM) return METER_FULL;
        switch (next_frame(&m->framing, data + *used, size - *used, &bytes, &frame)) {
        case FRAMED_PACKET:
            take(m, &frame);
            *used += bytes;
            break;
        case FRAMED_NOTHING:
            *used += bytes;
            break;
        case FRAMED_NEED_MORE:
            return METER_NEED_MORE;
        case FRAMED_NO_CAPTURE:
            return METER_NO_CAPTURE;
        case FRAMED_CORRUPT:
            return METER_CORRUPT;
        }
    }
}

void meter_expire(Meter *m, int64_t now_ns) { expire(m, now_ns); }

int meter_finish(Meter *m) {
    while (m->queue_head != NONE) {
        if (m->finished_count == FINISHED_ROOM) return 1;
        finish_head(m, END_OF_SOURCE);
    }
    return 0;
}

uint32_t meter_flows(Meter *m, const FinishedFlow **flows) {
    *flows = m->finished;
    return m->finished_count;
}

uint64_t meter_tapped(Meter *m, const uint8_t **bytes) {
    *bytes = m->tap;
    return m->tap_size;
}

void meter_collected(Meter *m) {
    m->finished_count = 0;
    m->tap_size = 0;
}

void meter_counts(const Meter *m, MeterCounts *counts) {
    *counts = m->counts;
    add_source_counts(m, counts);
}
