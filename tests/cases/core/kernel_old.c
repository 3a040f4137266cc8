// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The types of a kernel in which everything that `fields.bpf.c` asks for is, in other places.
enum color { RED = 1, GREEN = 2, BLUE = -3 };

struct pair {
	unsigned int first, second;
};

struct thing {
	unsigned int legacy;
	unsigned int id;
	unsigned int flags : 3;
	int level : 5;
	struct pair pair;
	unsigned short small;
	int balance;
	unsigned int list[4];
	void *next;
	unsigned int gone;
	unsigned long long total;
};

struct elsewhere {
	unsigned int before, x;
};

typedef int (*handler_t)(struct thing *, int);

struct thing thing;
struct elsewhere elsewhere;
handler_t handler;
enum color color;
