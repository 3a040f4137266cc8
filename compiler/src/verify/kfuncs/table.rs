//! The kernel function table: what Linux demands of callers of each.
//!
//! The kernel's BTF says what a function takes and returns; that it acquires, releases, sleeps or wants trusted
//! arguments is known by its name only. A function that is not listed is one that Linux does not let programs call.

use brolga_abi::ProgramKind;

/// What a call gives must be given back.
pub(super) const ACQUIRE: u16 = 1;
/// It gives back what it is handed.
pub(super) const RELEASE: u16 = 1 << 1;
/// What it returns may be null.
pub(super) const RET_NULL: u16 = 1 << 2;
/// Pointers to structures must be trusted.
pub(super) const TRUSTED_ARGS: u16 = 1 << 3;
/// It may sleep.
pub(super) const SLEEPABLE: u16 = 1 << 4;
/// It stops the machine.
pub(super) const DESTRUCTIVE: u16 = 1 << 5;
/// Pointers to structures must be trusted, or valid within the RCU section.
pub(super) const RCU: u16 = 1 << 6;
/// It makes an iterator.
pub(super) const ITER_NEW: u16 = 1 << 7;
/// It asks an iterator.
pub(super) const ITER_NEXT: u16 = 1 << 8;
/// It ends an iterator.
pub(super) const ITER_DESTROY: u16 = 1 << 9;
/// It is called within an RCU section, and what it makes is valid within that.
pub(super) const RCU_PROTECTED: u16 = 1 << 10;

/// Which programs may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    All,
    Generic,
    Tracing,
    TraceIter,
    Lsm,
    Kprobe,
    Cpumask,
    Syscall,
    Crypto,
    XdpTc,
    Skb,
    Xdp,
    Tc,
    SockAddr,
    SockOps,
    StructOps,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    /// The function's name.
    pub name: &'static str,
    /// What is demanded.
    pub flags: u16,
    /// Of whom it may be called.
    pub set: Set,
}

const fn row(name: &'static str, flags: u16, set: Set) -> Row {
    Row { name, flags, set }
}

impl Set {
    /// Whether programs of a kind may call functions of the set.
    pub fn allows(self, kind: ProgramKind) -> bool {
        use ProgramKind as P;
        let tracing = matches!(kind, P::Tracing | P::Tracepoint | P::PerfEvent | P::Lsm);
        match self {
            Self::All => true,
            Self::Generic => {
                tracing
                    || matches!(kind, P::SchedCls | P::Xdp | P::StructOps | P::Syscall)
                    || matches!(
                        kind,
                        P::CgroupSkb | P::CgroupSock | P::CgroupDevice | P::CgroupSockAddr | P::CgroupSockopt
                    )
                    || matches!(kind, P::CgroupSysctl | P::SockOps)
            }
            Self::Tracing | Self::TraceIter => tracing,
            Self::Lsm => kind == P::Lsm,
            Self::Kprobe => kind == P::Kprobe,
            Self::Cpumask => tracing || matches!(kind, P::StructOps | P::Syscall),
            Self::Syscall => kind == P::Syscall,
            Self::Crypto => matches!(kind, P::SchedCls | P::SchedAct | P::Xdp | P::Syscall),
            Self::XdpTc => matches!(kind, P::Xdp | P::SchedCls),
            Self::Skb => {
                tracing
                    || matches!(kind, P::SchedCls | P::SchedAct | P::SkSkb | P::SocketFilter | P::CgroupSkb)
                    || matches!(kind, P::LwtOut | P::LwtIn | P::LwtXmit | P::LwtSeg6local | P::Netfilter)
            }
            Self::Xdp => kind == P::Xdp,
            Self::Tc => kind == P::SchedCls,
            Self::SockAddr => kind == P::CgroupSockAddr,
            Self::SockOps => kind == P::SockOps,
            Self::StructOps => kind == P::StructOps,
        }
    }
}

/// The row of a function.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    KFUNCS.binary_search_by(|row| row.name.cmp(name)).ok().map(|index| &KFUNCS[index])
}

/// The table, sorted by name.
const KFUNCS: &[Row] = &[
    row("__bpf_trap", 0, Set::All),
    row("bpf_arena_alloc_pages", TRUSTED_ARGS | SLEEPABLE, Set::All),
    row("bpf_arena_free_pages", TRUSTED_ARGS | SLEEPABLE, Set::All),
    row("bpf_arena_reserve_pages", TRUSTED_ARGS, Set::All),
    row("bpf_cast_to_kern_ctx", 0, Set::All),
    row("bpf_cgroup_acquire", ACQUIRE | RCU | RET_NULL, Set::Generic),
    row("bpf_cgroup_ancestor", ACQUIRE | RCU | RET_NULL, Set::Generic),
    row("bpf_cgroup_from_id", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_cgroup_read_xattr", RCU, Set::Lsm),
    row("bpf_cgroup_release", RELEASE, Set::Generic),
    row("bpf_copy_from_user_dynptr", SLEEPABLE, Set::All),
    row("bpf_copy_from_user_str", SLEEPABLE, Set::All),
    row("bpf_copy_from_user_str_dynptr", SLEEPABLE, Set::All),
    row("bpf_copy_from_user_task_str", SLEEPABLE, Set::All),
    row("bpf_cpumask_acquire", ACQUIRE | TRUSTED_ARGS, Set::Cpumask),
    row("bpf_cpumask_and", RCU, Set::Cpumask),
    row("bpf_cpumask_any_and_distribute", RCU, Set::Cpumask),
    row("bpf_cpumask_any_distribute", RCU, Set::Cpumask),
    row("bpf_cpumask_clear", RCU, Set::Cpumask),
    row("bpf_cpumask_clear_cpu", RCU, Set::Cpumask),
    row("bpf_cpumask_copy", RCU, Set::Cpumask),
    row("bpf_cpumask_create", ACQUIRE | RET_NULL, Set::Cpumask),
    row("bpf_cpumask_empty", RCU, Set::Cpumask),
    row("bpf_cpumask_equal", RCU, Set::Cpumask),
    row("bpf_cpumask_first", RCU, Set::Cpumask),
    row("bpf_cpumask_first_and", RCU, Set::Cpumask),
    row("bpf_cpumask_first_zero", RCU, Set::Cpumask),
    row("bpf_cpumask_full", RCU, Set::Cpumask),
    row("bpf_cpumask_intersects", RCU, Set::Cpumask),
    row("bpf_cpumask_or", RCU, Set::Cpumask),
    row("bpf_cpumask_populate", RCU, Set::Cpumask),
    row("bpf_cpumask_release", RELEASE, Set::Cpumask),
    row("bpf_cpumask_set_cpu", RCU, Set::Cpumask),
    row("bpf_cpumask_setall", RCU, Set::Cpumask),
    row("bpf_cpumask_subset", RCU, Set::Cpumask),
    row("bpf_cpumask_test_and_clear_cpu", RCU, Set::Cpumask),
    row("bpf_cpumask_test_and_set_cpu", RCU, Set::Cpumask),
    row("bpf_cpumask_test_cpu", RCU, Set::Cpumask),
    row("bpf_cpumask_weight", RCU, Set::Cpumask),
    row("bpf_cpumask_xor", RCU, Set::Cpumask),
    row("bpf_crypto_ctx_acquire", ACQUIRE | RCU | RET_NULL, Set::Syscall),
    row("bpf_crypto_ctx_create", ACQUIRE | RET_NULL | SLEEPABLE, Set::Syscall),
    row("bpf_crypto_ctx_release", RELEASE, Set::Syscall),
    row("bpf_crypto_decrypt", RCU, Set::Crypto),
    row("bpf_crypto_encrypt", RCU, Set::Crypto),
    row("bpf_ct_change_status", TRUSTED_ARGS, Set::XdpTc),
    row("bpf_ct_change_timeout", TRUSTED_ARGS, Set::XdpTc),
    row("bpf_ct_insert_entry", ACQUIRE | RET_NULL | RELEASE, Set::XdpTc),
    row("bpf_ct_release", RELEASE, Set::XdpTc),
    row("bpf_ct_set_status", TRUSTED_ARGS, Set::XdpTc),
    row("bpf_ct_set_timeout", TRUSTED_ARGS, Set::XdpTc),
    row("bpf_dynptr_adjust", 0, Set::All),
    row("bpf_dynptr_clone", 0, Set::All),
    row("bpf_dynptr_copy", 0, Set::All),
    row("bpf_dynptr_from_skb", TRUSTED_ARGS, Set::Skb),
    row("bpf_dynptr_from_skb_meta", TRUSTED_ARGS, Set::Skb),
    row("bpf_dynptr_from_xdp", 0, Set::Xdp),
    row("bpf_dynptr_is_null", 0, Set::All),
    row("bpf_dynptr_is_rdonly", 0, Set::All),
    row("bpf_dynptr_memset", 0, Set::All),
    row("bpf_dynptr_size", 0, Set::All),
    row("bpf_dynptr_slice", RET_NULL, Set::All),
    row("bpf_dynptr_slice_rdwr", RET_NULL, Set::All),
    row("bpf_get_dentry_xattr", SLEEPABLE | TRUSTED_ARGS, Set::Lsm),
    row("bpf_get_file_xattr", SLEEPABLE | TRUSTED_ARGS, Set::Lsm),
    row("bpf_get_fsverity_digest", TRUSTED_ARGS | SLEEPABLE, Set::Lsm),
    row("bpf_get_kmem_cache", 0, Set::All),
    row("bpf_get_task_exe_file", ACQUIRE | TRUSTED_ARGS | RET_NULL, Set::Lsm),
    row("bpf_iter_bits_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_bits_new", ITER_NEW, Set::All),
    row("bpf_iter_bits_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_iter_css_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_css_new", ITER_NEW | TRUSTED_ARGS | RCU_PROTECTED, Set::All),
    row("bpf_iter_css_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_iter_css_task_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_css_task_new", ITER_NEW | TRUSTED_ARGS, Set::All),
    row("bpf_iter_css_task_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_iter_dmabuf_destroy", ITER_DESTROY | SLEEPABLE, Set::All),
    row("bpf_iter_dmabuf_new", ITER_NEW | SLEEPABLE, Set::All),
    row("bpf_iter_dmabuf_next", ITER_NEXT | RET_NULL | SLEEPABLE, Set::All),
    row("bpf_iter_kmem_cache_destroy", ITER_DESTROY | SLEEPABLE, Set::All),
    row("bpf_iter_kmem_cache_new", ITER_NEW | SLEEPABLE, Set::All),
    row("bpf_iter_kmem_cache_next", ITER_NEXT | RET_NULL | SLEEPABLE, Set::All),
    row("bpf_iter_num_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_num_new", ITER_NEW, Set::All),
    row("bpf_iter_num_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_iter_task_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_task_new", ITER_NEW | TRUSTED_ARGS | RCU_PROTECTED, Set::All),
    row("bpf_iter_task_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_iter_task_vma_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_task_vma_new", ITER_NEW | RCU, Set::All),
    row("bpf_iter_task_vma_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_key_put", RELEASE, Set::Tracing),
    row("bpf_list_back", RET_NULL, Set::Generic),
    row("bpf_list_front", RET_NULL, Set::Generic),
    row("bpf_list_pop_back", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_list_pop_front", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_list_push_back_impl", 0, Set::Generic),
    row("bpf_list_push_front_impl", 0, Set::Generic),
    row("bpf_local_irq_restore", 0, Set::All),
    row("bpf_local_irq_save", 0, Set::All),
    row("bpf_lookup_system_key", ACQUIRE | RET_NULL, Set::Tracing),
    row("bpf_lookup_user_key", ACQUIRE | RET_NULL | SLEEPABLE, Set::Tracing),
    row("bpf_map_sum_elem_count", TRUSTED_ARGS, Set::All),
    row("bpf_modify_return_test_tp", 0, Set::All),
    row("bpf_obj_drop_impl", RELEASE, Set::Generic),
    row("bpf_obj_new_impl", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_path_d_path", TRUSTED_ARGS, Set::Lsm),
    row("bpf_percpu_obj_drop_impl", RELEASE, Set::Generic),
    row("bpf_percpu_obj_new_impl", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_preempt_disable", 0, Set::All),
    row("bpf_preempt_enable", 0, Set::All),
    row("bpf_probe_read_kernel_dynptr", 0, Set::All),
    row("bpf_probe_read_kernel_str_dynptr", 0, Set::All),
    row("bpf_probe_read_user_dynptr", 0, Set::All),
    row("bpf_probe_read_user_str_dynptr", 0, Set::All),
    row("bpf_put_file", RELEASE, Set::Lsm),
    row("bpf_rbtree_add_impl", 0, Set::Generic),
    row("bpf_rbtree_first", RET_NULL, Set::Generic),
    row("bpf_rbtree_left", RET_NULL, Set::Generic),
    row("bpf_rbtree_remove", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_rbtree_right", RET_NULL, Set::Generic),
    row("bpf_rbtree_root", RET_NULL, Set::Generic),
    row("bpf_rcu_read_lock", 0, Set::All),
    row("bpf_rcu_read_unlock", 0, Set::All),
    row("bpf_rdonly_cast", 0, Set::All),
    row("bpf_refcount_acquire_impl", ACQUIRE | RET_NULL | RCU, Set::Generic),
    row("bpf_remove_dentry_xattr", SLEEPABLE | TRUSTED_ARGS, Set::Lsm),
    row("bpf_res_spin_lock", RET_NULL, Set::All),
    row("bpf_res_spin_lock_irqsave", RET_NULL, Set::All),
    row("bpf_res_spin_unlock", 0, Set::All),
    row("bpf_res_spin_unlock_irqrestore", 0, Set::All),
    row("bpf_send_signal_task", TRUSTED_ARGS, Set::Generic),
    row("bpf_session_cookie", 0, Set::Kprobe),
    row("bpf_session_is_return", 0, Set::Kprobe),
    row("bpf_set_dentry_xattr", SLEEPABLE | TRUSTED_ARGS, Set::Lsm),
    row("bpf_sk_assign_tcp_reqsk", TRUSTED_ARGS, Set::Tc),
    row("bpf_skb_ct_alloc", ACQUIRE | RET_NULL, Set::XdpTc),
    row("bpf_skb_ct_lookup", ACQUIRE | RET_NULL, Set::XdpTc),
    row("bpf_sock_addr_set_sun_path", 0, Set::SockAddr),
    row("bpf_sock_destroy", TRUSTED_ARGS, Set::TraceIter),
    row("bpf_sock_ops_enable_tx_tstamp", TRUSTED_ARGS, Set::SockOps),
    row("bpf_strcasecmp", 0, Set::All),
    row("bpf_strchr", 0, Set::All),
    row("bpf_strchrnul", 0, Set::All),
    row("bpf_strcmp", 0, Set::All),
    row("bpf_strcspn", 0, Set::All),
    row("bpf_strlen", 0, Set::All),
    row("bpf_strnchr", 0, Set::All),
    row("bpf_strnlen", 0, Set::All),
    row("bpf_strnstr", 0, Set::All),
    row("bpf_strrchr", 0, Set::All),
    row("bpf_strspn", 0, Set::All),
    row("bpf_strstr", 0, Set::All),
    row("bpf_task_acquire", ACQUIRE | RCU | RET_NULL, Set::Generic),
    row("bpf_task_from_pid", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_task_from_vpid", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_task_get_cgroup1", ACQUIRE | RCU | RET_NULL, Set::Generic),
    row("bpf_task_release", RELEASE, Set::Generic),
    row("bpf_task_under_cgroup", RCU, Set::Generic),
    row("bpf_throw", 0, Set::Generic),
    row("bpf_verify_pkcs7_signature", SLEEPABLE, Set::Tracing),
    row("bpf_wq_init", 0, Set::All),
    row("bpf_wq_set_callback_impl", 0, Set::All),
    row("bpf_wq_start", 0, Set::All),
    row("bpf_xdp_ct_alloc", ACQUIRE | RET_NULL, Set::XdpTc),
    row("bpf_xdp_ct_lookup", ACQUIRE | RET_NULL, Set::XdpTc),
    row("bpf_xdp_metadata_rx_hash", TRUSTED_ARGS, Set::Xdp),
    row("bpf_xdp_metadata_rx_timestamp", TRUSTED_ARGS, Set::Xdp),
    row("bpf_xdp_metadata_rx_vlan_tag", TRUSTED_ARGS, Set::Xdp),
    row("bpf_xdp_pull_data", 0, Set::Xdp),
    row("crash_kexec", DESTRUCTIVE, Set::Generic),
    row("css_rstat_flush", SLEEPABLE, Set::Tracing),
    row("css_rstat_updated", 0, Set::Tracing),
    row("tcp_cong_avoid_ai", 0, Set::StructOps),
    row("tcp_reno_cong_avoid", 0, Set::StructOps),
    row("tcp_reno_ssthresh", 0, Set::StructOps),
    row("tcp_reno_undo_cwnd", 0, Set::StructOps),
    row("tcp_slow_start", 0, Set::StructOps),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_unique() {
        assert!(KFUNCS.windows(2).all(|pair| pair[0].name < pair[1].name));
        assert_eq!(find("bpf_iter_num_new").map(|row| row.flags), Some(ITER_NEW));
    }
}
