#include "framing.h"

#include <string.h>

enum Block { /* https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/ */
    BLOCK_INTERFACE = 1, BLOCK_PACKET_OLD = 2, BLOCK_PACKET_SIMPLE = 3, BLOCK_STATISTICS = 5,
    BLOCK_PACKET = 6, BLOCK_SECTION = 0x0a0d0d0a,
};
enum { BYTE_ORDER_MAGIC = 0x1a2b3c4d, OPTION_TIME_RESOLUTION = 9, OPTION_TIME_OFFSET = 14, OPTION_IF_DROP = 5 };
enum { MAX_WHOLE_BLOCK = MAX_CAPTURED + 65536 }; /* a packet block with its options */

static const uint64_t SECOND = 1000000000;

static uint16_t get16(const Framing *f, const uint8_t *p) {
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return f->swapped ? __builtin_bswap16(v) : v;
}
static uint32_t get32(const Framing *f, const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return f->swapped ? __builtin_bswap32(v) : v;
}
static uint64_t get64(const Framing *f, const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return f->swapped ? __builtin_bswap64(v) : v;
}

void framing_reset(Framing *f) { memset(f, 0, sizeof *f); }

static enum Framed begin(Framing *f, const uint8_t *data, uint64_t size, uint64_t *used) {
    uint32_t magic;
    if (size < 4) return FRAMED_NEED_MORE;
    memcpy(&magic, data, sizeof magic);
    if (magic == BLOCK_SECTION) { /* a palindrome: the byte order comes later */
        f->format = FORMAT_PCAPNG;
        *used = 0;
        return FRAMED_NOTHING;
    }
    static const struct { uint32_t magic; bool nanoseconds, extended; } kinds[] = {
        {0xa1b2c3d4, false, false}, {0xa1b23c4d, true, false}, {0xa1b2cd34, false, true},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        f->swapped = magic == __builtin_bswap32(kinds[i].magic);
        if (magic != kinds[i].magic && !f->swapped) continue;
        if (size < 24) return FRAMED_NEED_MORE;
        f->format = FORMAT_PCAP;
        f->nanoseconds = kinds[i].nanoseconds;
        f->extended = kinds[i].extended;
        f->interfaces = 1;
        f->interface[0].link_type = (uint16_t)get32(f, data + 20); /* the high half holds FCS bits */
        *used = 24;
        return FRAMED_NOTHING;
    }
    return FRAMED_NO_CAPTURE;
}

static enum Framed next_record(Framing *f, const uint8_t *data, uint64_t size, uint64_t *used, Frame *frame) {
    uint32_t header = f->extended ? 24 : 16;
    if (size < header) return FRAMED_NEED_MORE;
    uint32_t seconds = get32(f, data), fraction = get32(f, data + 4);
    uint32_t captured = get32(f, data + 8), wire = get32(f, data + 12);
    if (captured > MAX_CAPTURED) return FRAMED_CORRUPT;
    if (size < header + (uint64_t)captured) return FRAMED_NEED_MORE;
    frame->link_type = f->interface[0].link_type;
    frame->time_ns = (int64_t)(seconds * SECOND) + (f->nanoseconds ? fraction : (int64_t)fraction * 1000);
    frame->frame = (Span){data + header, captured, wire < captured ? captured : wire};
    *used = header + (uint64_t)captured;
    return FRAMED_PACKET;
}

static int64_t clamp_seconds(uint64_t seconds) { /* int64 nanoseconds end in 2262 */
    return seconds > 9000000000u ? 9000000000 : (int64_t)seconds;
}

static int64_t ticks_to_ns(const Interface *interface, uint64_t ticks) {
    uint64_t per_second = interface->ticks_per_second;
    uint64_t rest = ticks % per_second;
    int64_t whole = clamp_seconds(ticks / per_second) + interface->offset_s;
    if (whole > 9000000000) whole = 9000000000;
    if (whole < 0) whole = 0; /* so that no difference of two times overflows */
    if (SECOND % per_second == 0) return whole * (int64_t)SECOND + (int64_t)(rest * (SECOND / per_second));
    return whole * (int64_t)SECOND + (int64_t)((double)rest * 1e9 / (double)per_second);
}

/* if_tsresol: the high bit chooses powers of two, else powers of ten; 0 where it is out of range. */
static uint64_t ticks_per_second(uint8_t resolution) {
    uint8_t exponent = resolution & 0x7f;
    if (resolution & 0x80) return exponent < 64 ? 1ull << exponent : 0;
    if (exponent > 19) return 0;
    uint64_t ticks = 1;
    while (exponent-- > 0) ticks *= 10;
    return ticks;
}

/* Calls for each option: code, length, value; ends at the first one that does not fit. */
static const uint8_t *option(const Framing *f, const uint8_t **at, const uint8_t *end, uint16_t *code, uint16_t *length) {
    if (end - *at < 4) return NULL;
    *code = get16(f, *at);
    *length = get16(f, *at + 2);
    const uint8_t *value = *at + 4;
    int64_t padded = (*length + 3) & ~3;
    if (*code == 0 || end - value < padded) return NULL;
    *at = value + padded;
    return value;
}

static enum Framed add_interface(Framing *f, const uint8_t *body, uint32_t length) {
    if (length < 8) return FRAMED_CORRUPT;
    if (f->interfaces == MAX_INTERFACES) return FRAMED_CORRUPT;
    Interface *interface = &f->interface[f->interfaces++];
    *interface = (Interface){.link_type = get16(f, body), .ticks_per_second = 1000000};
    const uint8_t *at = body + 8, *end = body + length, *value;
    uint16_t code, size;
    while ((value = option(f, &at, end, &code, &size)) != NULL) {
        if (code == OPTION_TIME_RESOLUTION && size >= 1) {
            interface->ticks_per_second = ticks_per_second(value[0]);
            if (interface->ticks_per_second == 0) return FRAMED_CORRUPT;
        }
        if (code == OPTION_TIME_OFFSET && size == 8) interface->offset_s = (int64_t)get64(f, value);
        if (interface->offset_s > 9000000000) interface->offset_s = 9000000000;
        if (interface->offset_s < -9000000000) interface->offset_s = -9000000000;
    }
    return FRAMED_NOTHING;
}

static void count_drops(Framing *f, const uint8_t *body, uint32_t length) {
    if (length < 12) return;
    uint32_t id = get32(f, body);
    if (id >= f->interfaces) return;
    const uint8_t *at = body + 12, *end = body + length, *value;
    uint16_t code, size;
    while ((value = option(f, &at, end, &code, &size)) != NULL)
        if (code == OPTION_IF_DROP && size == 8) f->interface[id].dropped = get64(f, value);
}

static enum Framed packet_block(Framing *f, uint32_t type, const uint8_t *body, uint32_t length, Frame *frame) {
    uint32_t header = type == BLOCK_PACKET_SIMPLE ? 4 : 20, id = 0, captured, wire;
    if (length < header) return FRAMED_CORRUPT;
    if (type == BLOCK_PACKET) id = get32(f, body);
    if (type == BLOCK_PACKET_OLD) id = get16(f, body);
    if (id >= f->interfaces) return FRAMED_CORRUPT;
    if (type == BLOCK_PACKET_SIMPLE) {
        wire = get32(f, body);
        captured = wire < length - 4 ? wire : length - 4;
        frame->time_ns = f->last_ns;
        f->missing_times++;
    } else {
        captured = get32(f, body + 12);
        wire = get32(f, body + 16);
        frame->time_ns = ticks_to_ns(&f->interface[id], (uint64_t)get32(f, body + 4) << 32 | get32(f, body + 8));
        f->last_ns = frame->time_ns;
    }
    if (captured > length - header || captured > MAX_CAPTURED) return FRAMED_CORRUPT;
    frame->link_type = f->interface[id].link_type;
    frame->frame = (Span){body + header, captured, wire < captured ? captured : wire};
    return FRAMED_PACKET;
}

static enum Framed next_block(Framing *f, const uint8_t *data, uint64_t size, uint64_t *used, Frame *frame) {
    if (f->skip > 0) {
        *used = f->skip < size ? f->skip : size;
        f->skip -= *used;
        return size > 0 ? FRAMED_NOTHING : FRAMED_NEED_MORE;
    }
    if (size < 12) return FRAMED_NEED_MORE;
    uint32_t type = get32(f, data);
    if (type == BLOCK_SECTION) {
        uint32_t order;
        memcpy(&order, data + 8, sizeof order);
        if (order != BYTE_ORDER_MAGIC && order != __builtin_bswap32(BYTE_ORDER_MAGIC)) return FRAMED_CORRUPT;
        f->swapped = order != BYTE_ORDER_MAGIC;
        f->interfaces = 0;
    }
    uint32_t total = get32(f, data + 4);
    if (total < 12 || total % 4 != 0 || (type == BLOCK_SECTION && total < 28)) return FRAMED_CORRUPT;
    bool wanted = type == BLOCK_INTERFACE || type == BLOCK_PACKET_OLD || type == BLOCK_PACKET_SIMPLE ||
                  type == BLOCK_STATISTICS || type == BLOCK_PACKET;
    if (!wanted) {
        f->skip = total;
        *used = 0;
        return FRAMED_NOTHING;
    }
    if (total > MAX_WHOLE_BLOCK) return FRAMED_CORRUPT;
    if (size < total) return FRAMED_NEED_MORE;
    *used = total;
    const uint8_t *body = data + 8;
    uint32_t length = total - 12;
    if (type == BLOCK_INTERFACE) return add_interface(f, body, length);
    if (type == BLOCK_STATISTICS) {
        count_drops(f, body, length);
        return FRAMED_NOTHING;
    }
    return packet_block(f, type, body, length, frame);
}

enum Framed next_frame(Framing *f, const uint8_t *data, uint64_t size, uint64_t *used, Frame *frame) {
    *used = 0;
    if (f->format == FORMAT_PCAP) return next_record(f, data, size, used, frame);
    if (f->format == FORMAT_PCAPNG) return next_block(f, data, size, used, frame);
    return begin(f, data, size, used);
}
