// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Maps of maps and their initial elements, numbers that few maps have, an arena with variables, and
// pointers in global data.
#include "bpf.h"

enum {
	BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4,
	BPF_MAP_TYPE_ARRAY_OF_MAPS = 12,
	BPF_MAP_TYPE_HASH_OF_MAPS = 13,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_BLOOM_FILTER = 30,
	BPF_MAP_TYPE_ARENA = 33,
};

#define BPF_F_NUMA_NODE (1 << 2)
#define BPF_F_MMAPABLE (1 << 10)

#define take(pointer) ({ const volatile void *taken = (pointer); opaque(taken); })

#define __ulong(name, val) enum { ___enum_##name = val } name

struct inner_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u64);
};

struct inner_map first SEC(".maps");
struct inner_map second SEC(".maps");

// Elements that are maps of the object.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 8);
	__type(key, __u32);
	__array(values, struct inner_map);
} outer SEC(".maps") = {
	.values = {
		[6] = &first,
		[1] = &second,
	},
};

// Maps without name, of which none is there at first.
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, 16);
	__type(key, __u64);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_RINGBUF);
			__uint(max_entries, 5000);
		});
} anonymous SEC(".maps");

// Rounded up to a power of two of pages.
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 3 * 4096);
} events SEC(".maps");

// As many as there are CPUs.
struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
} perf SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
	__uint(max_entries, 100);
	__uint(value_size, 8);
	__uint(map_extra, 3);
	__uint(map_flags, BPF_F_NUMA_NODE);
	__uint(numa_node, 1);
} bloom SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARENA);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 100); // pages
	__ulong(map_extra, 0x1ull << 44);
} arena SEC(".maps");

__u32 __attribute__((address_space(1))) in_arena[3] = { 1, 2, 3 };

// What is in such words is a number to Linux.
static const char *volatile names[] = { "zero", "one" };

SEC("xdp")
int nested(struct xdp_md *ctx)
{
	__u32 key = 1;
	void *inner = bpf_map_lookup_elem(&outer, &key);

	take(&anonymous);
	take(&events);
	take(&perf);
	take(&bloom);
	take(&arena);
	take(names[0]);
	take(inner);
	return in_arena[2];
}

char _license[] SEC("license") = "GPL";
