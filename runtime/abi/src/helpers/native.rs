//! The helpers that the runtime has.

use super::{HelperId, HelperInfo};

macro_rules! native {
    ($($id:ident $name:literal,)*) => {
        /// A helper that the runtime has. The order is that of [`NATIVE_HELPERS`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        #[allow(missing_docs, reason = "each is the helper of the same name")]
        pub enum NativeHelper {
            $($id,)*
        }

        /// The helpers that the runtime has, in the order of [`NativeHelper`].
        pub const NATIVE_HELPERS: &[NativeHelper] = &[$(NativeHelper::$id,)*];

        impl NativeHelper {
            /// The helper.
            #[must_use]
            pub const fn id(self) -> HelperId {
                match self {
                    $(Self::$id => HelperId::$id,)*
                }
            }

            /// The symbol of the runtime's implementation.
            #[must_use]
            pub const fn symbol(self) -> &'static str {
                match self {
                    $(Self::$id => concat!("brolga_v1_", $name),)*
                }
            }

            /// The helper's row.
            #[must_use]
            pub const fn info(self) -> &'static HelperInfo {
                self.id().info()
            }
        }
    };
}

native! {
    MapLookupElem "map_lookup_elem",
    MapUpdateElem "map_update_elem",
    MapDeleteElem "map_delete_elem",
    KtimeGetNs "ktime_get_ns",
    TracePrintk "trace_printk",
    GetPrandomU32 "get_prandom_u32",
    GetSmpProcessorId "get_smp_processor_id",
    TailCall "tail_call",
    Redirect "redirect",
    CsumDiff "csum_diff",
    XdpAdjustHead "xdp_adjust_head",
    XdpAdjustMeta "xdp_adjust_meta",
    XdpAdjustTail "xdp_adjust_tail",
    XdpLoadBytes "xdp_load_bytes",
    XdpStoreBytes "xdp_store_bytes",
    SkbLoadBytes "skb_load_bytes",
}
