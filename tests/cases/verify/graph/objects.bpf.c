// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Objects that programs allocate, drop, and keep in maps and in each other.
#include "graph.h"

struct item {
	long key;
	struct bpf_spin_lock lock;
	struct bpf_rb_node tree;
};

struct plain {
	long key;
	long data;
};

struct large {
	char bytes[600];
};

struct pointers {
	void *pointer;
};

struct owner {
	long key;
	struct item __kptr *item;
};

struct stash {
	long key;
	struct item __kptr *item;
	struct plain __kptr *plain;
	struct plain __kptr_untrusted *hint;
	struct plain __percpu_kptr *each;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct stash);
} stashes SEC(".maps");

#define FOUND(stash)                                                 \
	__u32 zero = 0;                                              \
	struct stash *stash = bpf_map_lookup_elem(&stashes, &zero);  \
                                                                     \
	if (!stash)                                                  \
		return 0;

CLASSIFIER(ACCEPTED, make_and_drop)
{
	struct item *item = bpf_obj_new(struct item);

	if (!item)
		return 0;
	item->key = 1;
	spin_lock(&item->lock);
	item->key++;
	spin_unlock(&item->lock);
	bpf_obj_drop(item);
	return 0;
}

CLASSIFIER(ACCEPTED, keep_in_a_map)
{
	struct plain *plain;

	FOUND(stash)
	plain = bpf_obj_new(struct plain);
	if (!plain)
		return 0;
	plain = kptr_xchg(&stash->plain, plain);
	if (plain)
		bpf_obj_drop(plain);
	return 0;
}

CLASSIFIER(ACCEPTED, look_at_what_a_map_keeps)
{
	struct plain *plain;

	FOUND(stash)
	plain = stash->plain;
	return plain ? plain->key & 1 : 0;
}

CLASSIFIER(ACCEPTED, keep_in_another_object)
{
	struct owner *owner = bpf_obj_new(struct owner);
	struct item *item;

	if (!owner)
		return 0;
	item = bpf_obj_new(struct item);
	if (item) {
		item = kptr_xchg(&owner->item, item);
		if (item)
			bpf_obj_drop(item);
	}
	bpf_obj_drop(owner);
	return 0;
}

CLASSIFIER(ACCEPTED, one_for_each_cpu)
{
	struct plain __percpu_kptr *each;
	struct plain *mine;

	FOUND(stash)
	each = stash->each;
	if (!each) {
		each = bpf_percpu_obj_new(struct plain);
		if (!each)
			return 0;
		each = kptr_xchg(&stash->each, (void *)each);
		if (each)
			bpf_percpu_obj_drop(each);
		return 0;
	}
	mine = this_cpu_ptr((void *)each);
	mine->key++;
	mine = per_cpu_ptr((void *)each, 1);
	if (mine)
		mine->data = mine->key;
	return 0;
}

CLASSIFIER(ACCEPTED, use_what_was_just_stored)
{
	struct plain __percpu_kptr *each, *old;
	struct plain *mine;

	FOUND(stash)
	each = bpf_percpu_obj_new(struct plain);
	if (!each)
		return 0;
	old = kptr_xchg(&stash->each, (void *)each);
	if (old)
		bpf_percpu_obj_drop(old);
	// It is not freed before this program has ended.
	mine = this_cpu_ptr((void *)each);
	mine->key = 1;
	return 0;
}

CLASSIFIER(REFUSED("structure-access", "direct access to bpf_rb_node is disallowed"), read_a_node)
{
	struct item *item = bpf_obj_new(struct item);
	long word;

	if (!item)
		return 0;
	word = *(volatile long *)&item->tree;
	bpf_obj_drop(item);
	return word & 1;
}

CLASSIFIER(REFUSED("structure-access", "direct access to kptr is disallowed"), read_a_field)
{
	struct owner *owner = bpf_obj_new(struct owner);
	long word;

	if (!owner)
		return 0;
	word = *(volatile long *)&owner->item;
	bpf_obj_drop(owner);
	return word & 1;
}

CLASSIFIER(REFUSED("structure-access", "access beyond struct plain at off 16 size 8"), read_beyond)
{
	struct plain *plain = bpf_obj_new(struct plain);
	long word;

	if (!plain)
		return 0;
	word = *(volatile long *)(plain + 1);
	bpf_obj_drop(plain);
	return word & 1;
}

CLASSIFIER(REFUSED("null-pointer", "invalid mem access 'ptr_or_null_'"), use_without_looking)
{
	struct plain *plain = bpf_obj_new(struct plain);

	plain->key = 1;
	if (plain)
		bpf_obj_drop(plain);
	return 0;
}

CLASSIFIER(REFUSED("modified-context", "variable ptr_ access var_off=(0x0; 0x8) disallowed"), drop_from_somewhere)
{
	struct plain *plain = bpf_obj_new(struct plain);
	__u64 off = ctx->len & 8;

	if (!plain)
		return 0;
	asm volatile("%[plain] += %[off]" : [plain] "+r"(plain) : [off] "r"(off));
	bpf_obj_drop(plain);
	return 0;
}

CLASSIFIER(REFUSED("invalid-mem-access", "invalid mem access 'scalar'"), use_after_drop)
{
	struct plain *plain = bpf_obj_new(struct plain);

	if (!plain)
		return 0;
	bpf_obj_drop(plain);
	return plain->key & 1;
}

CLASSIFIER(REFUSED("invalid-mem-access", "invalid mem access 'scalar'"), use_after_it_was_stored)
{
	struct plain *plain, *old;

	FOUND(stash)
	plain = bpf_obj_new(struct plain);
	if (!plain)
		return 0;
	old = kptr_xchg(&stash->plain, plain);
	if (old)
		bpf_obj_drop(old);
	return plain->key & 1;
}

CLASSIFIER(REFUSED("reference", "Unreleased reference"), forget_what_was_stored_before)
{
	struct plain *plain;

	FOUND(stash)
	plain = kptr_xchg(&stash->plain, NULL);
	return plain != NULL;
}

CLASSIFIER(REFUSED("special-field", "invalid kptr access, R2 type=ptr_plain expected=ptr_item"), store_another_structure)
{
	struct plain *plain;

	FOUND(stash)
	plain = bpf_obj_new(struct plain);
	if (!plain)
		return 0;
	plain = kptr_xchg(&stash->item, plain);
	if (plain)
		bpf_obj_drop(plain);
	return 0;
}

// Linux 6.18 accepts the exchange, and with a drop for per-CPU objects the program.
CLASSIFIER(REFUSED("special-field", "invalid kptr access, R2 type=ptr_plain"), store_one_where_each_cpu_has_one)
{
	struct plain *plain;

	FOUND(stash)
	plain = bpf_obj_new(struct plain);
	if (!plain)
		return 0;
	plain = kptr_xchg(&stash->each, plain);
	if (plain)
		bpf_percpu_obj_drop(plain);
	return 0;
}

CLASSIFIER(REFUSED("special-field", "off=0 doesn't point to kptr"), store_where_no_pointer_is)
{
	struct plain *plain;

	FOUND(stash)
	plain = kptr_xchg(&stash->key, NULL);
	if (plain)
		bpf_obj_drop(plain);
	return 0;
}

CLASSIFIER(REFUSED("special-field", "kptr isn't referenced kptr"), exchange_a_hint)
{
	struct plain *plain;

	FOUND(stash)
	plain = kptr_xchg(&stash->hint, NULL);
	if (plain)
		bpf_obj_drop(plain);
	return 0;
}

CLASSIFIER(REFUSED("special-field", "store to referenced kptr disallowed"), overwrite)
{
	FOUND(stash)
	*(void *volatile *)&stash->plain = NULL;
	return 0;
}

CLASSIFIER(REFUSED("lock", "function calls are not allowed while holding a lock"), exchange_under_a_lock)
{
	struct item *item = bpf_obj_new(struct item);
	struct plain *plain;

	if (!item)
		return 0;
	__u32 zero = 0;
	struct stash *stash = bpf_map_lookup_elem(&stashes, &zero);

	if (!stash) {
		bpf_obj_drop(item);
		return 0;
	}
	spin_lock(&item->lock);
	plain = kptr_xchg(&stash->plain, NULL);
	spin_unlock(&item->lock);
	bpf_obj_drop(item);
	if (plain)
		bpf_obj_drop(plain);
	return 0;
}

CLASSIFIER(REFUSED("argument-type", "arg#0 expected for bpf_percpu_obj_drop_impl()"), drop_one_of_many)
{
	struct plain __percpu_kptr *each = bpf_percpu_obj_new(struct plain);

	if (each)
		bpf_obj_drop((void *)each);
	return 0;
}

CLASSIFIER(REFUSED("null-pointer", "Possibly NULL pointer passed to trusted arg0"), drop_perhaps_null)
{
	bpf_obj_drop(bpf_obj_new(struct plain));
	return 0;
}

CLASSIFIER(REFUSED("structure-access", "access percpu memory"), use_all_at_once)
{
	struct plain *each;

	FOUND(stash)
	each = (void *)stash->each;
	return each ? each->key & 1 : 0;
}

CLASSIFIER(REFUSED("null-pointer", "invalid mem access 'rcu_ptr_or_null_'"), use_of_a_cpu_that_may_not_be)
{
	struct plain *mine;

	FOUND(stash)
	if (!stash->each)
		return 0;
	mine = (void *)stash->each;
	if (!mine)
		return 0;
	mine = per_cpu_ptr(mine, ctx->len);
	mine->key = 1;
	return 0;
}

CLASSIFIER(REFUSED("kernel-function", "type size (600) is greater than 512"), too_large_for_each_cpu)
{
	struct large __percpu_kptr *each = bpf_percpu_obj_new(struct large);

	if (each)
		bpf_percpu_obj_drop(each);
	return 0;
}

CLASSIFIER(REFUSED("kernel-function", "must be of a struct of scalars"), pointers_for_each_cpu)
{
	struct pointers __percpu_kptr *each = bpf_percpu_obj_new(struct pointers);

	if (each)
		bpf_percpu_obj_drop(each);
	return 0;
}

CLASSIFIER(REFUSED("kernel-function", "must not contain special fields"), locks_for_each_cpu)
{
	struct item __percpu_kptr *each = bpf_percpu_obj_new(struct item);

	if (each)
		bpf_percpu_obj_drop(each);
	return 0;
}

CLASSIFIER(REFUSED("kernel-function", "type ID argument must be of a struct"), a_number)
{
	long *number = bpf_obj_new_impl(type_id(long), NULL);

	if (number)
		bpf_obj_drop(number);
	return 0;
}

// Clang writes the members of structures only that something other than a pointer in a structure refers to.
static __attribute__((used)) long types(struct item *item, struct plain *plain)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
