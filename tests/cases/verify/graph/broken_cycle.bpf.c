// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A list of objects that are in a list of their own kind: Linux refuses the types, so no map has any.
#include "graph.h"

struct item {
	struct bpf_list_node node;
	struct bpf_spin_lock lock;
	struct bpf_list_head items __contains(item, node);
};

__private(items) struct bpf_spin_lock lock;
__private(items) struct bpf_list_head items __contains(item, node);

CLASSIFIER(REFUSED("special-field", "map '.data.items' has to have BTF in order to use bpf_spin_lock"), take_the_lock)
{
	spin_lock(&lock);
	spin_unlock(&lock);
	return 0;
}

CLASSIFIER(REFUSED("kernel-function", "requires prog BTF"), allocate)
{
	struct item *item = bpf_obj_new(struct item);

	if (item)
		bpf_obj_drop(item);
	return 0;
}

char _license[] SEC("license") = "GPL";
