/* The meter as a process of its own: captures are hostile input, so whatever reads them may do nothing else.
 *
 * Before the first byte it gives up every system call but read, write and exit (seccomp(2), a filter): code
 * that a capture smuggled in could open no file and no socket. All memory is taken before that.
 * Requests come on standard input, bytes of captures in the shared memory whose descriptor the last argument
 * gives, replies go to standard output. It ends when its input does, so it never outlives its parent.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "framing.h"
#include "meter.h"

enum { BLOCK = 2 << 20, AHEAD = MAX_CAPTURED + (128 << 10) }; /* AHEAD: room for the record a block cuts in two */

enum Operation { BEGIN_SOURCE, FEED, EXPIRE, FINISH };

/* meter.py mirrors these three. */
typedef struct {
    uint32_t sandboxed, flow_size, header_size, counts_size;
    uint64_t block, ahead;
} Hello;

typedef struct {
    uint32_t operation, half; /* of the shared memory: one is filled while the other is read */
    uint64_t size;
    int64_t now_ns; /* EXPIRE only */
    uint32_t flush;  /* give what has finished, however little it is */
    uint32_t number; /* the replies carry it */
} Request;

typedef struct {
    uint32_t number, status, more, unused; /* more: another reply to the same request follows */
    uint64_t position;     /* bytes of this source that were taken */
    uint64_t waiting;      /* bytes of a record that is not complete */
    uint64_t flows, tapped, sources, destinations; /* sizes in bytes of what follows */
    MeterCounts counts;
} Reply;

typedef struct {
    Meter *meter;
    uint8_t *shared;
    uint32_t number; /* of the request at hand */
    enum MeterStatus status; /* of the source; NO_CAPTURE and CORRUPT last until the next one */
    uint64_t position, waiting;
    uint8_t tail[AHEAD];
    char text[2][FINISHED_ROOM * ADDRESS_TEXT];
} Server;

static _Noreturn void leave(void) {
    syscall(SYS_exit, 0); /* not exit_group, which _exit would call */
    __builtin_unreachable();
}

static void say(const void *data, uint64_t size) {
    const uint8_t *at = data;
    while (size > 0) {
        ssize_t written = write(STDOUT_FILENO, at, size);
        if (written <= 0) leave();
        at += written;
        size -= (uint64_t)written;
    }
}

static void hear(void *data, uint64_t size) {
    uint8_t *at = data;
    while (size > 0) {
        ssize_t got = read(STDIN_FILENO, at, size);
        if (got <= 0) leave();
        at += got;
        size -= (uint64_t)got;
    }
}

static void reply(Server *s, bool give, bool more) {
    const FinishedFlow *flows = NULL;
    const uint8_t *tapped = NULL;
    uint32_t count = give ? meter_flows(s->meter, &flows) : 0;
    Reply r = {
        .number = s->number, .status = s->status, .more = more, .position = s->position, .waiting = s->waiting,
        .tapped = give ? meter_tapped(s->meter, &tapped) : 0, .flows = count * sizeof *flows,
        .sources = meter_addresses(flows, count, 0, s->text[0]),
        .destinations = meter_addresses(flows, count, 1, s->text[1]),
    };
    meter_counts(s->meter, &r.counts);
    say(&r, sizeof r);
    say(tapped, r.tapped);
    say(flows, r.flows);
    say(s->text[0], r.sources);
    say(s->text[1], r.destinations);
    if (give) meter_collected(s->meter);
}

static void feed(Server *s, const Request *request) {
    uint8_t *block = s->shared + (request->half + 1) * (uint64_t)AHEAD + request->half * (uint64_t)BLOCK;
    if (s->status == METER_NO_CAPTURE || s->status == METER_CORRUPT) {
        reply(s, request->flush, false);
        return;
    }
    uint8_t *at = block - s->waiting;
    memcpy(at, s->tail, s->waiting);
    uint64_t left = s->waiting + request->size, used;
    while ((s->status = meter_feed(s->meter, at, left, &used)) == METER_FULL) {
        at += used;
        left -= used;
        s->position += used;
        reply(s, true, true);
    }
    s->position += used;
    left -= used;
    if (left > AHEAD) s->status = METER_CORRUPT; /* no record is that long */
    s->waiting = left > AHEAD ? 0 : left;
    memcpy(s->tail, at + used, s->waiting);
    reply(s, request->flush, false);
}

static _Noreturn void serve(Server *s) {
    for (;;) {
        Request request;
        hear(&request, sizeof request);
        s->number = request.number;
        switch (request.operation) {
        case BEGIN_SOURCE: /* the one request without a reply */
            meter_next_source(s->meter);
            s->status = METER_NEED_MORE;
            s->position = s->waiting = 0;
            break;
        case FEED:
            if (request.half > 1 || request.size > BLOCK) leave();
            feed(s, &request);
            break;
        case EXPIRE:
            meter_expire(s->meter, request.now_ns);
            reply(s, true, false);
            break;
        case FINISH:
            reply(s, true, true); /* payloads before the flows they belong to */
            while (meter_finish(s->meter)) reply(s, true, true);
            reply(s, true, false);
            break;
        default:
            leave();
        }
    }
}

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Give up every system call but read, write and exit; false where the kernel refuses. As a filter, not as strict
 * mode: the kernel refuses that to a process that has a filter already, as under systemd's or a container's. */
static bool enclose(void) {
#ifdef ARCHITECTURE
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof rules / sizeof *rules, .filter = rules};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
#else
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0;
#endif
}

int main(int argc, char **argv) {
    if (argc != 7) return 2;
    int descriptor = atoi(argv[6]);
    MeterOptions options = {
        .idle_ns = strtoll(argv[1], NULL, 10), .active_ns = strtoll(argv[2], NULL, 10),
        .late_ns = strtoll(argv[3], NULL, 10), .max_open_flows = (uint32_t)strtoul(argv[4], NULL, 10),
        .tap = argv[5][0] == '1',
    };
    uint64_t size = 2 * (uint64_t)(AHEAD + BLOCK);
    Server *s = calloc(1, sizeof *s);
    if (s == NULL || (s->meter = meter_new(&options)) == NULL) return 3;
    if (ftruncate(descriptor, (off_t)size) != 0) return 3;
    s->shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (s->shared == MAP_FAILED) return 3;
    setrlimit(RLIMIT_CORE, &(struct rlimit){0}); /* a dump would hold payloads */
    Hello hello = {
        .flow_size = sizeof(FinishedFlow), .header_size = sizeof(TappedHeader), .counts_size = sizeof(MeterCounts),
        .block = BLOCK, .ahead = AHEAD,
    };
    hello.sandboxed = enclose();
    say(&hello, sizeof hello);
    serve(s);
}
