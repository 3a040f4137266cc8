// SPDX-License-Identifier: Apache-2.0 OR MIT
//
// A function without a section of its own, and no other.
int lone(unsigned char *buffer)
{
	return buffer[0];
}
