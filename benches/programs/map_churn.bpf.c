/* Map work: inserts, finds and deletes four keys of a hash map in every run. */
#include "bench.h"

struct {
	__uint(type, MAP_HASH);
	__uint(max_entries, 1024);
	__type(key, u32);
	__type(value, u64);
} table SEC(".maps");

SEC("xdp") int map_churn(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	int sum = 0;

	if (p + 34 > end)
		return XDP_ABORTED;
	u32 base = *(u32 *)(p + 26);
	for (u32 i = 0; i < 4; i++) {
		u32 key = base + i;
		u64 value = i * 7;
		map_update(&table, &key, &value, 0);
		u64 *found = map_lookup(&table, &key);
		if (found)
			sum += (int)*found;
	}
	for (u32 i = 0; i < 4; i++) {
		u32 key = base + i;
		sum += map_delete(&table, &key) == 0;
	}
	return sum;
}
