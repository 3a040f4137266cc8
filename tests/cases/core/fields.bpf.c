// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// One program for each thing that CO-RE can ask, of types that the kernels beside this file have otherwise.
#include "bpf.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

enum color { RED, GREEN, BLUE };

struct pair {
	__u32 first;
	__u32 second;
};

struct thing {
	__u32 id;
	__u32 flags : 3;
	__s32 level : 5;
	struct pair pair;
	__u64 total;
	__u16 small;
	__s32 balance;
	__u32 list[4];
	void *next;
	__u32 gone;
};

struct thing___old {
	__u32 legacy;
};

struct elsewhere {
	__u32 x;
};

#pragma clang attribute pop

typedef int (*handler_t)(struct thing *, int);

// The numbers of the builtins' last arguments.
enum { OFFSET, SIZE, EXISTS, SIGNED, LEFT, RIGHT };
enum { TYPE_EXISTS, TYPE_SIZE, TYPE_MATCHES };
enum { VALUE_EXISTS, VALUE };
enum { LOCAL, TARGET };

#define FIELD(name, type, field, what)                                                                                 \
	SEC("memory") long name(struct type *t) { return __builtin_preserve_field_info(t->field, what); }
#define TYPE(name, type, what)                                                                                         \
	SEC("memory") long name(void *t) { return __builtin_preserve_type_info(*(type *)0, what); }
#define ID(name, type, what)                                                                                           \
	SEC("memory") long name(void *t) { return __builtin_btf_type_id(*(type *)0, what); }
#define ENUMERATOR(name, value, what)                                                                                  \
	SEC("memory") long name(void *t) { return __builtin_preserve_enum_value(*(enum color *)value, what); }

FIELD(offset_total, thing, total, OFFSET)
FIELD(offset_second, thing, pair.second, OFFSET)
FIELD(offset_element, thing, list[2], OFFSET)
FIELD(offset_level, thing, level, OFFSET)
FIELD(size_list, thing, list, SIZE)
FIELD(size_level, thing, level, SIZE)
FIELD(exists_total, thing, total, EXISTS)
FIELD(exists_gone, thing, gone, EXISTS)
FIELD(exists_legacy, thing___old, legacy, EXISTS)
FIELD(exists_balance, thing, balance, EXISTS)
FIELD(signed_level, thing, level, SIGNED)
FIELD(signed_total, thing, total, SIGNED)
FIELD(left_level, thing, level, LEFT)
FIELD(right_level, thing, level, RIGHT)
ID(local_pair, struct pair, LOCAL)
ID(target_pair, struct pair, TARGET)
ID(target_elsewhere, struct elsewhere, TARGET)
TYPE(exists_pair, struct pair, TYPE_EXISTS)
TYPE(exists_elsewhere, struct elsewhere, TYPE_EXISTS)
TYPE(exists_handler, handler_t, TYPE_EXISTS)
TYPE(size_thing, struct thing, TYPE_SIZE)
TYPE(size_elsewhere, struct elsewhere, TYPE_SIZE)
TYPE(matches_pair, struct pair, TYPE_MATCHES)
TYPE(matches_thing, struct thing, TYPE_MATCHES)
ENUMERATOR(exists_blue, BLUE, VALUE_EXISTS)
ENUMERATOR(value_green, GREEN, VALUE)
ENUMERATOR(value_blue, BLUE, VALUE)

SEC("memory")
long read_total(struct thing *t)
{
	return t->total;
}

// A wider unsigned integer, or pointer, is read as it is.
SEC("memory")
long read_small(struct thing *t)
{
	return t->small;
}

// A signed one is not: nothing would extend its sign.
SEC("memory")
long read_balance(struct thing *t)
{
	return t->balance;
}

SEC("memory")
long write_id(struct thing *t)
{
	t->id = 7;
	return 0;
}

SEC("memory")
long guarded(struct thing *t)
{
	if (__builtin_preserve_field_info(t->gone, EXISTS))
		return t->gone;
	return 7;
}

SEC("memory")
long unguarded(struct thing *t)
{
	return t->gone;
}
