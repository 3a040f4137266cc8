// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// Under another licence than the others.
#include "shared.h"

SEC("socket")
int relicensed(void *ctx)
{
	return 0;
}

char _license[] SEC("license") = "GPL";
