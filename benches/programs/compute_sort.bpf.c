/* Compute work: sorts sixteen words on the stack by a sorting network and folds them. */
#include "bench.h"

inline_always void order(u32 *a, int i, int j)
{
	if (a[i] > a[j]) {
		u32 t = a[i];
		a[i] = a[j];
		a[j] = t;
	}
}

SEC("xdp") int compute_sort(struct xdp_md *ctx)
{
	u8 *p = packet(ctx), *end = packet_end(ctx);
	u32 a[16];
	u32 sum = 0;

	if (p + 64 > end)
		return XDP_ABORTED;
#pragma unroll
	for (int i = 0; i < 16; i++)
		a[i] = *(u32 *)(p + 4 * i);
#pragma unroll
	for (int size = 1; size < 16; size++)
#pragma unroll
		for (int i = size & 1; i + 1 < 16; i += 2)
			order(a, i, i + 1);
#pragma unroll
	for (int i = 0; i < 16; i++)
		sum = sum * 33 + a[i];
	return (int)(sum & 0x7fffffff);
}
