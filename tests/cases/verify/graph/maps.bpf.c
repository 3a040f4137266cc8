// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Which maps have special fields, and where.
#include "graph.h"

struct item {
	long key;
	struct bpf_list_node node;
};

struct inner {
	struct bpf_spin_lock lock;
	struct bpf_list_head items[2] __contains(item, node);
};

struct nested {
	long key;
	struct inner inner;
};

struct counted {
	struct bpf_spin_lock lock;
	long count;
};


#define MAP(name, kind, value_type)      \
	struct {                         \
		__uint(type, kind);      \
		__uint(max_entries, 4);  \
		__type(key, __u32);      \
		__type(value, value_type); \
	} name SEC(".maps")

MAP(nested, BPF_MAP_TYPE_ARRAY, struct nested);
MAP(hashed, BPF_MAP_TYPE_HASH, struct counted);
MAP(each, BPF_MAP_TYPE_PERCPU_ARRAY, struct counted);

#define FOUND(type, value, map)                                \
	__u32 zero = 0;                                        \
	struct type *value = bpf_map_lookup_elem(&map, &zero); \
                                                               \
	if (!value)                                            \
		return 0;

CLASSIFIER(ACCEPTED, in_nested_arrays)
{
	struct bpf_list_node *node;

	FOUND(nested, value, nested)
	spin_lock(&value->inner.lock);
	node = bpf_list_front(&value->inner.items[1]);
	spin_unlock(&value->inner.lock);
	return node != NULL;
}

CLASSIFIER(REFUSED("special-field", "doesn't have constant offset"), in_one_of_them)
{
	struct bpf_list_node *node;
	__u64 index = ctx->len & 1;

	FOUND(nested, value, nested)
	opaque(index);
	spin_lock(&value->inner.lock);
	node = bpf_list_front(&value->inner.items[index]);
	spin_unlock(&value->inner.lock);
	return node != NULL;
}

CLASSIFIER(ACCEPTED, beside_the_lock)
{
	FOUND(counted, value, hashed)
	spin_lock(&value->lock);
	value->count++;
	spin_unlock(&value->lock);
	return 0;
}

CLASSIFIER(REFUSED("special-field", "bpf_spin_lock cannot be accessed directly by load/store"), copy_over_the_lock)
{
	FOUND(counted, value, hashed)
	*(volatile long *)value = 0;
	return 0;
}

// Linux makes such a map without its types: they have a field that values for each CPU cannot have.
CLASSIFIER(REFUSED("special-field", "map 'each' has to have BTF in order to use bpf_spin_lock"), a_lock_for_each_cpu)
{
	FOUND(counted, value, each)
	spin_lock(&value->lock);
	spin_unlock(&value->lock);
	return 0;
}

// Clang writes the members of structures only that something refers to.
static __attribute__((used)) long types(struct item *item)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
