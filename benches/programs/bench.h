/* What the benchmark programs share: the few declarations of the BPF UAPI that they need. */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef signed int s32;
typedef signed long long s64;

#define SEC(name) __attribute__((section(name), used))
#define inline_always static inline __attribute__((always_inline))
#define noinline __attribute__((noinline))

/* Fields of a BTF-defined map: the compiler writes the numbers into pointer types. */
#define __uint(name, value) int (*name)[value]
#define __type(name, type) type *name

enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_PERCPU_ARRAY = 6 };
enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };

struct xdp_md {
	u32 data, data_end, data_meta, ingress_ifindex, rx_queue_index, egress_ifindex;
};

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static long (*const map_update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*const map_delete)(void *map, const void *key) = (void *)3;

struct eth { u8 dst[6], src[6]; u16 proto; } __attribute__((packed));
struct ip4 {
	u8 ver_ihl, tos; u16 len, id, frag; u8 ttl, proto; u16 check; u32 src, dst;
} __attribute__((packed));
struct ip6 { u32 flow; u16 len; u8 next, hops; u32 src[4], dst[4]; } __attribute__((packed));
struct udp { u16 src, dst, len, check; } __attribute__((packed));
struct tcp {
	u16 src, dst; u32 seq, ack; u8 doff, flags; u16 window, check, urg;
} __attribute__((packed));

#define swap16(x) __builtin_bswap16(x)
#define swap32(x) __builtin_bswap32(x)

inline_always void *packet(const struct xdp_md *ctx) { return (void *)(long)ctx->data; }
inline_always void *packet_end(const struct xdp_md *ctx) { return (void *)(long)ctx->data_end; }

char _license[] SEC("license") = "GPL";
