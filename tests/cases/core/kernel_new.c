// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The types of a kernel that has less of what `fields.bpf.c` asks for, and other types for some of it.
enum color : unsigned long long { RED, GREEN = 0x500000006 };

struct pair {
	unsigned int first, second, third;
};

struct thing {
	unsigned long long words[2];
	union {
		struct {
			unsigned int list[8];
			struct pair pair;
		};
		unsigned int id;
	};
	unsigned int small;
	long long balance;
	unsigned long long flags : 3, rest : 40, level : 7;
	unsigned int total;
	void *next;
};

typedef int (*handler_t)(struct thing *);

struct thing thing;
handler_t handler;
enum color color;
