#include "packet.h"

#include <string.h>

enum { MAX_NESTING = 10 }; /* tags, labels and tunnels in one packet; more is an attack on the parser */

/* https://www.tcpdump.org/linktypes.html */
enum Link {
    LINK_NULL = 0, LINK_ETHERNET = 1, LINK_PPP = 9, LINK_RAW_BSD = 12, LINK_RAW_OPENBSD = 14,
    LINK_PPP_HDLC = 50, LINK_PPP_ETHER = 51, LINK_RAW = 101, LINK_CISCO_HDLC = 104, LINK_LOOP = 108,
    LINK_LINUX_SLL = 113, LINK_IPV4 = 228, LINK_IPV6 = 229, LINK_LINUX_SLL2 = 276,
};

enum EtherType {
    ETHER_IPV4 = 0x0800, ETHER_VLAN = 0x8100, ETHER_IPV6 = 0x86dd, ETHER_MPLS = 0x8847,
    ETHER_MPLS_MULTICAST = 0x8848, ETHER_PPPOE_SESSION = 0x8864, ETHER_QINQ = 0x88a8,
    ETHER_VNTAG = 0x8926, ETHER_QINQ_OLD = 0x9100, ETHER_QINQ_OLDER = 0x9200, ETHER_BRIDGED = 0x6558,
    ETHER_PPP = 0x880b,
};

enum IpProtocol {
    IP_HOP_BY_HOP = 0, IP_ICMP = 1, IP_IPIP = 4, IP_TCP = 6, IP_UDP = 17, IP_6IN4 = 41, IP_ROUTING = 43,
    IP_FRAGMENT = 44, IP_GRE = 47, IP_AUTHENTICATION = 51, IP_ICMPV6 = 58, IP_DESTINATION = 60, IP_SCTP = 132,
    IP_UDPLITE = 136,
};

enum { VXLAN_PORT = 4789 };

static enum Decoded decode_ether_type(uint16_t type, Span s, int nesting, Packet *packet);
static enum Decoded decode_ip(Span s, int nesting, Packet *packet);

static inline bool skip(Span *s, uint32_t bytes) {
    if (s->captured < bytes) return false;
    s->at += bytes;
    s->captured -= bytes;
    s->wire -= bytes;
    return true;
}

/* Cuts the span to the length a header claims: what follows on the wire is padding. */
static inline void limit(Span *s, uint32_t bytes) {
    if (s->wire > bytes) s->wire = bytes;
    if (s->captured > bytes) s->captured = bytes;
}

static enum Decoded decode_ethernet(Span s, int nesting, Packet *packet) {
    if (s.captured < 14) return DECODED_MALFORMED;
    uint16_t type = big16(s.at + 12);
    skip(&s, 14);
    if (type < 0x0600) { /* 802.3 length, then LLC; only SNAP carries an EtherType */
        static const uint8_t snap[6] = {0xaa, 0xaa, 0x03, 0, 0, 0};
        if (s.captured < 8 || memcmp(s.at, snap, sizeof snap) != 0) return DECODED_OTHER;
        type = big16(s.at + 6);
        skip(&s, 8);
    }
    return decode_ether_type(type, s, nesting, packet);
}

/* RFC 3032: labels until the bottom of the stack; what is under them shows in the first nibble. */
static enum Decoded decode_mpls(Span s, int nesting, Packet *packet) {
    for (int labels = 0; labels < 16; labels++) {
        if (s.captured < 4) return DECODED_MALFORMED;
        bool bottom = s.at[2] & 1;
        skip(&s, 4);
        if (!bottom) continue;
        if (s.captured < 1) return DECODED_MALFORMED;
        uint8_t nibble = s.at[0] >> 4;
        if (nibble == 4 || nibble == 6) return decode_ip(s, nesting, packet);
        if (nibble == 0 && skip(&s, 4)) return decode_ethernet(s, nesting, packet); /* RFC 4448 */
        return DECODED_OTHER;
    }
    return DECODED_MALFORMED;
}

static enum Decoded decode_ppp(Span s, int nesting, Packet *packet) {
    if (s.captured >= 2 && s.at[0] == 0xff && s.at[1] == 0x03) skip(&s, 2); /* address, control */
    if (s.captured < 1) return DECODED_MALFORMED;
    uint16_t protocol = s.at[0];
    if (protocol & 1) { /* RFC 1661: compressed to one byte */
        skip(&s, 1);
    } else {
        if (s.captured < 2) return DECODED_MALFORMED;
        protocol = big16(s.at);
        skip(&s, 2);
    }
    if (protocol == 0x0021) return decode_ether_type(ETHER_IPV4, s, nesting, packet);
    if (protocol == 0x0057) return decode_ether_type(ETHER_IPV6, s, nesting, packet);
    if (protocol == 0x0281) return decode_mpls(s, nesting, packet);
    return DECODED_OTHER;
}

static enum Decoded decode_ether_type(uint16_t type, Span s, int nesting, Packet *packet) {
    if (++nesting > MAX_NESTING) return DECODED_MALFORMED;
    switch (type) {
    case ETHER_IPV4:
    case ETHER_IPV6:
        return decode_ip(s, nesting, packet);
    case ETHER_VLAN:
    case ETHER_QINQ:
    case ETHER_QINQ_OLD:
    case ETHER_QINQ_OLDER:
        if (s.captured < 4) return DECODED_MALFORMED;
        if (packet->vlan == 0) packet->vlan = big16(s.at) & 0x0fff;
        type = big16(s.at + 2);
        skip(&s, 4);
        if (type < 0x0600) return DECODED_OTHER;
        return decode_ether_type(type, s, nesting, packet);
    case ETHER_VNTAG:
        if (s.captured < 6) return DECODED_MALFORMED;
        type = big16(s.at + 4);
        skip(&s, 6);
        return decode_ether_type(type, s, nesting, packet);
    case ETHER_MPLS:
    case ETHER_MPLS_MULTICAST:
        return decode_mpls(s, nesting, packet);
    case ETHER_PPPOE_SESSION: /* RFC 2516 */
        if (s.captured < 6) return DECODED_MALFORMED;
        uint32_t length = big16(s.at + 4);
        skip(&s, 6);
        limit(&s, length);
        return decode_ppp(s, nesting, packet);
    case ETHER_BRIDGED:
        return decode_ethernet(s, nesting, packet);
    case ETHER_PPP:
        return decode_ppp(s, nesting, packet);
    default:
        return DECODED_OTHER;
    }
}

/* Looks inside a tunnel; where nothing can be read there, the packet stays what carried it. */
static bool entered_tunnel(enum Decoded inner, Packet *packet, const Packet *carrier) {
    if (inner == DECODED_IP) return true;
    *packet = *carrier;
    return false;
}

static enum Decoded decode_gre(Span s, int nesting, Packet *packet) { /* RFC 2784, 2890, 2637 */
    if (s.captured < 4) return DECODED_MALFORMED;
    uint16_t flags = big16(s.at), type = big16(s.at + 2);
    uint8_t version = flags & 7;
    if (version > 1) return DECODED_OTHER;
    skip(&s, 4);
    if ((flags & 0x8000) && !skip(&s, 4)) return DECODED_MALFORMED; /* checksum */
    if (flags & 0x2000) {
        if (s.captured < 4) return DECODED_MALFORMED;
        /* version 1 puts payload length and call id here: the call differs by direction */
        if (version == 0) packet->tunnel_id = big32(s.at);
        skip(&s, 4);
    }
    if ((flags & 0x1000) && !skip(&s, 4)) return DECODED_MALFORMED; /* sequence number */
    if (version == 1 && (flags & 0x0080) && !skip(&s, 4)) return DECODED_MALFORMED; /* acknowledgement */
    packet->tunnel = TUNNEL_GRE;
    return decode_ether_type(type, s, nesting, packet);
}

static enum Decoded decode_vxlan(Span s, int nesting, Packet *packet) { /* RFC 7348 */
    if (s.captured < 8 || s.at[0] != 0x08 || s.at[1] != 0) return DECODED_OTHER;
    packet->tunnel = TUNNEL_VXLAN;
    packet->tunnel_id = big32(s.at + 4) >> 8;
    skip(&s, 8);
    return decode_ethernet(s, nesting, packet);
}

static enum Decoded decode_transport(Span s, int nesting, Packet *packet) {
    Packet carrier;
    packet->payload_bytes = s.wire;
    packet->payload = s;
    if (packet->later_fragment) return DECODED_IP;
    switch (packet->protocol) {
    case IP_TCP:
        if (s.captured < 14) {
            if (s.captured >= 4) packet->src_port = big16(s.at), packet->dst_port = big16(s.at + 2);
            packet->payload.captured = 0;
            return DECODED_IP; /* cut off by the snap length: count it all the same */
        }
        packet->src_port = big16(s.at);
        packet->dst_port = big16(s.at + 2);
        packet->tcp_seq = big32(s.at + 4);
        packet->tcp_flags = s.at[13];
        uint32_t header = (uint32_t)(s.at[12] >> 4) * 4;
        packet->payload_bytes = header >= 20 && s.wire > header ? s.wire - header : 0;
        if (header < 20 || !skip(&packet->payload, header)) packet->payload.captured = 0;
        return DECODED_IP;
    case IP_UDP:
    case IP_UDPLITE:
        if (s.captured < 4) return DECODED_IP;
        packet->src_port = big16(s.at);
        packet->dst_port = big16(s.at + 2);
        packet->payload_bytes = s.wire > 8 ? s.wire - 8 : 0;
        if (!skip(&packet->payload, 8)) {
            packet->payload.captured = 0;
            return DECODED_IP;
        }
        if (packet->protocol == IP_UDP && big16(s.at + 4) >= 8) {
            uint32_t claimed = big16(s.at + 4) - 8u;
            if (claimed < packet->payload_bytes) packet->payload_bytes = claimed;
            limit(&packet->payload, claimed);
        }
        if (packet->dst_port == VXLAN_PORT && !packet->first_fragment) {
            carrier = *packet;
            entered_tunnel(decode_vxlan(packet->payload, nesting, packet), packet, &carrier);
        }
        return DECODED_IP;
    case IP_ICMP:
    case IP_ICMPV6:
        if (s.captured >= 1) packet->icmp_type = s.at[0];
        return DECODED_IP;
    case IP_SCTP:
        if (s.captured >= 4) packet->src_port = big16(s.at), packet->dst_port = big16(s.at + 2);
        return DECODED_IP;
    case IP_GRE:
        carrier = *packet;
        entered_tunnel(decode_gre(s, nesting, packet), packet, &carrier);
        return DECODED_IP;
    case IP_IPIP:
    case IP_6IN4:
        carrier = *packet;
        packet->tunnel = packet->protocol == IP_IPIP ? (packet->v4 ? TUNNEL_IPIP : TUNNEL_4IN6)
                                                     : (packet->v4 ? TUNNEL_6IN4 : TUNNEL_6IN6);
        entered_tunnel(decode_ip(s, nesting, packet), packet, &carrier);
        return DECODED_IP;
    default:
        return DECODED_IP;
    }
}

static void forget_transport(Packet *packet) {
    packet->src_port = packet->dst_port = 0;
    packet->tcp_flags = 0;
    packet->icmp_type = NO_ICMP_TYPE;
    packet->tcp_seq = 0;
    packet->payload_bytes = 0;
    packet->payload = (Span){NULL, 0, 0};
    packet->later_fragment = packet->first_fragment = false;
}

static enum Decoded decode_ipv4(Span s, int nesting, Packet *packet) { /* RFC 791 */
    if (s.captured < 20) return DECODED_MALFORMED;
    uint32_t header = (uint32_t)(s.at[0] & 15) * 4;
    uint32_t total = big16(s.at + 2);
    if (header < 20 || s.captured < header) return DECODED_MALFORMED;
    if (total == 0) total = s.wire; /* segmentation offload: the network card fills it in later */
    if (total < header) return DECODED_MALFORMED;
    limit(&s, total);
    uint16_t fragment = big16(s.at + 6);
    packet->v4 = true;
    packet->ip_bytes = s.wire;
    packet->ttl = s.at[8];
    packet->protocol = s.at[9];
    packet->src = (Address){0, big32(s.at + 12)};
    packet->dst = (Address){0, big32(s.at + 16)};
    packet->later_fragment = fragment & 0x1fff;
    packet->first_fragment = !packet->later_fragment && (fragment & 0x2000);
    packet->fragment_id = big16(s.at + 4);
    skip(&s, header);
    return decode_transport(s, nesting, packet);
}

static enum Decoded decode_ipv6(Span s, int nesting, Packet *packet) { /* RFC 8200 */
    if (s.captured < 40) return DECODED_MALFORMED;
    uint32_t length = big16(s.at + 4);
    uint8_t next = s.at[6];
    if (length != 0) limit(&s, 40 + length); /* 0: a jumbogram or offload */
    packet->v4 = false;
    packet->ip_bytes = s.wire;
    packet->ttl = s.at[7];
    packet->src = (Address){big64(s.at + 8), big64(s.at + 16)};
    packet->dst = (Address){big64(s.at + 24), big64(s.at + 32)};
    skip(&s, 40);
    for (int headers = 0; headers < 16; headers++) {
        packet->protocol = next;
        uint32_t size;
        switch (next) {
        case IP_HOP_BY_HOP:
        case IP_ROUTING:
        case IP_DESTINATION:
            if (s.captured < 8) return DECODED_IP;
            size = (s.at[1] + 1u) * 8;
            break;
        case IP_AUTHENTICATION:
            if (s.captured < 8) return DECODED_IP;
            size = (s.at[1] + 2u) * 4;
            break;
        case IP_FRAGMENT:
            if (s.captured < 8) return DECODED_IP;
            size = 8;
            packet->later_fragment = big16(s.at + 2) & 0xfff8;
            packet->first_fragment = !packet->later_fragment && (s.at[3] & 1);
            packet->fragment_id = big32(s.at + 4);
            break;
        default:
            return decode_transport(s, nesting, packet);
        }
        next = s.at[0];
        if (!skip(&s, size)) return DECODED_IP;
        if (packet->later_fragment) {
            packet->protocol = next;
            return decode_transport(s, nesting, packet);
        }
    }
    return DECODED_MALFORMED;
}

static enum Decoded decode_ip(Span s, int nesting, Packet *packet) {
    if (++nesting > MAX_NESTING || s.captured < 1) return DECODED_MALFORMED;
    forget_transport(packet);
    uint8_t version = s.at[0] >> 4;
    if (version == 4) return decode_ipv4(s, nesting, packet);
    if (version == 6) return decode_ipv6(s, nesting, packet);
    return DECODED_MALFORMED;
}

static enum Decoded decode_loopback(Span s, Packet *packet) {
    if (s.captured < 4) return DECODED_MALFORMED;
    /* the address family of the machine that wrote it, in its byte order; the values are small */
    uint32_t family = big32(s.at);
    if (family > 0xffff) family = __builtin_bswap32(family);
    skip(&s, 4);
    if (family == 2) return decode_ip(s, 0, packet);
    if (family == 10 || family == 24 || family == 28 || family == 30) return decode_ip(s, 0, packet);
    return DECODED_OTHER;
}

bool link_is_known(uint16_t link_type) {
    switch (link_type) {
    case LINK_NULL: case LINK_ETHERNET: case LINK_PPP: case LINK_RAW_BSD: case LINK_RAW_OPENBSD:
    case LINK_PPP_HDLC: case LINK_PPP_ETHER: case LINK_RAW: case LINK_CISCO_HDLC: case LINK_LOOP:
    case LINK_LINUX_SLL: case LINK_IPV4: case LINK_IPV6: case LINK_LINUX_SLL2:
        return true;
    default:
        return false;
    }
}

enum Decoded decode_packet(uint16_t link_type, Span s, Packet *packet) {
    uint16_t type;
    packet->vlan = 0;
    packet->tunnel = TUNNEL_NONE;
    packet->tunnel_id = 0;
    switch (link_type) {
    case LINK_ETHERNET:
        return decode_ethernet(s, 0, packet);
    case LINK_NULL:
    case LINK_LOOP:
        return decode_loopback(s, packet);
    case LINK_RAW:
    case LINK_RAW_BSD:
    case LINK_RAW_OPENBSD:
    case LINK_IPV4:
    case LINK_IPV6:
        return decode_ip(s, 0, packet);
    case LINK_LINUX_SLL:
        if (s.captured < 16) return DECODED_MALFORMED;
        type = big16(s.at + 14);
        skip(&s, 16);
        return decode_ether_type(type, s, 0, packet);
    case LINK_LINUX_SLL2:
        if (s.captured < 20) return DECODED_MALFORMED;
        type = big16(s.at);
        skip(&s, 20);
        return decode_ether_type(type, s, 0, packet);
    case LINK_PPP:
    case LINK_PPP_HDLC:
        return decode_ppp(s, 0, packet);
    case LINK_PPP_ETHER:
        return decode_ether_type(ETHER_PPPOE_SESSION, s, 0, packet);
    case LINK_CISCO_HDLC:
        if (s.captured < 4) return DECODED_MALFORMED;
        type = big16(s.at + 2);
        skip(&s, 4);
        return decode_ether_type(type, s, 0, packet);
    default:
        return DECODED_UNKNOWN_LINK;
    }
}
