// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Counts packets and bytes by protocol, in global variables instead of maps.
//
// Nothing is dropped. Extension headers of IPv6 are followed to the protocol behind them; a packet
// whose headers are cut off is counted as `malformed`.
#include "include/bpf.h"
#include "include/net.h"

#define MAX_EXTENSIONS 6
#define LENGTH_CLASSES 8

// Configuration, fixed before the program is loaded (.rodata).
volatile const __u32 sample_every = 0; // traces one packet in so many; 0: none
volatile const __u8 follow_extensions = 1;

// Configuration that may be changed while it runs (.data).
__u32 jumbo_from = 1514;
__u64 smallest = ~0ull;

// Results (.bss).
__u64 packets[256]; // by IP protocol
__u64 bytes[256];
__u64 lengths[LENGTH_CLASSES]; // by length: below 64, 128, 256, …
__u64 not_ip;
__u64 malformed;
__u64 fragments;
__u64 extensions;
__u64 jumbo;
__u64 largest;

// The class of a length in `lengths`. A global function: the verifier judges it by itself.
__noinline __u32 length_class(__u32 length)
{
	__u32 class = 0;
	for (__u32 limit = 64; class < LENGTH_CLASSES - 1; class++, limit *= 2) {
		if (length < limit)
			break;
	}
	return class;
}

// The protocol behind the extension headers of IPv6, or -1 where they are cut off.
static __noinline int skip_extensions(struct cursor *cursor, __u32 protocol)
{
	void *at = cursor->at;
#pragma clang loop unroll(disable)
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		struct ipv6_extension *extension = at;
		__u32 length;

		switch (protocol) {
		case PROTOCOL_HOP_BY_HOP:
		case PROTOCOL_ROUTING:
		case PROTOCOL_DESTINATION:
			if ((void *)(extension + 1) > cursor->end)
				return -1;
			length = (extension->length + 1) * 8;
			break;
		case PROTOCOL_AUTHENTICATION:
			if ((void *)(extension + 1) > cursor->end)
				return -1;
			length = (extension->length + 2) * 4;
			break;
		case PROTOCOL_FRAGMENT:
			if (at + sizeof(struct ipv6_fragment) > cursor->end)
				return -1;
			__sync_fetch_and_add(&fragments, 1);
			length = sizeof(struct ipv6_fragment);
			break;
		default:
			return protocol;
		}
		protocol = extension->next_header;
		at += length;
		__sync_fetch_and_add(&extensions, 1);
	}
	return protocol;
}

static __always_inline int protocol_of(struct cursor *cursor, __u16 type)
{
	if (type == ETHERTYPE_IPV4) {
		struct ipv4 *ip;
		if (!take_ipv4(cursor, ip))
			return -1;
		if (bpf_ntohs(ip->fragment) & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
			__sync_fetch_and_add(&fragments, 1);
		return ip->protocol;
	}
	struct ipv6 *ip;
	if (!take(cursor, ip))
		return -1;
	return follow_extensions ? skip_extensions(cursor, ip->next_header) : ip->next_header;
}

SEC("xdp")
int protocols(struct xdp_md *ctx)
{
	struct cursor cursor = packet(ctx);
	__u64 length = cursor.end - cursor.at;

	__sync_fetch_and_add(&lengths[length_class(length) % LENGTH_CLASSES], 1);
	if (length > jumbo_from)
		__sync_fetch_and_add(&jumbo, 1);
	if (length > largest)
		largest = length;
	if (length < smallest)
		smallest = length;

	struct ethernet *ethernet;
	__u16 type = take(&cursor, ethernet) ? skip_vlans(&cursor, bpf_ntohs(ethernet->type)) : 0;
	if (type && type != ETHERTYPE_IPV4 && type != ETHERTYPE_IPV6) {
		__sync_fetch_and_add(&not_ip, 1);
		return XDP_PASS;
	}

	int protocol = type ? protocol_of(&cursor, type) : -1;
	if (protocol < 0) {
		__sync_fetch_and_add(&malformed, 1);
		return XDP_PASS;
	}
	__u8 index = protocol;
	__sync_fetch_and_add(&packets[index], 1);
	__sync_fetch_and_add(&bytes[index], length);

	__u32 every = sample_every;
	if (every && bpf_get_prandom_u32() % every == 0)
		bpf_printk("protocol %d, %d bytes", protocol, (__u32)length);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
