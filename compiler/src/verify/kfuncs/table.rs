//! The kernel function table: what Linux demands of callers of each.
//!
//! The kernel's BTF says what a function takes and returns; that it acquires, releases, sleeps or wants trusted
//! arguments is known by its name only. Rows were checked against Linux 6.18.44, where pointers must be trusted unless a
//! row says otherwise (`KF_TRUSTED_ARGS` became the default). A function that is not listed is one that Linux does not
//! let programs call.

use brolga_abi::ProgramKind;

/// What a call gives must be given back.
pub(super) const ACQUIRE: u16 = 1;
/// It gives back what it is handed.
pub(super) const RELEASE: u16 = 1 << 1;
/// What it returns may be null.
pub(super) const RET_NULL: u16 = 1 << 2;
/// It may sleep.
pub(super) const SLEEPABLE: u16 = 1 << 3;
/// It stops the machine.
pub(super) const DESTRUCTIVE: u16 = 1 << 4;
/// Pointers to structures need not be trusted: to be valid within the RCU section is enough.
pub(super) const RCU: u16 = 1 << 5;
/// It makes an iterator.
pub(super) const ITER_NEW: u16 = 1 << 6;
/// It asks an iterator.
pub(super) const ITER_NEXT: u16 = 1 << 7;
/// It ends an iterator.
pub(super) const ITER_DESTROY: u16 = 1 << 8;
/// It is called within an RCU section, and what it makes is valid within that.
pub(super) const RCU_PROTECTED: u16 = 1 << 9;

/// Which programs may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    All,
    Generic,
    Tracing,
    TraceIter,
    Lsm,
    KprobeSession,
    Cpumask,
    Syscall,
    Crypto,
    XdpTc,
    Skb,
    Xdp,
    Tc,
    TcAct,
    Cgroup,
    TestTc,
    StructOps,
    /// Programs that belong to a network device, which Brolga's never do.
    Device,
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
        // Linux has one set for each of these groups.
        let tracing = matches!(kind, P::Tracing | P::Tracepoint | P::PerfEvent | P::Lsm);
        let cgroup = matches!(kind, P::CgroupSkb | P::CgroupSock | P::CgroupDevice | P::CgroupSockAddr)
            || matches!(kind, P::CgroupSockopt | P::CgroupSysctl | P::SockOps);
        match self {
            Self::All => true,
            Self::Generic => {
                tracing || cgroup || matches!(kind, P::SchedCls | P::Xdp | P::StructOps | P::Syscall)
            }
            Self::Tracing | Self::TraceIter => tracing,
            Self::Lsm => kind == P::Lsm,
            Self::KprobeSession => kind == P::Kprobe,
            Self::Cpumask => tracing || matches!(kind, P::StructOps | P::Syscall),
            Self::Syscall => kind == P::Syscall,
            Self::Crypto => matches!(kind, P::SchedCls | P::SchedAct | P::Xdp),
            Self::XdpTc => matches!(kind, P::Xdp | P::SchedCls),
            Self::Skb => {
                tracing
                    || cgroup
                    || matches!(kind, P::SchedCls | P::SchedAct | P::SkSkb | P::SocketFilter)
                    || matches!(kind, P::LwtOut | P::LwtIn | P::LwtXmit | P::LwtSeg6local | P::Netfilter)
            }
            Self::Xdp => kind == P::Xdp,
            Self::Tc => kind == P::SchedCls,
            Self::TcAct => matches!(kind, P::SchedCls | P::SchedAct),
            Self::Cgroup => cgroup,
            Self::TestTc => tracing || matches!(kind, P::SchedCls | P::Syscall),
            Self::StructOps => kind == P::StructOps,
            Self::Device => false,
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
    row("bbr_cwnd_event", 0, Set::StructOps),
    row("bbr_init", 0, Set::StructOps),
    row("bbr_main", 0, Set::StructOps),
    row("bbr_min_tso_segs", 0, Set::StructOps),
    row("bbr_set_state", 0, Set::StructOps),
    row("bbr_sndbuf_expand", 0, Set::StructOps),
    row("bbr_ssthresh", 0, Set::StructOps),
    row("bbr_undo_cwnd", 0, Set::StructOps),
    row("bpf_arena_alloc_pages", SLEEPABLE, Set::All),
    row("bpf_arena_free_pages", SLEEPABLE, Set::All),
    row("bpf_arena_reserve_pages", SLEEPABLE, Set::All),
    row("bpf_cast_to_kern_ctx", 0, Set::All),
    row("bpf_cgroup_acquire", ACQUIRE | RCU | RET_NULL, Set::Generic),
    row("bpf_cgroup_ancestor", ACQUIRE | RCU | RET_NULL, Set::Generic),
    row("bpf_cgroup_from_id", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_cgroup_read_xattr", RCU, Set::All),
    row("bpf_cgroup_release", RELEASE, Set::Generic),
    row("bpf_copy_from_user_dynptr", SLEEPABLE, Set::All),
    row("bpf_copy_from_user_str", SLEEPABLE, Set::All),
    row("bpf_copy_from_user_str_dynptr", SLEEPABLE, Set::All),
    row("bpf_copy_from_user_task_dynptr", SLEEPABLE, Set::All),
    row("bpf_copy_from_user_task_str", SLEEPABLE, Set::All),
    row("bpf_copy_from_user_task_str_dynptr", SLEEPABLE, Set::All),
    row("bpf_cpumask_acquire", ACQUIRE, Set::Cpumask),
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
    row("bpf_ct_change_status", 0, Set::XdpTc),
    row("bpf_ct_change_timeout", 0, Set::XdpTc),
    row("bpf_ct_insert_entry", ACQUIRE | RET_NULL | RELEASE, Set::XdpTc),
    row("bpf_ct_release", RELEASE, Set::XdpTc),
    row("bpf_ct_set_nat_info", 0, Set::XdpTc),
    row("bpf_ct_set_status", 0, Set::XdpTc),
    row("bpf_ct_set_timeout", 0, Set::XdpTc),
    row("bpf_dynptr_adjust", 0, Set::All),
    row("bpf_dynptr_clone", 0, Set::All),
    row("bpf_dynptr_copy", 0, Set::All),
    row("bpf_dynptr_from_skb", 0, Set::Skb),
    row("bpf_dynptr_from_skb_meta", 0, Set::TcAct),
    row("bpf_dynptr_from_xdp", 0, Set::Xdp),
    row("bpf_dynptr_is_null", 0, Set::All),
    row("bpf_dynptr_is_rdonly", 0, Set::All),
    row("bpf_dynptr_memset", 0, Set::All),
    row("bpf_dynptr_size", 0, Set::All),
    row("bpf_dynptr_slice", RET_NULL, Set::All),
    row("bpf_dynptr_slice_rdwr", RET_NULL, Set::All),
    row("bpf_get_dentry_xattr", SLEEPABLE, Set::Lsm),
    row("bpf_get_file_xattr", SLEEPABLE, Set::Lsm),
    row("bpf_get_fsverity_digest", SLEEPABLE, Set::Lsm),
    row("bpf_get_kmem_cache", 0, Set::All),
    row("bpf_get_task_exe_file", ACQUIRE | RET_NULL, Set::Lsm),
    row("bpf_iter_bits_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_bits_new", ITER_NEW, Set::All),
    row("bpf_iter_bits_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_iter_css_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_css_new", ITER_NEW | RCU_PROTECTED, Set::All),
    row("bpf_iter_css_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_iter_css_task_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_css_task_new", ITER_NEW, Set::All),
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
    row("bpf_iter_task_new", ITER_NEW | RCU_PROTECTED, Set::All),
    row("bpf_iter_task_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_iter_task_vma_destroy", ITER_DESTROY, Set::All),
    row("bpf_iter_task_vma_new", ITER_NEW | RCU, Set::All),
    row("bpf_iter_task_vma_next", ITER_NEXT | RET_NULL, Set::All),
    row("bpf_key_put", RELEASE, Set::Generic),
    row("bpf_kfunc_call_memb_release", RELEASE, Set::TestTc),
    row("bpf_kfunc_call_test_release", RELEASE, Set::TestTc),
    row("bpf_list_back", RET_NULL, Set::Generic),
    row("bpf_list_front", RET_NULL, Set::Generic),
    row("bpf_list_pop_back", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_list_pop_front", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_list_push_back_impl", 0, Set::Generic),
    row("bpf_list_push_front_impl", 0, Set::Generic),
    row("bpf_local_irq_restore", 0, Set::All),
    row("bpf_local_irq_save", 0, Set::All),
    row("bpf_lookup_system_key", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_lookup_user_key", ACQUIRE | RET_NULL | SLEEPABLE, Set::Generic),
    row("bpf_map_sum_elem_count", 0, Set::All),
    row("bpf_modify_return_test_tp", 0, Set::All),
    row("bpf_obj_drop_impl", RELEASE, Set::Generic),
    row("bpf_obj_new_impl", ACQUIRE | RET_NULL, Set::Generic),
    row("bpf_path_d_path", 0, Set::Lsm),
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
    row("bpf_remove_dentry_xattr", SLEEPABLE, Set::Lsm),
    row("bpf_res_spin_lock", RET_NULL, Set::All),
    row("bpf_res_spin_lock_irqsave", RET_NULL, Set::All),
    row("bpf_res_spin_unlock", 0, Set::All),
    row("bpf_res_spin_unlock_irqrestore", 0, Set::All),
    row("bpf_send_signal_task", 0, Set::Generic),
    row("bpf_session_cookie", 0, Set::KprobeSession),
    row("bpf_session_is_return", 0, Set::KprobeSession),
    row("bpf_set_dentry_xattr", SLEEPABLE, Set::Lsm),
    row("bpf_sk_assign_tcp_reqsk", 0, Set::Tc),
    row("bpf_skb_ct_alloc", ACQUIRE | RET_NULL, Set::XdpTc),
    row("bpf_skb_ct_lookup", ACQUIRE | RET_NULL, Set::XdpTc),
    row("bpf_sock_addr_set_sun_path", 0, Set::Cgroup),
    row("bpf_sock_destroy", 0, Set::TraceIter),
    row("bpf_sock_ops_enable_tx_tstamp", 0, Set::Cgroup),
    row("bpf_strcasecmp", 0, Set::All),
    row("bpf_strchr", 0, Set::All),
    row("bpf_strchrnul", 0, Set::All),
    row("bpf_strcmp", 0, Set::All),
    row("bpf_strcspn", 0, Set::All),
    row("bpf_stream_vprintk_impl", 0, Set::All),
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
    row("bpf_task_work_schedule_resume_impl", 0, Set::All),
    row("bpf_task_work_schedule_signal_impl", 0, Set::All),
    row("bpf_throw", 0, Set::Generic),
    row("bpf_verify_pkcs7_signature", SLEEPABLE, Set::Tracing),
    row("bpf_wq_init", 0, Set::All),
    row("bpf_wq_set_callback_impl", 0, Set::All),
    row("bpf_wq_start", 0, Set::All),
    row("bpf_xdp_ct_alloc", ACQUIRE | RET_NULL, Set::XdpTc),
    row("bpf_xdp_ct_lookup", ACQUIRE | RET_NULL, Set::XdpTc),
    row("bpf_xdp_get_xfrm_state", ACQUIRE | RET_NULL, Set::Xdp),
    row("bpf_xdp_metadata_rx_hash", 0, Set::Device),
    row("bpf_xdp_metadata_rx_timestamp", 0, Set::Device),
    row("bpf_xdp_metadata_rx_vlan_tag", 0, Set::Device),
    row("bpf_xdp_pull_data", 0, Set::Xdp),
    row("bpf_xdp_xfrm_state_release", RELEASE, Set::Xdp),
    row("crash_kexec", DESTRUCTIVE, Set::Generic),
    row("css_rstat_flush", SLEEPABLE, Set::Tracing),
    row("css_rstat_updated", 0, Set::Tracing),
    row("cubictcp_acked", 0, Set::StructOps),
    row("cubictcp_cong_avoid", 0, Set::StructOps),
    row("cubictcp_cwnd_event", 0, Set::StructOps),
    row("cubictcp_init", 0, Set::StructOps),
    row("cubictcp_recalc_ssthresh", 0, Set::StructOps),
    row("cubictcp_state", 0, Set::StructOps),
    row("dctcp_cwnd_event", 0, Set::StructOps),
    row("dctcp_cwnd_undo", 0, Set::StructOps),
    row("dctcp_init", 0, Set::StructOps),
    row("dctcp_ssthresh", 0, Set::StructOps),
    row("dctcp_state", 0, Set::StructOps),
    row("dctcp_update_alpha", 0, Set::StructOps),
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
