// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A dispatcher: one program looks at the ethertype and hands the packet to the program for it by a
// tail call. Together they are a small router that also answers pings.
//
// The programs share a note in the metadata in front of the packet. A VLAN tag is taken off and the
// packet dispatched anew, so that the chain is as long as the packet has tags; the kernel (and
// Brolga) end it after 33 calls.
#include "include/bpf.h"
#include "include/net.h"

enum handler {
	DISPATCH,
	HANDLE_IPV4,
	HANDLE_IPV6,
	HANDLE_VLAN,
	HANDLE_ARP,
	HANDLE_PING,
	HANDLERS,
};

// What earlier programs tell later ones. Its size must be a multiple of four, at most 32.
struct note {
	__u16 vlan; // the innermost tag that was taken off
	__u8 vlans;
	__u8 calls;
};

int dispatch(struct xdp_md *ctx);
int handle_ipv4(struct xdp_md *ctx);
int handle_ipv6(struct xdp_md *ctx);
int handle_vlan(struct xdp_md *ctx);
int handle_arp(struct xdp_md *ctx);
int handle_ping(struct xdp_md *ctx);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 16);
	__uint(key_size, sizeof(__u32));
	__array(values, int(struct xdp_md *));
} handlers SEC(".maps") = {
	.values = {
		[DISPATCH] = (void *)&dispatch,
		[HANDLE_IPV4] = (void *)&handle_ipv4,
		[HANDLE_IPV6] = (void *)&handle_ipv6,
		[HANDLE_VLAN] = (void *)&handle_vlan,
		[HANDLE_ARP] = (void *)&handle_arp,
		[HANDLE_PING] = (void *)&handle_ping,
	},
};

// How often each program ran.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, HANDLERS);
	__type(key, __u32);
	__type(value, __u64);
} handled SEC(".maps");

static __always_inline void count(__u32 handler)
{
	__u64 *counter = bpf_map_lookup_elem(&handled, &handler);
	if (counter)
		*counter += 1;
}

// Points `note` at the note in front of the packet; false where there is none.
#define find_note(ctx, note)                                             \
	({                                                               \
		note = (void *)(long)(ctx)->data_meta;                   \
		(void *)(note + 1) <= (void *)(long)(ctx)->data;         \
	})

SEC("xdp")
int dispatch(struct xdp_md *ctx)
{
	count(DISPATCH);
	struct note *note;
	if (!find_note(ctx, note)) {
		if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*note)) || !find_note(ctx, note))
			return XDP_ABORTED;
		*note = (struct note){};
	}
	note->calls++;

	struct cursor cursor = packet(ctx);
	struct ethernet *ethernet;
	if (!take(&cursor, ethernet))
		return XDP_DROP;
	switch (bpf_ntohs(ethernet->type)) {
	case ETHERTYPE_IPV4:
		bpf_tail_call(ctx, &handlers, HANDLE_IPV4);
		break;
	case ETHERTYPE_IPV6:
		bpf_tail_call(ctx, &handlers, HANDLE_IPV6);
		break;
	case ETHERTYPE_VLAN:
	case ETHERTYPE_QINQ:
		bpf_tail_call(ctx, &handlers, HANDLE_VLAN);
		break;
	case ETHERTYPE_ARP:
		bpf_tail_call(ctx, &handlers, HANDLE_ARP);
		break;
	default:
		bpf_printk("no handler for ethertype %x", bpf_ntohs(ethernet->type));
		return XDP_PASS;
	}
	return XDP_ABORTED; // only where a tail call failed
}

// Takes off the outermost tag and starts over.
SEC("xdp")
int handle_vlan(struct xdp_md *ctx)
{
	count(HANDLE_VLAN);
	struct cursor cursor = packet(ctx);
	struct ethernet *ethernet;
	struct vlan *vlan;
	if (!take(&cursor, ethernet) || !take(&cursor, vlan))
		return XDP_DROP;

	struct ethernet untagged = *ethernet;
	untagged.type = vlan->type;
	__u16 tag = bpf_ntohs(vlan->tag) & 0x0fff;

	struct note *note;
	if (find_note(ctx, note)) {
		note->vlan = tag;
		note->vlans++;
	}

	// The note moves along with the head.
	if (bpf_xdp_adjust_head(ctx, sizeof(struct vlan)))
		return XDP_ABORTED;
	cursor = packet(ctx);
	if (!take(&cursor, ethernet))
		return XDP_ABORTED;
	*ethernet = untagged;

	bpf_tail_call(ctx, &handlers, DISPATCH);
	return XDP_ABORTED;
}

// Routes: one hop less, and padding behind the IP packet is cut off.
SEC("xdp")
int handle_ipv4(struct xdp_md *ctx)
{
	count(HANDLE_IPV4);
	struct cursor cursor = packet(ctx);
	struct ethernet *ethernet;
	struct ipv4 *ip;
	if (!take(&cursor, ethernet) || !take_ipv4(&cursor, ip) || ip->ttl <= 1)
		return XDP_DROP;

	if (ip->protocol == PROTOCOL_ICMP && !(ip->fragment & bpf_htons(IPV4_FRAGMENT_OFFSET))) {
		bpf_tail_call(ctx, &handlers, HANDLE_PING);
		return XDP_ABORTED;
	}

	// Taking 1 from the upper byte of a word adds 0x0100 to its checksum.
	ip->ttl--;
	__u32 sum = ip->checksum + bpf_htons(0x0100);
	ip->checksum = sum + (sum >= 0xffff);

	__u32 wanted = sizeof(*ethernet) + bpf_ntohs(ip->total_length);
	__u32 length = (__u32)((long)ctx->data_end - (long)ctx->data);
	if (wanted < length && wanted >= sizeof(*ethernet) + sizeof(*ip) &&
	    bpf_xdp_adjust_tail(ctx, (int)(wanted - length)))
		return XDP_ABORTED;
	return XDP_TX;
}

SEC("xdp")
int handle_ipv6(struct xdp_md *ctx)
{
	count(HANDLE_IPV6);
	struct cursor cursor = packet(ctx);
	struct ethernet *ethernet;
	struct ipv6 *ip;
	if (!take(&cursor, ethernet) || !take(&cursor, ip) || ip->hop_limit <= 1)
		return XDP_DROP;
	ip->hop_limit--;
	return XDP_TX;
}

// The host answers ARP itself.
SEC("xdp")
int handle_arp(struct xdp_md *ctx)
{
	count(HANDLE_ARP);
	return XDP_PASS;
}

// Answers an echo request; the packet is reached through helpers, as where it may be in fragments.
SEC("xdp")
int handle_ping(struct xdp_md *ctx)
{
	count(HANDLE_PING);
	struct {
		struct ethernet ethernet;
		struct ipv4 ip;
	} __attribute__((packed)) headers;
	struct icmp icmp;

	if (bpf_xdp_load_bytes(ctx, 0, &headers, sizeof(headers)))
		return XDP_DROP;
	__u32 offset = sizeof(struct ethernet) + (headers.ip.version_length & 0x0f) * 4;
	if (bpf_xdp_load_bytes(ctx, offset, &icmp, sizeof(icmp)))
		return XDP_DROP;
	if (icmp.type != 8)
		return XDP_PASS;

	// Source and destination change places, which leaves the IP checksum as it is.
	struct ethernet swapped = { .type = headers.ethernet.type };
	__builtin_memcpy(swapped.destination, headers.ethernet.source, 6);
	__builtin_memcpy(swapped.source, headers.ethernet.destination, 6);
	headers.ethernet = swapped;
	__be32 source = headers.ip.source;
	headers.ip.source = headers.ip.destination;
	headers.ip.destination = source;

	// Type 8 becomes 0.
	icmp.type = 0;
	__u32 sum = icmp.checksum + bpf_htons(0x0800);
	icmp.checksum = sum + (sum >= 0xffff);

	if (bpf_xdp_store_bytes(ctx, 0, &headers, sizeof(headers)) ||
	    bpf_xdp_store_bytes(ctx, offset, &icmp, sizeof(icmp)))
		return XDP_ABORTED;
	return XDP_TX;
}

char _license[] SEC("license") = "Dual MIT/GPL";
