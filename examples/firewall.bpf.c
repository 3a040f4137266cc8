// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A stateless firewall: drops packets from blocked addresses and to blocked ports, and counts what
// it decided and why.
//
// Fragments other than the first carry no ports, so ports cannot be judged there: they pass, since
// a receiver cannot use them without the first one. A first fragment too short to hold the ports,
// or a fragment that would overwrite them (RFC 1858), is dropped.
#include "include/bpf.h"
#include "include/net.h"

// Why a packet was passed or dropped: index into `verdicts`.
enum reason {
	PASSED,
	PASSED_NOT_IP,
	PASSED_FRAGMENT,
	DROPPED_MALFORMED,
	DROPPED_ADDRESS,
	DROPPED_PORT,
	DROPPED_TINY_FRAGMENT,
	REASONS,
};

struct counter {
	__u64 packets;
	__u64 bytes;
};

struct port {
	__be16 number;
	__u8 protocol;
	__u8 zero;
};

struct drop {
	__u64 time;
	__u32 cpu;
	__u32 reason;
};

// Blocked sources, and how often each was seen.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __be32);
	__type(value, struct counter);
} blocked_v4 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ipv6_address);
	__type(value, struct counter);
} blocked_v6 SEC(".maps");

// Blocked destination ports.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, struct port);
	__type(value, struct counter);
} blocked_ports SEC(".maps");

// Packets and bytes by reason.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, REASONS);
	__type(key, __u32);
	__type(value, struct counter);
} verdicts SEC(".maps");

// The latest drop.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct drop);
} last_drop SEC(".maps");

static __always_inline void count_shared(struct counter *counter, __u64 bytes)
{
	__sync_fetch_and_add(&counter->packets, 1);
	__sync_fetch_and_add(&counter->bytes, bytes);
}

static __always_inline enum reason check_port(struct cursor *cursor, __u8 protocol, __u64 bytes)
{
	if (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP)
		return PASSED;

	// Both start with source and destination.
	__be16 *ports = cursor->at;
	if ((void *)(ports + 2) > cursor->end)
		return DROPPED_MALFORMED;

	struct port key = { .number = ports[1], .protocol = protocol };
	struct counter *blocked = bpf_map_lookup_elem(&blocked_ports, &key);
	if (!blocked)
		return PASSED;
	count_shared(blocked, bytes);
	return DROPPED_PORT;
}

static __always_inline enum reason check_ipv4(struct cursor *cursor, __u64 bytes)
{
	struct ipv4 *ip;
	if (!take_ipv4(cursor, ip))
		return DROPPED_MALFORMED;

	struct counter *blocked = bpf_map_lookup_elem(&blocked_v4, &ip->source);
	if (blocked) {
		count_shared(blocked, bytes);
		return DROPPED_ADDRESS;
	}

	__u16 fragment = bpf_ntohs(ip->fragment);
	__u16 offset = fragment & IPV4_FRAGMENT_OFFSET;
	if (offset == 1 && ip->protocol == PROTOCOL_TCP)
		return DROPPED_TINY_FRAGMENT;
	if (offset)
		return PASSED_FRAGMENT;

	enum reason reason = check_port(cursor, ip->protocol, bytes);
	if (reason == DROPPED_MALFORMED && (fragment & IPV4_MORE_FRAGMENTS))
		return DROPPED_TINY_FRAGMENT;
	return reason;
}

static __always_inline enum reason check_ipv6(struct cursor *cursor, __u64 bytes)
{
	struct ipv6 *ip;
	if (!take(cursor, ip))
		return DROPPED_MALFORMED;

	struct ipv6_address source = ip->source;
	struct counter *blocked = bpf_map_lookup_elem(&blocked_v6, &source);
	if (blocked) {
		count_shared(blocked, bytes);
		return DROPPED_ADDRESS;
	}

	__u8 protocol = ip->next_header;
	if (protocol == PROTOCOL_FRAGMENT) {
		struct ipv6_fragment *fragment;
		if (!take(cursor, fragment))
			return DROPPED_MALFORMED;
		if (bpf_ntohs(fragment->offset_flags) & ~7)
			return PASSED_FRAGMENT;
		protocol = fragment->next_header;
	}
	return check_port(cursor, protocol, bytes);
}

static __always_inline enum reason check(struct cursor *cursor, __u64 bytes)
{
	struct ethernet *ethernet;
	if (!take(cursor, ethernet))
		return DROPPED_MALFORMED;

	switch (skip_vlans(cursor, bpf_ntohs(ethernet->type))) {
	case ETHERTYPE_IPV4:
		return check_ipv4(cursor, bytes);
	case ETHERTYPE_IPV6:
		return check_ipv6(cursor, bytes);
	case 0:
		return DROPPED_MALFORMED;
	default:
		return PASSED_NOT_IP;
	}
}

SEC("xdp")
int firewall(struct xdp_md *ctx)
{
	struct cursor cursor = packet(ctx);
	__u64 bytes = cursor.end - cursor.at;
	__u32 reason = check(&cursor, bytes);

	struct counter *counter = bpf_map_lookup_elem(&verdicts, &reason);
	if (counter) {
		counter->packets++;
		counter->bytes += bytes;
	}
	if (reason < DROPPED_MALFORMED)
		return XDP_PASS;

	__u32 first = 0;
	struct drop *drop = bpf_map_lookup_elem(&last_drop, &first);
	if (drop) {
		drop->time = bpf_ktime_get_ns();
		drop->cpu = bpf_get_smp_processor_id();
		drop->reason = reason;
	}
	return XDP_DROP;
}

char _license[] SEC("license") = "Dual MIT/GPL";
