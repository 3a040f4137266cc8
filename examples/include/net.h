// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Packet headers that the examples parse, in wire order, and the checks that the verifier wants
// before a header is read.
#ifndef EXAMPLES_NET_H
#define EXAMPLES_NET_H

#include "bpf.h"

enum ethertype {
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_ARP = 0x0806,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_IPV6 = 0x86dd,
	ETHERTYPE_QINQ = 0x88a8,
};

enum ip_protocol {
	PROTOCOL_HOP_BY_HOP = 0,
	PROTOCOL_ICMP = 1,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	PROTOCOL_ROUTING = 43,
	PROTOCOL_FRAGMENT = 44,
	PROTOCOL_AUTHENTICATION = 51,
	PROTOCOL_ICMPV6 = 58,
	PROTOCOL_NONE = 59,
	PROTOCOL_DESTINATION = 60,
};

struct ethernet {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
};

struct vlan {
	__be16 tag;
	__be16 type;
};

struct ipv4 {
	__u8 version_length; // version in the upper four bits, header length in words below
	__u8 service;
	__be16 total_length;
	__be16 id;
	__be16 fragment; // three flags, then the offset in units of eight bytes
	__u8 ttl;
	__u8 protocol;
	__sum16 checksum;
	__be32 source;
	__be32 destination;
};

#define IPV4_MORE_FRAGMENTS 0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff

struct ipv6_address {
	__be32 word[4];
};

struct ipv6 {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	struct ipv6_address source;
	struct ipv6_address destination;
};

// How most extension headers of IPv6 start. `length` counts eight bytes beyond the first eight.
struct ipv6_extension {
	__u8 next_header;
	__u8 length;
};

struct ipv6_fragment {
	__u8 next_header;
	__u8 reserved;
	__be16 offset_flags; // offset in units of eight bytes in the upper 13 bits, "more" in the lowest
	__be32 id;
};

struct tcp {
	__be16 source;
	__be16 destination;
	__be32 sequence;
	__be32 acknowledgement;
	__u8 offset; // header length in words in the upper four bits
	__u8 flags;
	__be16 window;
	__sum16 checksum;
	__be16 urgent;
};

struct udp {
	__be16 source;
	__be16 destination;
	__be16 length;
	__sum16 checksum;
};

struct icmp {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be32 rest;
};

// The part of a packet that is still to be parsed.
struct cursor {
	void *at;
	void *end;
};

static __always_inline struct cursor packet(const struct xdp_md *ctx)
{
	return (struct cursor){ (void *)(long)ctx->data, (void *)(long)ctx->data_end };
}

// Points `header` at the cursor, which moves behind it; false where the packet is too short.
#define take(cursor, header)                                         \
	({                                                           \
		header = (cursor)->at;                               \
		int fits = (void *)(header + 1) <= (cursor)->end;    \
		if (fits)                                            \
			(cursor)->at = header + 1;                   \
		fits;                                                \
	})

// The ethertype behind up to two VLAN tags, in host order; the cursor moves there.
static __always_inline __u16 skip_vlans(struct cursor *cursor, __u16 type)
{
#pragma unroll
	for (int tag = 0; tag < 2; tag++) {
		if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ)
			break;
		struct vlan *vlan;
		if (!take(cursor, vlan))
			return 0;
		type = bpf_ntohs(vlan->type);
	}
	return type;
}

// Points `header` at an IPv4 header and moves the cursor behind its options.
#define take_ipv4(cursor, header)                                              \
	({                                                                     \
		int fits = take(cursor, header);                               \
		if (fits) {                                                    \
			__u32 words = (header)->version_length & 0x0f;         \
			(cursor)->at = (void *)(header) + words * 4;           \
			fits = (header)->version_length >> 4 == 4 && words >= 5 && \
			       (cursor)->at <= (cursor)->end;                  \
		}                                                              \
		fits;                                                          \
	})

// Folds a 32-bit sum to the 16 bits that a header holds.
static __always_inline __sum16 fold_checksum(__u64 sum)
{
	sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__sum16)~sum;
}

#endif
