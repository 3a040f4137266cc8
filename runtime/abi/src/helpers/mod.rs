//! The helper table: every helper that Linux has, with its number, name and contract.
//!
//! Numbers and names are those of Linux's `___BPF_FUNC_MAPPER`, which is frozen. What a helper does is said
//! in `brolga-runtime`, what its arguments mean in the verifier. Which of them the runtime has is said by
//! [`HelperId::native`] alone: code that runs programs matches on [`NativeHelper`].

mod callers;
mod capability;
mod native;
mod table;
#[cfg(test)]
mod tests;

pub use callers::{Attached, Callers, KindSet};
pub use capability::Capability;
pub use native::{NATIVE_HELPERS, NativeHelper};
pub use table::HELPERS;

use crate::arg::{Arg, Ret};
use crate::kinds::{AttachType, ProgramKind};

/// A helper. Its discriminant is Linux's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[allow(missing_docs, reason = "each is the kernel's helper of the same name; the table has the contract")]
pub enum HelperId {
    MapLookupElem = 1,
    MapUpdateElem = 2,
    MapDeleteElem = 3,
    ProbeRead = 4,
    KtimeGetNs = 5,
    TracePrintk = 6,
    GetPrandomU32 = 7,
    GetSmpProcessorId = 8,
    SkbStoreBytes = 9,
    L3CsumReplace = 10,
    L4CsumReplace = 11,
    TailCall = 12,
    CloneRedirect = 13,
    GetCurrentPidTgid = 14,
    GetCurrentUidGid = 15,
    GetCurrentComm = 16,
    GetCgroupClassid = 17,
    SkbVlanPush = 18,
    SkbVlanPop = 19,
    SkbGetTunnelKey = 20,
    SkbSetTunnelKey = 21,
    PerfEventRead = 22,
    Redirect = 23,
    GetRouteRealm = 24,
    PerfEventOutput = 25,
    SkbLoadBytes = 26,
    GetStackid = 27,
    CsumDiff = 28,
    SkbGetTunnelOpt = 29,
    SkbSetTunnelOpt = 30,
    SkbChangeProto = 31,
    SkbChangeType = 32,
    SkbUnderCgroup = 33,
    GetHashRecalc = 34,
    GetCurrentTask = 35,
    ProbeWriteUser = 36,
    CurrentTaskUnderCgroup = 37,
    SkbChangeTail = 38,
    SkbPullData = 39,
    CsumUpdate = 40,
    SetHashInvalid = 41,
    GetNumaNodeId = 42,
    SkbChangeHead = 43,
    XdpAdjustHead = 44,
    ProbeReadStr = 45,
    GetSocketCookie = 46,
    GetSocketUid = 47,
    SetHash = 48,
    Setsockopt = 49,
    SkbAdjustRoom = 50,
    RedirectMap = 51,
    SkRedirectMap = 52,
    SockMapUpdate = 53,
    XdpAdjustMeta = 54,
    PerfEventReadValue = 55,
    PerfProgReadValue = 56,
    Getsockopt = 57,
    OverrideReturn = 58,
    SockOpsCbFlagsSet = 59,
    MsgRedirectMap = 60,
    MsgApplyBytes = 61,
    MsgCorkBytes = 62,
    MsgPullData = 63,
    Bind = 64,
    XdpAdjustTail = 65,
    SkbGetXfrmState = 66,
    GetStack = 67,
    SkbLoadBytesRelative = 68,
    FibLookup = 69,
    SockHashUpdate = 70,
    MsgRedirectHash = 71,
    SkRedirectHash = 72,
    LwtPushEncap = 73,
    LwtSeg6StoreBytes = 74,
    LwtSeg6AdjustSrh = 75,
    LwtSeg6Action = 76,
    RcRepeat = 77,
    RcKeydown = 78,
    SkbCgroupId = 79,
    GetCurrentCgroupId = 80,
    GetLocalStorage = 81,
    SkSelectReuseport = 82,
    SkbAncestorCgroupId = 83,
    SkLookupTcp = 84,
    SkLookupUdp = 85,
    SkRelease = 86,
    MapPushElem = 87,
    MapPopElem = 88,
    MapPeekElem = 89,
    MsgPushData = 90,
    MsgPopData = 91,
    RcPointerRel = 92,
    SpinLock = 93,
    SpinUnlock = 94,
    SkFullsock = 95,
    TcpSock = 96,
    SkbEcnSetCe = 97,
    GetListenerSock = 98,
    SkcLookupTcp = 99,
    TcpCheckSyncookie = 100,
    SysctlGetName = 101,
    SysctlGetCurrentValue = 102,
    SysctlGetNewValue = 103,
    SysctlSetNewValue = 104,
    Strtol = 105,
    Strtoul = 106,
    SkStorageGet = 107,
    SkStorageDelete = 108,
    SendSignal = 109,
    TcpGenSyncookie = 110,
    SkbOutput = 111,
    ProbeReadUser = 112,
    ProbeReadKernel = 113,
    ProbeReadUserStr = 114,
    ProbeReadKernelStr = 115,
    TcpSendAck = 116,
    SendSignalThread = 117,
    Jiffies64 = 118,
    ReadBranchRecords = 119,
    GetNsCurrentPidTgid = 120,
    XdpOutput = 121,
    GetNetnsCookie = 122,
    GetCurrentAncestorCgroupId = 123,
    SkAssign = 124,
    KtimeGetBootNs = 125,
    SeqPrintf = 126,
    SeqWrite = 127,
    SkCgroupId = 128,
    SkAncestorCgroupId = 129,
    RingbufOutput = 130,
    RingbufReserve = 131,
    RingbufSubmit = 132,
    RingbufDiscard = 133,
    RingbufQuery = 134,
    CsumLevel = 135,
    SkcToTcp6Sock = 136,
    SkcToTcpSock = 137,
    SkcToTcpTimewaitSock = 138,
    SkcToTcpRequestSock = 139,
    SkcToUdp6Sock = 140,
    GetTaskStack = 141,
    LoadHdrOpt = 142,
    StoreHdrOpt = 143,
    ReserveHdrOpt = 144,
    InodeStorageGet = 145,
    InodeStorageDelete = 146,
    DPath = 147,
    CopyFromUser = 148,
    SnprintfBtf = 149,
    SeqPrintfBtf = 150,
    SkbCgroupClassid = 151,
    RedirectNeigh = 152,
    PerCpuPtr = 153,
    ThisCpuPtr = 154,
    RedirectPeer = 155,
    TaskStorageGet = 156,
    TaskStorageDelete = 157,
    GetCurrentTaskBtf = 158,
    BprmOptsSet = 159,
    KtimeGetCoarseNs = 160,
    ImaInodeHash = 161,
    SockFromFile = 162,
    CheckMtu = 163,
    ForEachMapElem = 164,
    Snprintf = 165,
    SysBpf = 166,
    BtfFindByNameKind = 167,
    SysClose = 168,
    TimerInit = 169,
    TimerSetCallback = 170,
    TimerStart = 171,
    TimerCancel = 172,
    GetFuncIp = 173,
    GetAttachCookie = 174,
    TaskPtRegs = 175,
    GetBranchSnapshot = 176,
    TraceVprintk = 177,
    SkcToUnixSock = 178,
    KallsymsLookupName = 179,
    FindVma = 180,
    Loop = 181,
    Strncmp = 182,
    GetFuncArg = 183,
    GetFuncRet = 184,
    GetFuncArgCnt = 185,
    GetRetval = 186,
    SetRetval = 187,
    XdpGetBuffLen = 188,
    XdpLoadBytes = 189,
    XdpStoreBytes = 190,
    CopyFromUserTask = 191,
    SkbSetTstamp = 192,
    ImaFileHash = 193,
    KptrXchg = 194,
    MapLookupPercpuElem = 195,
    SkcToMptcpSock = 196,
    DynptrFromMem = 197,
    RingbufReserveDynptr = 198,
    RingbufSubmitDynptr = 199,
    RingbufDiscardDynptr = 200,
    DynptrRead = 201,
    DynptrWrite = 202,
    DynptrData = 203,
    TcpRawGenSyncookieIpv4 = 204,
    TcpRawGenSyncookieIpv6 = 205,
    TcpRawCheckSyncookieIpv4 = 206,
    TcpRawCheckSyncookieIpv6 = 207,
    KtimeGetTaiNs = 208,
    UserRingbufDrain = 209,
    CgrpStorageGet = 210,
    CgrpStorageDelete = 211,
}

/// One row of the helper table.
#[derive(Clone, Copy, Debug)]
pub struct HelperInfo {
    /// The helper that the row describes.
    pub id: HelperId,
    /// The number that the instruction's immediate holds.
    pub number: u32,
    /// The name, with its `bpf_` prefix.
    pub name: &'static str,
    /// What each argument register must hold, from `r1` on; at most five.
    pub args: &'static [Arg],
    /// What `r0` holds afterwards.
    pub ret: Ret,
    /// Who may call it.
    pub callers: &'static [Callers],
    /// Whether only programs under a GPL-compatible licence may call it.
    pub gpl_only: bool,
    /// Whether packet pointers are invalid after the call.
    pub moves_packet: bool,
    /// Whether memory arguments may point into the packet (`pkt_access`).
    pub packet_args: bool,
    /// Whether it may sleep, so that only programs which may sleep can call it.
    pub sleeps: bool,
}

impl HelperInfo {
    const fn new(
        id: HelperId,
        number: u32,
        name: &'static str,
        args: &'static [Arg],
        ret: Ret,
        callers: &'static [Callers],
    ) -> Self {
        Self {
            id,
            number,
            name,
            args,
            ret,
            callers,
            gpl_only: false,
            moves_packet: false,
            packet_args: false,
            sleeps: false,
        }
    }

    fn is_for(&self, kind: ProgramKind, attach: Option<AttachType>) -> bool {
        self.callers.iter().any(|callers| callers.include(kind, attach))
    }
}

const _: () = {
    let mut i = 0;
    while i < HELPERS.len() {
        assert!(HELPERS[i].id as usize == i + 1, "rows must follow the order of `HelperId`");
        assert!(HELPERS[i].number as usize == i + 1, "rows must follow Linux's numbers");
        assert!(HELPERS[i].args.len() <= 5, "arguments are passed in r1 to r5");
        i += 1;
    }
};

impl HelperId {
    /// The helper with a number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        HELPERS.get(index).map(|row| row.id)
    }

    /// The helper with a name, with or without `bpf_` before it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("bpf_").unwrap_or(name);
        HELPERS.iter().find(|row| &row.name["bpf_".len()..] == name).map(|row| row.id)
    }

    /// This helper's row. Some kinds know it with other arguments: see [`HelperId::for_kind`].
    #[must_use]
    pub const fn info(self) -> &'static HelperInfo {
        &HELPERS[self as usize - 1]
    }

    /// The helper as programs of a kind and attach type know it; `None` where they may not call it.
    #[must_use]
    pub fn for_kind(self, kind: ProgramKind, attach: Option<AttachType>) -> Option<&'static HelperInfo> {
        let row = self.info();
        if !row.is_for(kind, attach) {
            return None;
        }
        let variant = table::VARIANTS.iter().find(|row| row.id == self && row.is_for(kind, attach));
        Some(variant.unwrap_or(row))
    }

    /// Whether programs of a kind may call it, with some attach type at least.
    #[must_use]
    pub fn allowed_in(self, kind: ProgramKind) -> bool {
        self.info().callers.iter().any(|callers| callers.kinds.contains(kind))
    }

    /// The runtime's helper; `None` where programs that call it can be verified at most.
    #[must_use]
    pub fn native(self) -> Option<NativeHelper> {
        NATIVE_HELPERS.iter().copied().find(|native| native.id() == self)
    }
}
