//! Arguments of tracepoints that may be null, or an error number, though their types do not say so.
//!
//! The kernel's types cannot tell, so Linux keeps a list; this one holds what Linux 6.18.44 does with the tracepoints that
//! it has, found by asking it, and what is known of those of modules. A tracepoint that is missing here is taken at its word
//! if the kernel itself has it; Linux takes every argument of an unknown module's for nullable.

/// What an argument may be besides a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exception {
    /// Null.
    Null,
    /// An error number: then it is no pointer to Linux at all.
    Error,
}

/// What an argument of a tracepoint may be, if not always a pointer.
pub(super) fn exception(tracepoint: &str, argument: usize) -> Option<Exception> {
    let row = EXCEPTIONS.binary_search_by(|row| row.0.cmp(tracepoint)).ok()?;
    let (_, null, error) = EXCEPTIONS[row];
    match argument {
        _ if error.contains(&argument) => Some(Exception::Error),
        _ if null.contains(&argument) => Some(Exception::Null),
        _ => None,
    }
}

/// Names, arguments that may be null, and arguments that may be errors; sorted by name.
const EXCEPTIONS: &[(&str, &[usize], &[usize])] = &[
    ("afs_flock_ev", &[1], &[]),
    ("afs_make_fs_call", &[1], &[]),
    ("afs_make_fs_call1", &[1], &[]),
    ("afs_make_fs_call2", &[1], &[]),
    ("afs_make_fs_calli", &[1], &[]),
    ("afs_protocol_error", &[0], &[]),
    ("break_lease_block", &[1], &[]),
    ("break_lease_noblock", &[1], &[]),
    ("break_lease_unblock", &[1], &[]),
    ("cachefiles_io_error", &[0], &[]),
    ("cachefiles_lookup", &[0], &[2]),
    ("cachefiles_mark_active", &[0], &[]),
    ("cachefiles_mark_failed", &[0], &[]),
    ("cachefiles_mark_inactive", &[0], &[]),
    ("cachefiles_ondemand_close", &[0], &[]),
    ("cachefiles_ondemand_copen", &[0], &[]),
    ("cachefiles_ondemand_cread", &[0], &[]),
    ("cachefiles_ondemand_fd_release", &[0], &[]),
    ("cachefiles_ondemand_fd_write", &[0], &[]),
    ("cachefiles_ondemand_open", &[0], &[]),
    ("cachefiles_ondemand_read", &[0], &[]),
    ("cachefiles_prep_read", &[0], &[]),
    ("cachefiles_rename", &[0], &[]),
    ("cachefiles_unlink", &[0], &[]),
    ("cachefiles_vfs_error", &[0], &[]),
    ("device_pm_callback_start", &[1], &[]),
    ("ext4_mballoc_discard", &[1], &[]),
    ("ext4_mballoc_free", &[1], &[]),
    ("fcntl_setlk", &[1], &[]),
    ("fib_table_lookup", &[2], &[]),
    ("flock_lock_inode", &[1], &[]),
    ("folio_wait_writeback", &[1], &[]),
    ("generic_delete_lease", &[1], &[]),
    ("host1x_cdma_push_gather", &[4], &[]),
    ("hugetlbfs_alloc_inode", &[1], &[]),
    ("kfree_skb", &[3], &[]),
    ("locks_remove_posix", &[1], &[]),
    ("mm_collapse_huge_page_isolate", &[0], &[]),
    ("mm_khugepaged_collapse_file", &[1], &[]),
    ("mm_khugepaged_scan_file", &[1], &[]),
    ("mm_khugepaged_scan_pmd", &[1], &[]),
    ("mm_page_alloc", &[0], &[]),
    ("mm_page_alloc_zone_locked", &[0], &[]),
    ("mm_page_pcpu_drain", &[0], &[]),
    ("mr_integ_alloc", &[], &[3]),
    ("netfs_failure", &[1], &[]),
    ("posix_lock_inode", &[1], &[]),
    ("qdisc_dequeue", &[3], &[]),
    ("rxrpc_recvdata", &[0], &[]),
    ("rxrpc_resend", &[1], &[]),
    ("sched_pi_setprio", &[1], &[]),
    ("sched_stick_numa", &[2], &[]),
    ("sched_swap_numa", &[2], &[]),
    ("tcp_send_reset", &[0, 1], &[]),
    ("tcp_sendmsg_locked", &[2], &[]),
    ("tegra_dma_tx_status", &[2], &[]),
    ("time_out_leases", &[1], &[]),
    ("tmigr_update_events", &[0], &[]),
    ("writeback_dirty_folio", &[1], &[]),
    ("xfs_blockgc_flush_all", &[0], &[]),
    ("xfs_blockgc_free_space", &[1], &[]),
    ("xfs_blockgc_start", &[0], &[]),
    ("xfs_blockgc_stop", &[0], &[]),
    ("xfs_blockgc_worker", &[0], &[]),
    ("xfs_btree_overlapped_query_range", &[2], &[]),
    ("xfs_btree_updkeys", &[2], &[]),
    ("xfs_defer_add_item", &[0], &[]),
    ("xfs_defer_cancel_item", &[0], &[]),
    ("xfs_defer_cancel_list", &[0], &[]),
    ("xfs_defer_create_intent", &[0], &[]),
    ("xfs_defer_finish_item", &[0], &[]),
    ("xfs_defer_isolate_paused", &[0], &[]),
    ("xfs_defer_item_pause", &[0], &[]),
    ("xfs_defer_item_unpause", &[0], &[]),
    ("xfs_defer_pending_abort", &[0], &[]),
    ("xfs_defer_pending_finish", &[0], &[]),
    ("xfs_defer_relog_intent", &[0], &[]),
    ("xfs_fs_sync_fs", &[0], &[]),
    ("xfs_inodegc_flush", &[0], &[]),
    ("xfs_inodegc_push", &[0], &[]),
    ("xfs_inodegc_queue", &[0], &[]),
    ("xfs_inodegc_start", &[0], &[]),
    ("xfs_inodegc_stop", &[0], &[]),
    ("xfs_inodegc_throttle", &[0], &[]),
    ("xfs_ioc_free_eofblocks", &[1], &[]),
    ("xfs_map_blocks_alloc", &[4], &[]),
    ("xfs_map_blocks_found", &[4], &[]),
    ("xprt_get_cong", &[1], &[]),
    ("xprt_put_cong", &[1], &[]),
    ("xprt_release_cong", &[1], &[]),
    ("xprt_reserve_cong", &[1], &[]),
    ("xs_stream_read_data", &[0], &[]),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_and_found() {
        assert!(EXCEPTIONS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(exception("kfree_skb", 3), Some(Exception::Null));
        assert_eq!(exception("kfree_skb", 0), None);
        assert_eq!(exception("sched_switch", 1), None);
    }
}
