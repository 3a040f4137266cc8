// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Has a map of its own, and uses both maps of `second.bpf.c`.
#include "shared.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} own SEC(".maps");

extern struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, __u64);
} seen FROM(".maps");

extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct state);
} states FROM(".maps");

SEC("xdp")
int third(struct xdp_md *ctx)
{
	__u32 key = 0;
	__u64 *count = bpf_map_lookup_elem(&own, &key);
	__u64 *other = bpf_map_lookup_elem(&seen, &key);
	struct state *state = bpf_map_lookup_elem(&states, &key);

	if (count && other && state)
		*count += *other + state->hits;
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual MIT/GPL";
