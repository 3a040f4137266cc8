/* Map work: looks up eight five-tuples derived from the packet in a hash map and counts hits. */
#include "bench.h"

struct flow { u32 src, dst; u16 sport, dport; u32 proto; };
struct stats { u64 packets, bytes; };

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 4096);
	__type(key, struct flow);
	__type(value, struct stats);
} flows SEC(".maps");

SEC("xdp") int map_flows(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	struct ip4 *ip = (void *)(p + sizeof(struct eth));
	struct udp *udp = (void *)(ip + 1);
	int hits = 0;

	if ((void *)(udp + 1) > (void *)end)
		return XDP_ABORTED;
	for (u32 i = 0; i < 8; i++) {
		struct flow key = { ip->src, ip->dst, udp->src, udp->dst, i };
		struct stats *stats = map_lookup(&flows, &key);
		if (stats) {
			stats->packets++;
			stats->bytes += end - p;
			hits++;
		} else {
			struct stats first = { 1, end - p };
			map_update(&flows, &key, &first, 0);
		}
	}
	return hits;
}
