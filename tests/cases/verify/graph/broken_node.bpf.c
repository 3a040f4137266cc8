// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A tree of what has the node of a list.
#include "graph.h"

struct item {
	long key;
	struct bpf_list_node node;
};

__private(items) struct bpf_spin_lock lock;
__private(items) struct bpf_rb_root items __contains(item, node);

CLASSIFIER(REFUSED("special-field", "map '.data.items' has no valid bpf_spin_lock"), look)
{
	struct bpf_rb_node *node;

	spin_lock(&lock);
	node = bpf_rbtree_first(&items);
	spin_unlock(&lock);
	return node != NULL;
}

static __attribute__((used)) long types(struct item *item)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
