// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A list without a lock that protects it.
#include "graph.h"

struct item {
	long key;
	struct bpf_list_node node;
};

struct queue {
	long count;
	struct bpf_list_head items __contains(item, node);
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct queue);
} queues SEC(".maps");

CLASSIFIER(REFUSED("special-field", "bpf_list_head not found at offset=8"), look)
{
	__u32 key = 0;
	struct queue *queue = bpf_map_lookup_elem(&queues, &key);

	return queue && bpf_list_front(&queue->items);
}

CLASSIFIER(ACCEPTED, count)
{
	__u32 key = 0;
	struct queue *queue = bpf_map_lookup_elem(&queues, &key);

	if (queue)
		queue->count++;
	return 0;
}

static __attribute__((used)) long types(struct item *item)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
