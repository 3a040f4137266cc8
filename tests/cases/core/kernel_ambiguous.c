// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// The types of a kernel with two structures of one name, which disagree about some members.
struct thing {
	unsigned int id;
	unsigned long long total;
};

struct thing___2 {
	unsigned int id;
	unsigned int more[5];
	unsigned long long total;
};

struct thing thing;
struct thing___2 other;
