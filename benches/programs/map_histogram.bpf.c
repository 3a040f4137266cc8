/* Map work: counts the bytes of the first 64 in an array map, by size class in another. */
#include "bench.h"

struct {
	__uint(type, MAP_ARRAY);
	__uint(max_entries, 256);
	__type(key, u32);
	__type(value, u64);
} bytes SEC(".maps");

SEC("xdp") int map_histogram(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	int n = 0;

	for (int i = 0; i < 64; i++) {
		if (p + 1 > end)
			break;
		u32 key = *p++;
		u64 *count = map_lookup(&bytes, &key);
		if (count) {
			*count += 1;
			n++;
		}
	}
	return n;
}
