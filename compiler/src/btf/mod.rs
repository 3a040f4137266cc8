//! BTF: the types that objects and kernels carry.

use std::sync::Arc;

/// Byte order of a target, and of the data of its objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ByteOrder {
    /// `bpfel`
    Little,
    /// `bpfeb`
    Big,
}

/// Id of a type. 0 is `void`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TypeId(pub u32);

/// All types of an object or of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Btf {
    bytes: Arc<[u8]>,
}

impl Btf {
    /// The bytes of the section.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
