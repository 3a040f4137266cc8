//! What the loader of a program must hold for helpers.
//!
//! Linux hides some helpers that kinds have in common from loaders without `CAP_BPF`, and those that read the
//! kernel from loaders without `CAP_PERFMON`. `tests/tests/privileges.rs` asks the running kernel.

use super::HelperId;
use crate::kinds::ProgramKind;

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
    /// The capability that the loader of a program of a kind needs which calls this helper, beside those that the program's
    /// kind needs.
    #[must_use]
    pub const fn capability(self, kind: ProgramKind) -> Capability {
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
            | Self::GetCgroupClassid
            | Self::CurrentTaskUnderCgroup
            | Self::TaskStorageGet
            | Self::TaskStorageDelete
            | Self::GetCurrentAncestorCgroupId => Capability::Bpf,
            Self::TracePrintk
            | Self::TraceVprintk
            | Self::GetCurrentTask
            | Self::GetCurrentComm
            | Self::PerfEventRead
            | Self::PerfEventReadValue
            | Self::SendSignal
            | Self::SendSignalThread
            | Self::GetTaskStack
            | Self::CopyFromUser
            | Self::CopyFromUserTask
            | Self::GetBranchSnapshot
            | Self::FindVma
            | Self::ProbeWriteUser
            | Self::SysBpf
            | Self::GetCurrentTaskBtf
            | Self::ProbeReadUser
            | Self::ProbeReadKernel
            | Self::ProbeReadUserStr
            | Self::ProbeReadKernelStr
            | Self::SnprintfBtf
            | Self::Snprintf
            | Self::TaskPtRegs => Capability::Perfmon,
            Self::SkcToTcp6Sock
            | Self::SkcToTcpSock
            | Self::SkcToTcpTimewaitSock
            | Self::SkcToTcpRequestSock
            | Self::SkcToUdp6Sock
            | Self::SkcToUnixSock
            | Self::SkcToMptcpSock => match kind {
                // Programs of this kind have them as those for tracing do.
                ProgramKind::Syscall => Capability::None,
                _ => Capability::Perfmon,
            },
            _ => Capability::None,
        }
    }
}
