// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Trees under locks that may not be had.
#include "graph.h"

struct item {
	long key;
	struct bpf_rb_node node;
};

__private(items) struct bpf_res_spin_lock lock;
__private(items) struct bpf_rb_root items __contains(item, node);
__private(others) struct bpf_res_spin_lock other_lock;

static bool less(struct bpf_rb_node *a, const struct bpf_rb_node *b)
{
	return container_of(a, struct item, node)->key < container_of(b, struct item, node)->key;
}

CLASSIFIER(ACCEPTED, add)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	if (bpf_res_spin_lock(&lock)) {
		bpf_obj_drop(item);
		return 0;
	}
	bpf_rbtree_add(&items, &item->node, less);
	item->key = 1;
	bpf_res_spin_unlock(&lock);
	return 0;
}

CLASSIFIER(ACCEPTED, under_one_of_two)
{
	struct bpf_rb_node *node;

	if (bpf_res_spin_lock(&lock))
		return 0;
	if (bpf_res_spin_lock(&other_lock)) {
		bpf_res_spin_unlock(&lock);
		return 0;
	}
	node = bpf_rbtree_first(&items);
	bpf_res_spin_unlock(&other_lock);
	bpf_res_spin_unlock(&lock);
	return node != NULL;
}

CLASSIFIER(REFUSED("invalid-mem-access", "invalid mem access 'scalar'"), use_when_one_was_given_back)
{
	struct bpf_rb_node *node;
	long key = 0;

	if (bpf_res_spin_lock(&lock))
		return 0;
	if (bpf_res_spin_lock(&other_lock)) {
		bpf_res_spin_unlock(&lock);
		return 0;
	}
	node = bpf_rbtree_first(&items);
	bpf_res_spin_unlock(&other_lock);
	if (node)
		key = container_of(node, struct item, node)->key;
	bpf_res_spin_unlock(&lock);
	return key & 1;
}

CLASSIFIER(REFUSED("lock", "must be held for bpf_rb_root"), without_the_lock)
{
	return bpf_rbtree_first(&items) != NULL;
}

CLASSIFIER(REFUSED("lock", "held lock and object are not in the same allocation"), under_the_other_lock)
{
	struct bpf_rb_node *node;

	if (bpf_res_spin_lock(&other_lock))
		return 0;
	node = bpf_rbtree_first(&items);
	bpf_res_spin_unlock(&other_lock);
	return node != NULL;
}

static __attribute__((used)) long types(struct item *item)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
