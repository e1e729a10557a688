/* One packet, from its link layer to the innermost IP: who spoke to whom, and how much.
 *
 * Input is hostile: every byte is read through a Span, whose length is checked first.
 */
#ifndef CYBERTERR_PACKET_H
#define CYBERTERR_PACKET_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    const uint8_t *at;
    uint32_t captured; /* bytes that may be read */
    uint32_t wire;     /* bytes there were on the wire, at least `captured` */
} Span;

typedef struct {
    uint64_t hi, lo; /* IPv4 stands in the low 32 bits of lo, as ::a.b.c.d without the mapping */
} Address;

enum Tunnel { TUNNEL_NONE, TUNNEL_GRE, TUNNEL_VXLAN, TUNNEL_IPIP, TUNNEL_6IN4, TUNNEL_4IN6, TUNNEL_6IN6 };

typedef struct {
    Address src, dst;
    uint16_t src_port, dst_port; /* 0 where the protocol has none, or a later fragment hides them */
    uint16_t vlan;               /* 0 untagged */
    uint32_t tunnel_id;          /* VXLAN network identifier or GRE key */
    uint8_t tunnel;              /* the innermost one */
    uint8_t protocol;
    bool v4;
    bool later_fragment;
    bool first_fragment;
    uint32_t fragment_id;
    uint8_t ttl;
    uint8_t tcp_flags;
    uint8_t icmp_type; /* NO_ICMP_TYPE where there is none */
    uint32_t tcp_seq;
    uint32_t ip_bytes;      /* header included, as the IP header says, at most what was on the wire */
    uint32_t payload_bytes; /* above TCP or UDP, as the headers say */
    Span payload;           /* what of it was captured */
} Packet;

enum { NO_ICMP_TYPE = 255 }; /* reserved in RFC 2780 and RFC 4443 */

enum Decoded { DECODED_IP, DECODED_OTHER, DECODED_MALFORMED, DECODED_UNKNOWN_LINK };

bool link_is_known(uint16_t link_type);
enum Decoded decode_packet(uint16_t link_type, Span frame, Packet *packet);

static inline uint16_t big16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static inline uint32_t big32(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
static inline uint64_t big64(const uint8_t *p) { return (uint64_t)big32(p) << 32 | big32(p + 4); }

#endif
