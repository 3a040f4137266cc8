// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Takes a map of `second.bpf.c` for a larger one.
#include "shared.h"

extern struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, struct state);
} states FROM(".maps");

SEC("socket")
int remapped(void *ctx)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&states, &key) != NULL;
}

char _license[] SEC("license") = "Dual MIT/GPL";
