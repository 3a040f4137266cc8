// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Memory of user space that a task's storage refers to.
#include "graph.h"

#define __uptr __attribute__((btf_type_tag("uptr")))
#define TASK_STORAGE 29
#define NO_PREALLOC 1

struct task_struct;

static struct task_struct *(*const current_task)(void) = (void *)158;
static void *(*const task_storage)(void *map, struct task_struct *task, void *value, __u64 flags) = (void *)156;

struct shared {
	__u32 written;
	__u32 read;
};

struct value {
	struct shared __uptr *shared;
	long count;
};

struct {
	__uint(type, TASK_STORAGE);
	__uint(map_flags, NO_PREALLOC);
	__type(key, int);
	__type(value, struct value);
} values SEC(".maps");

#define FOUND(value)                                                        \
	struct value *value = task_storage(&values, current_task(), NULL, 0); \
                                                                            \
	if (!value)                                                         \
		return 0;

SYSCALL(ACCEPTED, use)
{
	struct shared *shared;

	FOUND(value)
	shared = value->shared;
	if (!shared)
		return 0;
	shared->written = shared->read;
	return 0;
}

SYSCALL(REFUSED("null-pointer", "invalid mem access 'mem_or_null'"), use_without_looking)
{
	FOUND(value)
	return value->shared->read & 1;
}

SYSCALL(REFUSED("memory-bounds", "invalid access to memory, mem_size=8 off=8 size=4"), read_beyond)
{
	struct shared *shared;

	FOUND(value)
	shared = value->shared;
	return shared ? *(volatile __u32 *)(shared + 1) & 1 : 0;
}

SYSCALL(REFUSED("special-field", "store to uptr disallowed"), overwrite)
{
	FOUND(value)
	*(void *volatile *)&value->shared = NULL;
	return 0;
}

SYSCALL(REFUSED("special-field", "has no valid kptr"), exchange)
{
	FOUND(value)
	return kptr_xchg(&value->shared, NULL) != NULL;
}

static __attribute__((used)) long types(struct shared *shared)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
