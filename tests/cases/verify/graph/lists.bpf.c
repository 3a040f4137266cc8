// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Lists of objects that programs allocate.
#include "graph.h"

struct item {
	long key;
	struct bpf_list_node node;
};

struct other {
	long key;
	struct bpf_list_node node;
};

__private(items) struct bpf_spin_lock lock;
__private(items) struct bpf_list_head items __contains(item, node);
__private(others) struct bpf_spin_lock other_lock;
__private(others) struct bpf_list_head others __contains(other, node);

struct queue {
	struct bpf_spin_lock lock;
	long count;
	struct bpf_list_head items __contains(item, node);
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct queue);
} queues SEC(".maps");

CLASSIFIER(ACCEPTED, push_and_pop)
{
	struct item *item = bpf_obj_new(struct item);
	struct bpf_list_node *node;

	if (!item)
		return 0;
	item->key = 1;
	spin_lock(&lock);
	bpf_list_push_front(&items, &item->node);
	// It belongs to the list now, and is there for as long as the lock is held.
	item->key = 2;
	node = bpf_list_pop_back(&items);
	spin_unlock(&lock);
	if (node)
		bpf_obj_drop(container_of(node, struct item, node));
	return 0;
}

CLASSIFIER(ACCEPTED, look_at_the_front)
{
	struct bpf_list_node *node;
	long key = 0;

	spin_lock(&lock);
	node = bpf_list_front(&items);
	if (node)
		key = container_of(node, struct item, node)->key;
	spin_unlock(&lock);
	return key & 1;
}

CLASSIFIER(ACCEPTED, in_a_map)
{
	__u32 key = 0;
	struct queue *queue = bpf_map_lookup_elem(&queues, &key);
	struct item *item;

	if (!queue)
		return 0;
	item = bpf_obj_new(struct item);
	if (!item)
		return 0;
	spin_lock(&queue->lock);
	queue->count++;
	bpf_list_push_back(&queue->items, &item->node);
	spin_unlock(&queue->lock);
	return 0;
}

CLASSIFIER(ACCEPTED, empty_it)
{
	for (int i = 0; i < 8; i++) {
		struct bpf_list_node *node;

		spin_lock(&lock);
		node = bpf_list_pop_front(&items);
		spin_unlock(&lock);
		if (!node)
			break;
		bpf_obj_drop(container_of(node, struct item, node));
	}
	return 0;
}

CLASSIFIER(REFUSED("lock", "bpf_spin_lock at off=0 must be held for bpf_list_head"), without_its_lock)
{
	return bpf_list_front(&items) != NULL;
}

CLASSIFIER(REFUSED("lock", "held lock and object are not in the same allocation"), under_another_lock)
{
	struct bpf_list_node *node;

	spin_lock(&other_lock);
	node = bpf_list_front(&items);
	spin_unlock(&other_lock);
	return node != NULL;
}

CLASSIFIER(REFUSED("lock", "held lock and object are not in the same allocation"), under_the_lock_of_another_element)
{
	__u32 key = 0;
	struct queue *queue = bpf_map_lookup_elem(&queues, &key), *same;
	struct bpf_list_node *node;

	if (!queue)
		return 0;
	same = bpf_map_lookup_elem(&queues, &key);
	if (!same)
		return 0;
	spin_lock(&queue->lock);
	node = bpf_list_front(&same->items);
	spin_unlock(&queue->lock);
	return node != NULL;
}

CLASSIFIER(REFUSED("lock", "cannot be used inside bpf_spin_lock-ed region"), leave_with_the_lock)
{
	spin_lock(&lock);
	return 0;
}

CLASSIFIER(REFUSED("lock", "function calls are not allowed while holding a lock"), allocate_under_the_lock)
{
	struct item *item;

	spin_lock(&lock);
	item = bpf_obj_new(struct item);
	spin_unlock(&lock);
	if (item)
		bpf_obj_drop(item);
	return 0;
}

CLASSIFIER(REFUSED("lock", "bpf_spin_unlock of different lock"), give_back_another_lock)
{
	spin_lock(&lock);
	spin_unlock(&other_lock);
	return 0;
}

CLASSIFIER(REFUSED("invalid-mem-access", "invalid mem access 'scalar'"), use_after_unlock)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	spin_lock(&lock);
	bpf_list_push_front(&items, &item->node);
	spin_unlock(&lock);
	return item->key & 1;
}

CLASSIFIER(REFUSED("argument-type", "arg#1 expected pointer to allocated object"), push_twice)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	spin_lock(&lock);
	bpf_list_push_front(&items, &item->node);
	bpf_list_push_front(&items, &item->node);
	spin_unlock(&lock);
	return 0;
}

CLASSIFIER(REFUSED("argument-type", "arg#1 expected pointer to allocated object"), push_what_is_in_it)
{
	struct bpf_list_node *node;

	spin_lock(&lock);
	node = bpf_list_front(&items);
	if (node)
		bpf_list_push_back(&items, node);
	spin_unlock(&lock);
	return 0;
}

CLASSIFIER(REFUSED("reference", "Unreleased reference"), pop_and_forget)
{
	struct bpf_list_node *node;

	spin_lock(&lock);
	node = bpf_list_pop_front(&items);
	spin_unlock(&lock);
	return node != NULL;
}

CLASSIFIER(REFUSED("null-pointer", "Possibly NULL pointer passed to trusted arg1"), push_perhaps_null)
{
	struct item *item = bpf_obj_new(struct item);

	spin_lock(&lock);
	bpf_list_push_front(&items, (struct bpf_list_node *)item);
	spin_unlock(&lock);
	return 0;
}

CLASSIFIER(REFUSED("special-field", "expects arg#1 bpf_list_node at offset=8 in struct item"), push_another_structure)
{
	struct other *other = bpf_obj_new(struct other);

	if (!other)
		return 0;
	spin_lock(&lock);
	bpf_list_push_front(&items, &other->node);
	spin_unlock(&lock);
	return 0;
}

CLASSIFIER(REFUSED("special-field", "bpf_list_node not found at offset=0"), push_what_is_no_node)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	spin_lock(&lock);
	bpf_list_push_front(&items, (struct bpf_list_node *)item);
	spin_unlock(&lock);
	return 0;
}

CLASSIFIER(REFUSED("special-field", "bpf_list_head not found at offset=8"), pop_from_what_is_no_head)
{
	__u32 key = 0;
	struct queue *queue = bpf_map_lookup_elem(&queues, &key);
	struct bpf_list_node *node;

	if (!queue)
		return 0;
	spin_lock(&queue->lock);
	node = bpf_list_front((struct bpf_list_head *)&queue->count);
	spin_unlock(&queue->lock);
	return node != NULL;
}

CLASSIFIER(REFUSED("special-field", "bpf_list_head cannot be accessed directly by load/store"), read_a_head)
{
	__u32 key = 0;
	struct queue *queue = bpf_map_lookup_elem(&queues, &key);

	return queue ? *(volatile __u64 *)&queue->items : 0;
}

CLASSIFIER(REFUSED("special-field", "doesn't have constant offset"), lock_somewhere)
{
	__u32 key = 0;
	struct queue *queue = bpf_map_lookup_elem(&queues, &key);
	__u64 off = ctx->len & 4;

	if (!queue)
		return 0;
	opaque(off);
	spin_lock((void *)queue + off);
	spin_unlock((void *)queue + off);
	return 0;
}

char _license[] SEC("license") = "GPL";
