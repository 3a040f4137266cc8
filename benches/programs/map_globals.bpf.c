/* Map work: a token bucket and an exponential average kept in global data, 16 steps a run. */
#include "bench.h"

const volatile u32 rate = 3;
const volatile u32 burst = 100;
u64 tokens = 100;
u64 average;
u64 dropped;
u32 ring[64];
u32 head;

SEC("xdp") int map_globals(struct xdp_md *ctx)
{
	u64 len = (u8 *)packet_end(ctx) - (u8 *)packet(ctx);
	int pass = 0;

	for (int i = 0; i < 16; i++) {
		tokens += rate;
		if (tokens > burst)
			tokens = burst;
		average += ((s64)(len << 8) - (s64)average) >> 3;
		u32 old = ring[head & 63];
		ring[head & 63] = (u32)average;
		head++;
		u64 cost = 2 + (old & 3);
		if (tokens < cost) {
			dropped++;
			continue;
		}
		tokens -= cost;
		pass++;
	}
	return pass;
}
