/* Compute work: a 32-bit mixing function called as a subprogram, twenty times a run. */
#include "bench.h"

static noinline u32 mix(u32 h, u32 k)
{
	k *= 0xcc9e2d51;
	k = k << 15 | k >> 17;
	k *= 0x1b873593;
	h ^= k;
	h = h << 13 | h >> 19;
	return h * 5 + 0xe6546b64;
}

static noinline u32 finish(u32 h, u32 len)
{
	h ^= len;
	h ^= h >> 16;
	h *= 0x85ebca6b;
	h ^= h >> 13;
	h *= 0xc2b2ae35;
	return h ^ h >> 16;
}

SEC("xdp") int compute_calls(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	u32 h = 42;

	for (int i = 0; i < 20; i++) {
		if (p + 4 > end)
			break;
		h = mix(h, *(u32 *)p);
		p += 4;
	}
	return (int)(finish(h, 80) & 0x7fffffff);
}
