// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A sketch of a layer 4 load balancer: a packet for a service (address, port, protocol) is sent to
// one of its backends, chosen by the hash of its flow, and keeps going there while the flow lives.
//
// Destination address, port and MAC are rewritten and the checksums mended from the difference,
// since most of the packet is never read. Replies take another way (direct server return).
#include "include/bpf.h"
#include "include/net.h"

#define MAX_BACKENDS 64

struct service {
	__be32 address;
	__be16 port;
	__u8 protocol;
	__u8 zero;
};

// The backends of a service are a run of `backends`.
struct range {
	__u32 first;
	__u32 count;
};

struct backend {
	__be32 address;
	__be16 port;
	__u8 mac[6];
	__u32 ifindex; // 0: send out where the packet came in
};

struct flow {
	__be32 source;
	__be32 destination;
	__be16 source_port;
	__be16 destination_port;
	__u32 protocol;
};

struct assignment {
	__u32 backend;
	__u32 packets;
	__u64 last_seen;
};

enum outcome {
	NOT_FOR_US,
	NEW_FLOW,
	KNOWN_FLOW,
	NO_BACKEND,
	OUTCOMES,
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, struct service);
	__type(value, struct range);
} services SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_BACKENDS);
	__type(key, __u32);
	__type(value, struct backend);
} backends SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, struct assignment);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, OUTCOMES);
	__type(key, __u32);
	__type(value, __u64);
} outcomes SEC(".maps");

// Bytes sent, by backend.
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, MAX_BACKENDS);
	__type(key, __u32);
	__type(value, __u64);
} backend_bytes SEC(".maps");

static __always_inline void count(__u32 outcome)
{
	__u64 *counter = bpf_map_lookup_elem(&outcomes, &outcome);
	if (counter)
		*counter += 1;
}

static __always_inline void count_bytes(__u32 backend, __u64 bytes)
{
	__u64 *counter = bpf_map_lookup_elem(&backend_bytes, &backend);
	if (counter)
		*counter += bytes;
	else
		bpf_map_update_elem(&backend_bytes, &backend, &bytes, BPF_NOEXIST);
}

static __always_inline __u32 rotate(__u32 value, int bits)
{
	return value << bits | value >> (32 - bits);
}

// One round of MurmurHash3 a word, and its finish.
static __always_inline __u32 hash_flow(const struct flow *flow)
{
	const __u32 *words = (const __u32 *)flow;
	__u32 hash = 0x9747b28c;
#pragma unroll
	for (int i = 0; i < sizeof(*flow) / 4; i++) {
		hash ^= rotate(words[i] * 0xcc9e2d51, 15) * 0x1b873593;
		hash = rotate(hash, 13) * 5 + 0xe6546b64;
	}
	hash ^= hash >> 16;
	hash *= 0x85ebca6b;
	hash ^= hash >> 13;
	hash *= 0xc2b2ae35;
	return hash ^ hash >> 16;
}

// The backend of a flow; MAX_BACKENDS where there is none.
static __noinline __u32 assign(const struct flow *flow, const struct range *range)
{
	__u64 now = bpf_ktime_get_ns();
	struct assignment *known = bpf_map_lookup_elem(&flows, flow);
	if (known) {
		known->packets++;
		known->last_seen = now;
		count(KNOWN_FLOW);
		return known->backend;
	}

	__u32 size = range->count;
	if (size == 0) {
		count(NO_BACKEND);
		return MAX_BACKENDS;
	}
	struct assignment fresh = {
		.backend = range->first + hash_flow(flow) % size,
		.packets = 1,
		.last_seen = now,
	};
	bpf_map_update_elem(&flows, flow, &fresh, BPF_ANY);
	count(NEW_FLOW);
	return fresh.backend;
}

static __always_inline void rewrite(struct ethernet *ethernet, struct ipv4 *ip, __be16 *port,
				    __sum16 *checksum, const struct backend *backend)
{
	struct {
		__be32 address;
		__be32 port;
	} before = { ip->destination, *port }, after = { backend->address, backend->port };

	ip->checksum = fold_checksum(bpf_csum_diff(&before.address, 4, &after.address, 4,
						   (__sum16)~ip->checksum));
	// A UDP checksum of 0 means that there is none.
	if (ip->protocol == PROTOCOL_TCP || *checksum) {
		__sum16 sum = fold_checksum(bpf_csum_diff(&before.address, sizeof(before),
							  &after.address, sizeof(after),
							  (__sum16)~*checksum));
		*checksum = sum || ip->protocol == PROTOCOL_TCP ? sum : 0xffff;
	}
	ip->destination = backend->address;
	*port = backend->port;
	__builtin_memcpy(ethernet->source, ethernet->destination, 6);
	__builtin_memcpy(ethernet->destination, backend->mac, 6);
}

SEC("xdp")
int balancer(struct xdp_md *ctx)
{
	struct cursor cursor = packet(ctx);
	__u64 bytes = cursor.end - cursor.at;

	struct ethernet *ethernet;
	if (!take(&cursor, ethernet) || ethernet->type != bpf_htons(ETHERTYPE_IPV4))
		goto pass;
	struct ipv4 *ip;
	// A fragment cannot be balanced: those after the first have no ports.
	if (!take_ipv4(&cursor, ip) || ip->fragment & bpf_htons(IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET))
		goto pass;

	__be16 *ports; // source, destination
	__sum16 *checksum;
	if (ip->protocol == PROTOCOL_TCP) {
		struct tcp *tcp;
		if (!take(&cursor, tcp))
			goto pass;
		ports = &tcp->source;
		checksum = &tcp->checksum;
	} else if (ip->protocol == PROTOCOL_UDP) {
		struct udp *udp;
		if (!take(&cursor, udp))
			goto pass;
		ports = &udp->source;
		checksum = &udp->checksum;
	} else {
		goto pass;
	}

	struct service service = {
		.address = ip->destination,
		.port = ports[1],
		.protocol = ip->protocol,
	};
	struct range *range = bpf_map_lookup_elem(&services, &service);
	if (!range)
		goto pass;

	struct flow flow = {
		.source = ip->source,
		.destination = ip->destination,
		.source_port = ports[0],
		.destination_port = ports[1],
		.protocol = ip->protocol,
	};
	__u32 index = assign(&flow, range);
	struct backend *backend = bpf_map_lookup_elem(&backends, &index);
	if (!backend)
		return XDP_DROP;

	rewrite(ethernet, ip, &ports[1], checksum, backend);
	count_bytes(index, bytes);
	return backend->ifindex ? bpf_redirect(backend->ifindex, 0) : XDP_TX;

pass:
	count(NOT_FOR_US);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
