/* libFuzzer target for the flow meter: any bytes, fed in pieces, and what must hold for any bytes.
 *
 * The first two bytes choose the size of the pieces and of the flow table; the rest is the capture.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cyberterr/flows/native/meter.h"

#define REQUIRE(condition)                                                     \
    do {                                                                       \
        if (!(condition)) {                                                    \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort();                                                           \
        }                                                                      \
    } while (0)

static const int64_t SECOND = 1000000000;

typedef struct {
    uint64_t packets, flows;
} Sums;

static void collect(Meter *meter, Sums *sums) {
    const FinishedFlow *flows;
    const uint8_t *tapped;
    uint32_t count = meter_flows(meter, &flows);
    for (uint32_t i = 0; i < count; i++) {
        const FinishedFlow *f = &flows[i];
        REQUIRE(f->start <= f->end);
        REQUIRE(f->packets[0] + f->packets[1] > 0);
        REQUIRE(f->state <= 12 && f->tunnel <= 6 && f->end_reason <= END_EVICTED && f->v4 <= 1);
        for (int side = 0; side < 2; side++) {
            REQUIRE(f->payload[side] <= f->bytes[side]);
            if (f->packets[side] > 0) REQUIRE(f->length[side][0] <= f->length[side][2]);
            if (f->packets[side] > 1) REQUIRE(f->gap[side][0] >= 0 && f->gap[side][0] <= f->gap[side][2]);
        }
        sums->packets += f->packets[0] + f->packets[1];
    }
    sums->flows += count;
    char *text = malloc((size_t)count * 47 + 1); /* exact, so that an overrun is seen */
    for (int side = 0; side < 2; side++) REQUIRE(meter_addresses(flows, count, side, text) <= (uint64_t)count * 47);
    free(text);
    uint64_t size = meter_tapped(meter, &tapped), at = 0;
    while (at < size) {
        TappedHeader header;
        REQUIRE(size - at >= sizeof header);
        memcpy(&header, tapped + at, sizeof header);
        REQUIRE(header.size > 0 && header.size <= 65535 && header.from_source <= 1);
        at += sizeof header + ((header.size + 7u) & ~7u);
    }
    REQUIRE(at == size);
    meter_collected(meter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    MeterOptions options = {
        .idle_ns = 120 * SECOND, .active_ns = 1800 * SECOND, .late_ns = 60 * SECOND,
        .max_open_flows = 1 + data[1] % 64u, .tap = data[1] >> 7,
    };
    size_t piece = data[0] < 128 ? size : 1 + data[0] % 128u * 16;
    data += 2, size -= 2;
    Meter *meter = meter_new(&options);
    REQUIRE(meter != NULL);
    Sums sums = {0, 0};
    uint8_t *waiting = NULL;
    size_t held = 0, given = 0;
    enum MeterStatus status = METER_NEED_MORE;
    while (given < size && (status == METER_NEED_MORE || status == METER_FULL)) {
        size_t more = size - given < piece ? size - given : piece;
        uint8_t *block = malloc(held + more); /* a fresh one of exact size: ASan sees any overread */
        if (held > 0) memcpy(block, waiting, held);
        memcpy(block + held, data + given, more);
        free(waiting);
        waiting = block, held += more, given += more;
        do {
            uint64_t used = 0;
            status = meter_feed(meter, waiting, held, &used);
            REQUIRE(used <= held);
            REQUIRE(status != METER_FULL || used > 0);
            held -= used;
            memmove(waiting, waiting + used, held);
            if (status == METER_FULL) collect(meter, &sums);
        } while (status == METER_FULL);
    }
    free(waiting);
    meter_expire(meter, 1700000000 * SECOND);
    collect(meter, &sums);
    while (meter_finish(meter)) collect(meter, &sums);
    collect(meter, &sums);
    MeterCounts counts;
    meter_counts(meter, &counts);
    REQUIRE(sums.packets == counts.ip_packets);
    REQUIRE(sums.flows == counts.flows && counts.open_flows == 0);
    REQUIRE(counts.packets == counts.ip_packets + counts.other + counts.malformed + counts.unknown_link);
    REQUIRE(counts.first_ns <= counts.last_ns);
    meter_free(meter);
    return 0;
}

#ifdef STANDALONE /* for compilers without libFuzzer: every file named, in whole and in small pieces */
int main(int count, char **paths) {
    for (int i = 1; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");
        REQUIRE(file != NULL);
        static uint8_t data[2 + (1 << 20)];
        size_t size = fread(data + 2, 1, sizeof data - 2, file);
        fclose(file);
        fprintf(stderr, "%s\n", paths[i]);
        const uint8_t choices[][2] = {{0, 0x8f}, {0x80, 0x80}, {0x87, 0x01}};
        for (size_t choice = 0; choice < sizeof choices / sizeof *choices; choice++) {
            memcpy(data, choices[choice], 2);
            LLVMFuzzerTestOneInput(data, size + 2);
        }
    }
}
#endif
