// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// What both halves of the linked program agree on.
#ifndef SHARED_H
#define SHARED_H

#include "bpf.h"

#define __weak __attribute__((weak))
// `SEC` without what only definitions take.
#define FROM(name) __attribute__((section(name)))
#define __hidden __attribute__((visibility("hidden")))

struct detail;

// One half knows what a detail is, the other only that there is one.
struct state {
	__u32 hits;
	struct detail *detail;
	struct state *next;
};

#endif
