/* Map work: per-CPU counters, by protocol, port class and size class. */
#include "bench.h"

struct counter { u64 packets, bytes; };

struct {
	__uint(type, MAP_PERCPU_ARRAY);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, struct counter);
} counters SEC(".maps");

inline_always void count(u32 key, u64 bytes)
{
	struct counter *c = map_lookup(&counters, &key);
	if (c) {
		c->packets++;
		c->bytes += bytes;
	}
}

SEC("xdp") int map_percpu(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	struct ip4 *ip = (void *)(p + sizeof(struct eth));
	struct udp *udp = (void *)(ip + 1);
	u64 len = end - p;

	if ((void *)(udp + 1) > (void *)end)
		return XDP_ABORTED;
	count(0, len);
	count(ip->proto & 15, len);
	count(16 + (swap16(udp->src) >> 12), len);
	count(32 + (swap16(udp->dst) >> 12), len);
	for (u32 i = 0; i < 16; i++)
		count(48 + ((ip->src >> i) & 15), i);
	return XDP_PASS;
}
