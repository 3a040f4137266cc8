//! The rows of the helper table, and those of kinds whose prototype is another one.
//!
//! Numbers, names and prototypes are Linux 6.18's; which kinds may call what was asked of the running
//! kernel (`tests/tests/helper_access.rs` asks again). `sleeps` says that only programs which may
//! sleep can call it, `packet_args` that memory may lie in the packet, `moves_packet` that packet
//! pointers are invalid afterwards.

use super::callers::*;
use super::{HelperId, HelperInfo};
use crate::arg::{Arg, Ret};

macro_rules! helpers {
    ($($number:literal $id:ident $name:ident($($arg:ident $(($of:literal))?),*) -> $ret:ident $(($what:literal))?;
       $callers:ident $(, $set:ident)*;)*) => {
        /// The helper table: the helper of number `n` is row `n - 1`.
        pub const HELPERS: &[HelperInfo] = &[$(HelperInfo {
            $($set: true,)*
            ..HelperInfo::new(
                HelperId::$id,
                $number,
                concat!("bpf_", stringify!($name)),
                &[$(Arg::$arg $(($of))?),*],
                Ret::$ret $(($what))?,
                $callers,
            )
        }),*];
    };
}

macro_rules! variants {
    ($($id:ident($($arg:ident $(($of:literal))?),*) -> $ret:ident $(($what:literal))?; $callers:ident $(, $set:ident)*;)*) => {
        /// Helpers as some of their kinds know them.
        pub(super) const VARIANTS: &[HelperInfo] = &[$(HelperInfo {
            $($set: true,)*
            ..HelperInfo::new(
                HelperId::$id,
                HELPERS[HelperId::$id as usize - 1].number,
                HELPERS[HelperId::$id as usize - 1].name,
                &[$(Arg::$arg $(($of))?),*],
                Ret::$ret $(($what))?,
                $callers,
            )
        }),*];
    };
}

helpers! {
    1 MapLookupElem map_lookup_elem(Map, MapKey) -> MapValueOrNull; ALL, packet_args;
    2 MapUpdateElem map_update_elem(Map, MapKey, MapValue, Anything) -> Integer; ALL, packet_args;
    3 MapDeleteElem map_delete_elem(Map, MapKey) -> Integer; ALL, packet_args;
    4 ProbeRead probe_read(WriteMem, SizeOrZero, Anything) -> Integer; TRACE, gpl_only;
    5 KtimeGetNs ktime_get_ns() -> Integer; ALL;
    6 TracePrintk trace_printk(ReadMem, Size, Unchecked, Unchecked, Unchecked) -> Integer; ALL, gpl_only;
    7 GetPrandomU32 get_prandom_u32() -> Integer; ALL;
    8 GetSmpProcessorId get_smp_processor_id() -> Integer; BASE;
    9 SkbStoreBytes skb_store_bytes(Context, Anything, ReadMem, Size, Anything) -> Integer; SKB_WRITE, moves_packet;
    10 L3CsumReplace l3_csum_replace(Context, Anything, Anything, Anything, Anything) -> Integer;
        TC_XMIT, moves_packet;
    11 L4CsumReplace l4_csum_replace(Context, Anything, Anything, Anything, Anything) -> Integer;
        TC_XMIT, moves_packet;
    12 TailCall tail_call(Context, Map, Anything) -> Void; ALL;
    13 CloneRedirect clone_redirect(Context, Anything, Anything) -> Integer; TC_XMIT, moves_packet;
    14 GetCurrentPidTgid get_current_pid_tgid() -> Integer; BASE;
    15 GetCurrentUidGid get_current_uid_gid() -> Integer; BASE;
    16 GetCurrentComm get_current_comm(WriteMem, Size) -> Integer; BASE;
    17 GetCgroupClassid get_cgroup_classid() -> Integer; BASE;
    18 SkbVlanPush skb_vlan_push(Context, Anything, Anything) -> Integer; TC, moves_packet;
    19 SkbVlanPop skb_vlan_pop(Context) -> Integer; TC, moves_packet;
    20 SkbGetTunnelKey skb_get_tunnel_key(Context, WriteMem, Size, Anything) -> Integer; TC_XMIT;
    21 SkbSetTunnelKey skb_set_tunnel_key(Context, ReadMem, Size, Anything) -> Integer; TC_XMIT;
    22 PerfEventRead perf_event_read(Map, Anything) -> Integer; BASE, gpl_only;
    23 Redirect redirect(Anything, Anything) -> Integer; REDIRECT;
    24 GetRouteRealm get_route_realm(Context) -> Integer; TC_LWT;
    25 PerfEventOutput perf_event_output(Context, Map, Anything, ReadMem, SizeOrZero) -> Integer; OUTPUT, gpl_only;
    26 SkbLoadBytes skb_load_bytes(Context, Anything, WriteMem, Size) -> Integer; SKB_LOAD;
    27 GetStackid get_stackid(Context, Map, Anything) -> Integer; TRACE, gpl_only;
    28 CsumDiff csum_diff(ReadMemOrNull, SizeOrZero, ReadMemOrNull, SizeOrZero, Anything) -> Integer;
        CSUM_DIFF, packet_args;
    29 SkbGetTunnelOpt skb_get_tunnel_opt(Context, WriteMem, Size) -> Integer; TC_XMIT;
    30 SkbSetTunnelOpt skb_set_tunnel_opt(Context, ReadMem, Size) -> Integer; TC_XMIT;
    31 SkbChangeProto skb_change_proto(Context, Anything, Anything) -> Integer; TC, moves_packet;
    32 SkbChangeType skb_change_type(Context, Anything) -> Integer; TC;
    33 SkbUnderCgroup skb_under_cgroup(Context, Map, Anything) -> Integer; TC_LWT;
    34 GetHashRecalc get_hash_recalc(Context) -> Integer; TC_LWT;
    35 GetCurrentTask get_current_task() -> Integer; BASE, gpl_only;
    36 ProbeWriteUser probe_write_user(Anything, ReadMem, Size) -> Integer; TRACE, gpl_only;
    37 CurrentTaskUnderCgroup current_task_under_cgroup(Map, Anything) -> Integer; BASE;
    38 SkbChangeTail skb_change_tail(Context, Anything, Anything) -> Integer; SKB_WRITE, moves_packet;
    39 SkbPullData skb_pull_data(Context, Anything) -> Integer; SKB_PULL, moves_packet;
    40 CsumUpdate csum_update(Context, Anything) -> Integer; TC_XMIT;
    41 SetHashInvalid set_hash_invalid(Context) -> Integer; TC_XMIT;
    42 GetNumaNodeId get_numa_node_id() -> Integer; BASE;
    43 SkbChangeHead skb_change_head(Context, Anything, Anything) -> Integer; SKB_WRITE, moves_packet;
    44 XdpAdjustHead xdp_adjust_head(Context, Anything) -> Integer; XDP, moves_packet;
    45 ProbeReadStr probe_read_str(WriteMem, SizeOrZero, Anything) -> Integer; TRACE, gpl_only;
    46 GetSocketCookie get_socket_cookie(Context) -> Integer; SOCKET_COOKIE;
    47 GetSocketUid get_socket_uid(Context) -> Integer; SOCKET_UID;
    48 SetHash set_hash(Context, Anything) -> Integer; TC;
    49 Setsockopt setsockopt(Context, Anything, Anything, ReadMem, Size) -> Integer; SOCKOPT;
    50 SkbAdjustRoom skb_adjust_room(Context, Anything, Anything, Anything) -> Integer; ADJUST_ROOM, moves_packet;
    51 RedirectMap redirect_map(Map, Anything, Anything) -> Integer; XDP;
    52 SkRedirectMap sk_redirect_map(Context, Map, Anything, Anything) -> Integer; SK_SKB;
    53 SockMapUpdate sock_map_update(Context, Map, MapKey, Anything) -> Integer; SOCK_OPS, packet_args;
    54 XdpAdjustMeta xdp_adjust_meta(Context, Anything) -> Integer; XDP, moves_packet;
    55 PerfEventReadValue perf_event_read_value(Map, Anything, WriteMem, Size) -> Integer; BASE, gpl_only;
    56 PerfProgReadValue perf_prog_read_value(Context, WriteMem, Size) -> Integer; PERF_EVENT, gpl_only;
    57 Getsockopt getsockopt(Context, Anything, Anything, WriteMem, Size) -> Integer; SOCKOPT;
    58 OverrideReturn override_return(Context, Anything) -> Integer; KPROBE, gpl_only;
    59 SockOpsCbFlagsSet sock_ops_cb_flags_set(Context, Anything) -> Integer; SOCK_OPS;
    60 MsgRedirectMap msg_redirect_map(Context, Map, Anything, Anything) -> Integer; SK_MSG;
    61 MsgApplyBytes msg_apply_bytes(Context, Anything) -> Integer; SK_MSG;
    62 MsgCorkBytes msg_cork_bytes(Context, Anything) -> Integer; SK_MSG;
    63 MsgPullData msg_pull_data(Context, Anything, Anything, Anything) -> Integer; SK_MSG, moves_packet;
    64 Bind bind(Context, ReadMem, Size) -> Integer; BIND;
    65 XdpAdjustTail xdp_adjust_tail(Context, Anything) -> Integer; XDP, moves_packet;
    66 SkbGetXfrmState skb_get_xfrm_state(Context, Anything, WriteMem, Size, Anything) -> Integer; TC;
    67 GetStack get_stack(Context, WriteMem, SizeOrZero, Anything) -> Integer; TRACE, gpl_only;
    68 SkbLoadBytesRelative skb_load_bytes_relative(Context, Anything, WriteMem, Size, Anything) -> Integer;
        LOAD_RELATIVE;
    69 FibLookup fib_lookup(Context, UpdateMem, Size, Anything) -> Integer; TC_XDP, gpl_only;
    70 SockHashUpdate sock_hash_update(Context, Map, MapKey, Anything) -> Integer; SOCK_OPS, packet_args;
    71 MsgRedirectHash msg_redirect_hash(Context, Map, MapKey, Anything) -> Integer; SK_MSG;
    72 SkRedirectHash sk_redirect_hash(Context, Map, MapKey, Anything) -> Integer; SK_SKB;
    73 LwtPushEncap lwt_push_encap(Context, Anything, ReadMem, Size) -> Integer; LWT_ENCAP, moves_packet;
    74 LwtSeg6StoreBytes lwt_seg6_store_bytes(Context, Anything, ReadMem, Size) -> Integer; SEG6, moves_packet;
    75 LwtSeg6AdjustSrh lwt_seg6_adjust_srh(Context, Anything, Anything) -> Integer; SEG6, moves_packet;
    76 LwtSeg6Action lwt_seg6_action(Context, Anything, ReadMem, Size) -> Integer; SEG6, moves_packet;
    77 RcRepeat rc_repeat(Context) -> Integer; LIRC, gpl_only;
    78 RcKeydown rc_keydown(Context, Anything, Anything, Anything) -> Integer; LIRC, gpl_only;
    79 SkbCgroupId skb_cgroup_id(Context) -> Integer; TC_CGROUP;
    80 GetCurrentCgroupId get_current_cgroup_id() -> Integer; BASE;
    81 GetLocalStorage get_local_storage(Map, Anything) -> MapValue; LOCAL_STORAGE;
    82 SkSelectReuseport sk_select_reuseport(Context, Map, MapKey, Anything) -> Integer; REUSEPORT;
    83 SkbAncestorCgroupId skb_ancestor_cgroup_id(Context, Anything) -> Integer; TC_CGROUP;
    84 SkLookupTcp sk_lookup_tcp(Context, ReadMem, SizeOrZero, Anything, Anything) -> SocketOrNull;
        FIND_SOCKET, packet_args;
    85 SkLookupUdp sk_lookup_udp(Context, ReadMem, SizeOrZero, Anything, Anything) -> SocketOrNull;
        FIND_SOCKET, packet_args;
    86 SkRelease sk_release(ReleaseSock) -> Integer; SK_RELEASE;
    87 MapPushElem map_push_elem(Map, MapValue, Anything) -> Integer; ALL, packet_args;
    88 MapPopElem map_pop_elem(Map, WriteMapValue) -> Integer; ALL;
    89 MapPeekElem map_peek_elem(Map, WriteMapValue) -> Integer; ALL;
    90 MsgPushData msg_push_data(Context, Anything, Anything, Anything) -> Integer; SK_MSG, moves_packet;
    91 MsgPopData msg_pop_data(Context, Anything, Anything, Anything) -> Integer; SK_MSG, moves_packet;
    92 RcPointerRel rc_pointer_rel(Context, Anything, Anything) -> Integer; LIRC, gpl_only;
    93 SpinLock spin_lock(SpinLock) -> Void; BASE;
    94 SpinUnlock spin_unlock(SpinLock) -> Void; BASE;
    95 SkFullsock sk_fullsock(SockCommon) -> SocketOrNull; TC_CGROUP;
    96 TcpSock tcp_sock(SockCommon) -> TcpSockOrNull; TCP_SOCK;
    97 SkbEcnSetCe skb_ecn_set_ce(Context) -> Integer; TC_CGROUP;
    98 GetListenerSock get_listener_sock(SockCommon) -> SocketOrNull; TC_CGROUP;
    99 SkcLookupTcp skc_lookup_tcp(Context, ReadMem, SizeOrZero, Anything, Anything) -> SockCommonOrNull;
        FIND_SOCKET, packet_args;
    100 TcpCheckSyncookie tcp_check_syncookie(BtfSockCommon, ReadMem, Size, ReadMem, Size) -> Integer;
        TC_XDP, gpl_only, packet_args;
    101 SysctlGetName sysctl_get_name(Context, UpdateMem, Size, Anything) -> Integer; SYSCTL;
    102 SysctlGetCurrentValue sysctl_get_current_value(Context, WriteMem, Size) -> Integer; SYSCTL;
    103 SysctlGetNewValue sysctl_get_new_value(Context, WriteMem, Size) -> Integer; SYSCTL;
    104 SysctlSetNewValue sysctl_set_new_value(Context, ReadMem, Size) -> Integer; SYSCTL;
    105 Strtol strtol(ReadMem, Size, Anything, WriteFixedMem(8)) -> Integer; BASE;
    106 Strtoul strtoul(ReadMem, Size, Anything, WriteFixedMem(8)) -> Integer; BASE;
    107 SkStorageGet sk_storage_get(Map, BtfSockCommon, MapValueOrNull, Anything) -> MapValueOrNull; STORAGE_GET;
    108 SkStorageDelete sk_storage_delete(Map, BtfSockCommon) -> Integer; STORAGE_DELETE;
    109 SendSignal send_signal(Anything) -> Integer; BASE;
    110 TcpGenSyncookie tcp_gen_syncookie(BtfSockCommon, ReadMem, Size, ReadMem, Size) -> Integer;
        TC_XDP, gpl_only, packet_args;
    111 SkbOutput skb_output(Btf("sk_buff"), Map, Anything, ReadMem, SizeOrZero) -> Integer; TYPED, gpl_only;
    112 ProbeReadUser probe_read_user(WriteMem, SizeOrZero, Anything) -> Integer; BASE, gpl_only;
    113 ProbeReadKernel probe_read_kernel(WriteMem, SizeOrZero, Anything) -> Integer; BASE, gpl_only;
    114 ProbeReadUserStr probe_read_user_str(WriteMem, SizeOrZero, Anything) -> Integer; BASE, gpl_only;
    115 ProbeReadKernelStr probe_read_kernel_str(WriteMem, SizeOrZero, Anything) -> Integer; BASE, gpl_only;
    116 TcpSendAck tcp_send_ack(Btf("tcp_sock"), Anything) -> Integer; TCP_CA;
    117 SendSignalThread send_signal_thread(Anything) -> Integer; BASE;
    118 Jiffies64 jiffies64() -> Integer; BASE;
    119 ReadBranchRecords read_branch_records(Context, WriteMemOrNull, SizeOrZero, Anything) -> Integer;
        PERF_EVENT, gpl_only;
    120 GetNsCurrentPidTgid get_ns_current_pid_tgid(Anything, Anything, WriteMem, Size) -> Integer; BASE;
    121 XdpOutput xdp_output(Btf("xdp_buff"), Map, Anything, ReadMem, SizeOrZero) -> Integer; TYPED, gpl_only;
    122 GetNetnsCookie get_netns_cookie(ContextOrNull) -> Integer; NETNS_COOKIE;
    123 GetCurrentAncestorCgroupId get_current_ancestor_cgroup_id(Anything) -> Integer; BASE;
    124 SkAssign sk_assign(Context, BtfSockCommon, Anything) -> Integer; SK_ASSIGN;
    125 KtimeGetBootNs ktime_get_boot_ns() -> Integer; ALL;
    126 SeqPrintf seq_printf(Btf("seq_file"), ReadMem, Size, ReadMemOrNull, SizeOrZero) -> Integer; ITER, gpl_only;
    127 SeqWrite seq_write(Btf("seq_file"), ReadMem, SizeOrZero) -> Integer; ITER, gpl_only;
    128 SkCgroupId sk_cgroup_id(BtfSockCommon) -> Integer; CGROUP_SKB;
    129 SkAncestorCgroupId sk_ancestor_cgroup_id(BtfSockCommon, Anything) -> Integer; CGROUP_SKB;
    130 RingbufOutput ringbuf_output(Map, ReadMem, SizeOrZero, Anything) -> Integer; BASE;
    131 RingbufReserve ringbuf_reserve(Map, AllocSize, Anything) -> RingbufMemOrNull; BASE;
    132 RingbufSubmit ringbuf_submit(ReleaseRingbufMem, Anything) -> Void; BASE;
    133 RingbufDiscard ringbuf_discard(ReleaseRingbufMem, Anything) -> Void; BASE;
    134 RingbufQuery ringbuf_query(Map, Anything) -> Integer; BASE;
    135 CsumLevel csum_level(Context, Anything) -> Integer; TC_XMIT;
    136 SkcToTcp6Sock skc_to_tcp6_sock(BtfSockCommon) -> BtfOrNull("tcp6_sock"); SOCKET_CAST;
    137 SkcToTcpSock skc_to_tcp_sock(BtfSockCommon) -> BtfOrNull("tcp_sock"); SOCKET_CAST;
    138 SkcToTcpTimewaitSock skc_to_tcp_timewait_sock(BtfSockCommon) -> BtfOrNull("tcp_timewait_sock"); SOCKET_CAST;
    139 SkcToTcpRequestSock skc_to_tcp_request_sock(BtfSockCommon) -> BtfOrNull("tcp_request_sock"); SOCKET_CAST;
    140 SkcToUdp6Sock skc_to_udp6_sock(BtfSockCommon) -> BtfOrNull("udp6_sock"); SOCKET_CAST;
    141 GetTaskStack get_task_stack(Btf("task_struct"), WriteMem, SizeOrZero, Anything) -> Integer; BASE;
    142 LoadHdrOpt load_hdr_opt(Context, UpdateMem, Size, Anything) -> Integer; SOCK_OPS;
    143 StoreHdrOpt store_hdr_opt(Context, ReadMem, Size, Anything) -> Integer; SOCK_OPS, moves_packet;
    144 ReserveHdrOpt reserve_hdr_opt(Context, Anything, Anything) -> Integer; SOCK_OPS;
    145 InodeStorageGet inode_storage_get(Map, BtfOrNull("inode"), MapValueOrNull, Anything) -> MapValueOrNull; LSM;
    146 InodeStorageDelete inode_storage_delete(Map, BtfOrNull("inode")) -> Integer; LSM;
    147 DPath d_path(Btf("path"), UpdateMem, SizeOrZero) -> Integer; TYPED;
    148 CopyFromUser copy_from_user(WriteMem, SizeOrZero, Anything) -> Integer; BASE, sleeps;
    149 SnprintfBtf snprintf_btf(UpdateMem, Size, ReadMem, Size, Anything) -> Integer; BASE;
    150 SeqPrintfBtf seq_printf_btf(Btf("seq_file"), ReadMem, SizeOrZero, Anything) -> Integer; ITER, gpl_only;
    151 SkbCgroupClassid skb_cgroup_classid(Context) -> Integer; TC;
    152 RedirectNeigh redirect_neigh(Anything, ReadMemOrNull, SizeOrZero, Anything) -> Integer; TC;
    153 PerCpuPtr per_cpu_ptr(PercpuBtf, Anything) -> MemOrBtfOrNull; BASE;
    154 ThisCpuPtr this_cpu_ptr(PercpuBtf) -> MemOrBtf; BASE;
    155 RedirectPeer redirect_peer(Anything, Anything) -> Integer; TC;
    156 TaskStorageGet task_storage_get(Map, BtfOrNull("task_struct"), MapValueOrNull, Anything) -> MapValueOrNull;
        BASE;
    157 TaskStorageDelete task_storage_delete(Map, BtfOrNull("task_struct")) -> Integer; BASE;
    158 GetCurrentTaskBtf get_current_task_btf() -> Btf("task_struct"); BASE, gpl_only;
    159 BprmOptsSet bprm_opts_set(Btf("linux_binprm"), Anything) -> Integer; LSM;
    160 KtimeGetCoarseNs ktime_get_coarse_ns() -> Integer; COARSE_TIME;
    161 ImaInodeHash ima_inode_hash(Btf("inode"), WriteMem, Size) -> Integer; LSM, sleeps;
    162 SockFromFile sock_from_file(Btf("file")) -> BtfOrNull("socket"); TYPED;
    163 CheckMtu check_mtu(Context, Anything, UpdateFixedMem(4), Anything, Anything) -> Integer; TC_XDP, gpl_only;
    164 ForEachMapElem for_each_map_elem(Map, Func, StackOrNull, Anything) -> Integer; BASE;
    165 Snprintf snprintf(WriteMemOrNull, SizeOrZero, ConstStr, ReadMemOrNull, SizeOrZero) -> Integer; BASE, gpl_only;
    166 SysBpf sys_bpf(Anything, ReadMem, Size) -> Integer; SYSCALL, sleeps;
    167 BtfFindByNameKind btf_find_by_name_kind(ReadMem, Size, Anything, Anything) -> Integer; SYSCALL, sleeps;
    168 SysClose sys_close(Anything) -> Integer; SYSCALL, sleeps;
    169 TimerInit timer_init(Timer, Map, Anything) -> Integer; BASE, gpl_only;
    170 TimerSetCallback timer_set_callback(Timer, Func) -> Integer; BASE, gpl_only;
    171 TimerStart timer_start(Timer, Anything, Anything) -> Integer; BASE, gpl_only;
    172 TimerCancel timer_cancel(Timer) -> Integer; BASE, gpl_only;
    173 GetFuncIp get_func_ip(Context) -> Integer; FUNC_IP, gpl_only;
    174 GetAttachCookie get_attach_cookie(Context) -> Integer; COOKIE;
    175 TaskPtRegs task_pt_regs(Btf("task_struct")) -> Btf("pt_regs"); BASE, gpl_only;
    176 GetBranchSnapshot get_branch_snapshot(WriteMem, SizeOrZero) -> Integer; BASE, gpl_only;
    177 TraceVprintk trace_vprintk(ReadMem, Size, ReadMemOrNull, SizeOrZero) -> Integer; BASE, gpl_only;
    178 SkcToUnixSock skc_to_unix_sock(BtfSockCommon) -> BtfOrNull("unix_sock"); SOCKET_CAST;
    179 KallsymsLookupName kallsyms_lookup_name(ReadMem, SizeOrZero, Anything, WriteFixedMem(8)) -> Integer; SYSCALL;
    180 FindVma find_vma(Btf("task_struct"), Anything, Func, StackOrNull, Anything) -> Integer; BASE;
    181 Loop loop(Anything, Func, StackOrNull, Anything) -> Integer; BASE;
    182 Strncmp strncmp(ReadMem, Size, ConstStr) -> Integer; BASE;
    183 GetFuncArg get_func_arg(Context, Anything, WriteFixedMem(8)) -> Integer; TRAMPOLINE;
    184 GetFuncRet get_func_ret(Context, WriteFixedMem(8)) -> Integer; TRAMPOLINE;
    185 GetFuncArgCnt get_func_arg_cnt(Context) -> Integer; TRAMPOLINE;
    186 GetRetval get_retval() -> Integer; RETVAL;
    187 SetRetval set_retval(Anything) -> Integer; RETVAL;
    188 XdpGetBuffLen xdp_get_buff_len(Context) -> Integer; BUFF_LEN;
    189 XdpLoadBytes xdp_load_bytes(Context, Anything, WriteMem, Size) -> Integer; XDP;
    190 XdpStoreBytes xdp_store_bytes(Context, Anything, ReadMem, Size) -> Integer; XDP;
    191 CopyFromUserTask copy_from_user_task(WriteMem, SizeOrZero, Anything, Btf("task_struct"), Anything) -> Integer;
        BASE, gpl_only, sleeps;
    192 SkbSetTstamp skb_set_tstamp(Context, Anything, Anything) -> Integer; TC;
    193 ImaFileHash ima_file_hash(Btf("file"), WriteMem, Size) -> Integer; LSM, sleeps;
    194 KptrXchg kptr_xchg(KptrDest, ReleaseKptrOrNull) -> KptrOrNull; BASE;
    195 MapLookupPercpuElem map_lookup_percpu_elem(Map, MapKey, Anything) -> MapValueOrNull; BASE, packet_args;
    196 SkcToMptcpSock skc_to_mptcp_sock(SockCommon) -> BtfOrNull("mptcp_sock"); SOCKET_CAST;
    197 DynptrFromMem dynptr_from_mem(WriteMem, SizeOrZero, Anything, WriteLocalDynptr) -> Integer; BASE;
    198 RingbufReserveDynptr ringbuf_reserve_dynptr(Map, Anything, Anything, WriteRingbufDynptr) -> Integer; BASE;
    199 RingbufSubmitDynptr ringbuf_submit_dynptr(ReleaseRingbufDynptr, Anything) -> Void; BASE;
    200 RingbufDiscardDynptr ringbuf_discard_dynptr(ReleaseRingbufDynptr, Anything) -> Void; BASE;
    201 DynptrRead dynptr_read(WriteMem, SizeOrZero, Dynptr, Anything, Anything) -> Integer; BASE;
    202 DynptrWrite dynptr_write(Dynptr, Anything, ReadMem, SizeOrZero, Anything) -> Integer; BASE;
    203 DynptrData dynptr_data(Dynptr, Anything, AllocSize) -> DynptrMemOrNull; BASE;
    204 TcpRawGenSyncookieIpv4 tcp_raw_gen_syncookie_ipv4(FixedMem(20), ReadMem, SizeOrZero) -> Integer;
        TC_XDP, gpl_only, packet_args;
    205 TcpRawGenSyncookieIpv6 tcp_raw_gen_syncookie_ipv6(FixedMem(40), ReadMem, SizeOrZero) -> Integer;
        TC_XDP, gpl_only, packet_args;
    206 TcpRawCheckSyncookieIpv4 tcp_raw_check_syncookie_ipv4(FixedMem(20), FixedMem(20)) -> Integer;
        TC_XDP, gpl_only, packet_args;
    207 TcpRawCheckSyncookieIpv6 tcp_raw_check_syncookie_ipv6(FixedMem(40), FixedMem(20)) -> Integer;
        TC_XDP, gpl_only, packet_args;
    208 KtimeGetTaiNs ktime_get_tai_ns() -> Integer; BASE;
    209 UserRingbufDrain user_ringbuf_drain(Map, Func, StackOrNull, Anything) -> Integer; BASE;
    210 CgrpStorageGet cgrp_storage_get(Map, BtfOrNull("cgroup"), MapValueOrNull, Anything) -> MapValueOrNull; BASE;
    211 CgrpStorageDelete cgrp_storage_delete(Map, BtfOrNull("cgroup")) -> Integer; BASE;
}

variants! {
    GetCgroupClassid(Context) -> Integer; TC_LWT;
    GetFuncIp(Context) -> Integer; MULTI;
    GetSocketCookie(BtfSockCommonOrNull) -> Integer; SOCKET_POINTER;
    GetStackid(Context, Map, Anything) -> Integer; PERF_EVENT;
    Getsockopt(BtfSockCommon, Anything, Anything, WriteMem, Size) -> Integer; SOCKOPT_OF_SOCKET;
    Setsockopt(BtfSockCommon, Anything, Anything, ReadMem, Size) -> Integer; SOCKOPT_OF_SOCKET;
    SkAssign(Context, SocketOrNull, Anything) -> Integer; SK_LOOKUP;
    SkStorageGet(Map, Context, MapValueOrNull, Anything) -> MapValueOrNull; CGROUP_SOCK;
    SkStorageGet(Map, BtfOrNull("sock_common"), MapValueOrNull, Anything) -> MapValueOrNull; TRACING;
    SkStorageDelete(Map, BtfOrNull("sock_common")) -> Integer; TRACING;
    XdpGetBuffLen(Btf("xdp_buff")) -> Integer; TYPED;
}
