//! What the loader of a program must hold for helpers, whatever the program's kind.
//!
//! Linux hides some helpers that kinds have in common from loaders without `CAP_BPF`, and those that read the
//! kernel from loaders without `CAP_PERFMON`. `tests/tests/privileges.rs` asks the running kernel.

use super::HelperId;

/// A capability of the loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// None.
    None,
    /// `CAP_BPF`
    Bpf,
    /// `CAP_PERFMON`
    Perfmon,
}

impl HelperId {
    /// The capability that the loader of a program needs which calls this helper, beside those that the program's
    /// kind needs.
    #[must_use]
    pub const fn capability(self) -> Capability {
        match self {
            Self::SpinLock
            | Self::SpinUnlock
            | Self::Jiffies64
            | Self::PerCpuPtr
            | Self::ThisCpuPtr
            | Self::TimerInit
            | Self::TimerSetCallback
            | Self::TimerStart
            | Self::TimerCancel
            | Self::KptrXchg
            | Self::ForEachMapElem
            | Self::Loop
            | Self::UserRingbufDrain
            | Self::RingbufReserveDynptr
            | Self::RingbufSubmitDynptr
            | Self::RingbufDiscardDynptr
            | Self::DynptrFromMem
            | Self::DynptrRead
            | Self::DynptrWrite
            | Self::DynptrData
            | Self::CgrpStorageGet
            | Self::CgrpStorageDelete
            | Self::GetCurrentCgroupId
            | Self::GetCurrentAncestorCgroupId => Capability::Bpf,
            Self::TracePrintk
            | Self::TraceVprintk
            | Self::GetCurrentTask
            | Self::GetCurrentTaskBtf
            | Self::ProbeReadUser
            | Self::ProbeReadKernel
            | Self::ProbeReadUserStr
            | Self::ProbeReadKernelStr
            | Self::SnprintfBtf
            | Self::Snprintf
            | Self::TaskPtRegs
            | Self::SkcToTcp6Sock
            | Self::SkcToTcpSock
            | Self::SkcToTcpTimewaitSock
            | Self::SkcToTcpRequestSock
            | Self::SkcToUdp6Sock
            | Self::SkcToUnixSock
            | Self::SkcToMptcpSock => Capability::Perfmon,
            _ => Capability::None,
        }
    }
}
