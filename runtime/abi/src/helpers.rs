//! The helper table: every helper that Brolga has, with its number, name and contract.
//!
//! Numbers and names are those of Linux's `___BPF_FUNC_MAPPER`. What a helper does is said in
//! `brolga-runtime`, what its arguments mean in the verifier.

use crate::arg::{Arg, Ret};
use crate::kinds::ProgramKind;

/// A helper. The order is that of [`HELPERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
#[allow(missing_docs, reason = "each is the kernel's helper of the same name; the table has the contract")]
pub enum HelperId {
    MapLookupElem,
    MapUpdateElem,
    MapDeleteElem,
    KtimeGetNs,
    TracePrintk,
    GetPrandomU32,
    GetSmpProcessorId,
    TailCall,
    Redirect,
    CsumDiff,
    XdpAdjustHead,
    XdpAdjustMeta,
    XdpAdjustTail,
    XdpLoadBytes,
    XdpStoreBytes,
    SkbLoadBytes,
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
    /// The symbol of the runtime's implementation.
    pub symbol: &'static str,
    /// What each argument register must hold, from `r1` on; at most five.
    pub args: &'static [Arg],
    /// What `r0` holds afterwards.
    pub ret: Ret,
    /// Kinds that may call it; empty for all.
    pub kinds: &'static [ProgramKind],
    /// Whether only programs under a GPL-compatible licence may call it.
    pub gpl_only: bool,
    /// Whether packet pointers are invalid after the call.
    pub moves_packet: bool,
    /// Whether memory arguments may point into the packet (`pkt_access`).
    pub packet_args: bool,
}

macro_rules! helper {
    ($id:ident, $number:literal, $name:literal, [$($arg:ident),*], $ret:ident $(, $set:ident = $value:expr)*) => {
        HelperInfo {
            $($set: $value,)*
            ..HelperInfo {
                id: HelperId::$id,
                number: $number,
                name: concat!("bpf_", $name),
                symbol: concat!("brolga_v1_", $name),
                args: &[$(Arg::$arg),*],
                ret: Ret::$ret,
                kinds: &[],
                gpl_only: false,
                moves_packet: false,
                packet_args: false,
            }
        }
    };
}

const XDP: &[ProgramKind] = &[ProgramKind::Xdp];
const SKB: &[ProgramKind] = &[ProgramKind::SocketFilter];

/// The helper table, in the order of [`HelperId`].
pub const HELPERS: &[HelperInfo] = &[
    helper!(MapLookupElem, 1, "map_lookup_elem", [Map, MapKey], MapValueOrNull, packet_args = true),
    helper!(
        MapUpdateElem,
        2,
        "map_update_elem",
        [Map, MapKey, MapValue, Anything],
        Integer,
        packet_args = true
    ),
    helper!(MapDeleteElem, 3, "map_delete_elem", [Map, MapKey], Integer, packet_args = true),
    helper!(KtimeGetNs, 5, "ktime_get_ns", [], Integer),
    helper!(
        TracePrintk,
        6,
        "trace_printk",
        [ReadMem, Size, Unchecked, Unchecked, Unchecked],
        Integer,
        gpl_only = true
    ),
    helper!(GetPrandomU32, 7, "get_prandom_u32", [], Integer),
    helper!(GetSmpProcessorId, 8, "get_smp_processor_id", [], Integer),
    helper!(TailCall, 12, "tail_call", [Context, Map, Anything], Void),
    helper!(Redirect, 23, "redirect", [Anything, Anything], Integer, kinds = XDP),
    helper!(
        CsumDiff,
        28,
        "csum_diff",
        [ReadMemOrNull, SizeOrZero, ReadMemOrNull, SizeOrZero, Anything],
        Integer,
        kinds = XDP,
        packet_args = true
    ),
    helper!(
        XdpAdjustHead,
        44,
        "xdp_adjust_head",
        [Context, Anything],
        Integer,
        kinds = XDP,
        moves_packet = true
    ),
    helper!(
        XdpAdjustMeta,
        54,
        "xdp_adjust_meta",
        [Context, Anything],
        Integer,
        kinds = XDP,
        moves_packet = true
    ),
    helper!(
        XdpAdjustTail,
        65,
        "xdp_adjust_tail",
        [Context, Anything],
        Integer,
        kinds = XDP,
        moves_packet = true
    ),
    helper!(XdpLoadBytes, 189, "xdp_load_bytes", [Context, Anything, WriteMem, Size], Integer, kinds = XDP),
    helper!(XdpStoreBytes, 190, "xdp_store_bytes", [Context, Anything, ReadMem, Size], Integer, kinds = XDP),
    helper!(SkbLoadBytes, 26, "skb_load_bytes", [Context, Anything, WriteMem, Size], Integer, kinds = SKB),
];

const _: () = {
    let mut i = 0;
    while i < HELPERS.len() {
        assert!(HELPERS[i].id as usize == i, "rows must follow the order of `HelperId`");
        assert!(HELPERS[i].args.len() <= 5, "arguments are passed in r1 to r5");
        i += 1;
    }
};

impl HelperId {
    /// The helper with a number, if Brolga has it.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        HELPERS.iter().find(|row| row.number == number).map(|row| row.id)
    }

    /// The helper with a name, with or without `bpf_` before it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.strip_prefix("bpf_").unwrap_or(name);
        HELPERS.iter().find(|row| &row.name["bpf_".len()..] == name).map(|row| row.id)
    }

    /// This helper's row.
    #[must_use]
    pub const fn info(self) -> &'static HelperInfo {
        &HELPERS[self as usize]
    }

    /// Whether programs of a kind may call it.
    #[must_use]
    pub fn allowed_in(self, kind: ProgramKind) -> bool {
        let kinds = self.info().kinds;
        kinds.is_empty() || kinds.contains(&kind)
    }
}
