// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Objects in programs that may sleep: what a map keeps is there within an RCU section only.
#include "graph.h"

struct item {
	long key;
	struct bpf_rb_node tree;
	struct bpf_refcount count;
};

struct stash {
	struct item __kptr *item;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct stash);
} stashes SEC(".maps");

#define FOUND(stash)                                                 \
	__u32 zero = 0;                                              \
	struct stash *stash = bpf_map_lookup_elem(&stashes, &zero);  \
                                                                     \
	if (!stash)                                                  \
		return 0;

SYSCALL(ACCEPTED, within_the_section)
{
	struct item *item;
	long key = 0;

	FOUND(stash)
	bpf_rcu_read_lock();
	item = stash->item;
	if (item) {
		item->key++;
		key = item->key;
	}
	bpf_rcu_read_unlock();
	return key & 1;
}

SYSCALL(ACCEPTED, keep_beyond_the_section)
{
	struct item *item;

	FOUND(stash)
	bpf_rcu_read_lock();
	item = stash->item;
	if (item)
		item = bpf_refcount_acquire(item);
	bpf_rcu_read_unlock();
	if (item) {
		item->key++;
		bpf_obj_drop(item);
	}
	return 0;
}

SYSCALL(REFUSED("structure-access", "only read is supported"), write_after_the_section)
{
	struct item *item;

	FOUND(stash)
	bpf_rcu_read_lock();
	item = stash->item;
	if (!item) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	item->key = 1;
	return 0;
}

// Linux 6.18 accepts it, though the object may be gone.
SYSCALL(REFUSED("argument-type", "is neither owning or non-owning ref"), acquire_after_the_section)
{
	struct item *item;

	FOUND(stash)
	bpf_rcu_read_lock();
	item = stash->item;
	if (!item) {
		bpf_rcu_read_unlock();
		return 0;
	}
	bpf_rcu_read_unlock();
	item = bpf_refcount_acquire(item);
	if (item)
		bpf_obj_drop(item);
	return 0;
}

SYSCALL(REFUSED("structure-access", "only read is supported"), write_without_a_section)
{
	struct item *item;

	FOUND(stash)
	item = stash->item;
	if (item)
		item->key = 1;
	return 0;
}

SYSCALL(REFUSED("section", "cannot be used inside bpf_rcu_read_lock-ed region"), leave_in_the_section)
{
	bpf_rcu_read_lock();
	return 0;
}

SYSCALL(REFUSED("section", "unmatched rcu read unlock"), leave_no_section)
{
	bpf_rcu_read_unlock();
	return 0;
}

// Clang writes the members of structures only that something other than a pointer in a structure refers to.
static __attribute__((used)) long types(struct item *item)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
