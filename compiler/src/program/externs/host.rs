//! Host functions: native functions of the host that programs call as `extern … __ksym`.
//!
//! The host says what it has as a C prototype; the verifier holds every call to it, as it holds calls of
//! helpers to their rows of the table. An object's own declaration must agree with the host's, but
//! is never believed: what the native code reads and writes is the host's to say.

use std::fmt;
use std::str::FromStr;

use crate::btf::{Btf, BtfError, Kind, Type};
use crate::isa::Size;

/// Most parameters: the registers `r1` to `r5`.
const MAX_PARAMS: usize = 5;

/// A native function that programs may call.
///
/// Made of a C prototype. Integers are `u8` to `u64`, `s8` to `s64`, and C's own names as BPF has
/// them; a `bool` may be returned only, since programs may hand over bytes that are none. Pointers, which are never null, are
///
/// - `const void *data, u32 len`: as many bytes as the parameter after it says; none is allowed
/// - `const u32 *value`, `const u8 key[16]`: as many bytes as the type has
/// - `ctx`: the program's context in its native form, see [`brolga_abi::context`]
///
/// Without `const`, the function may also write the memory.
///
/// ```
/// use brolga_compiler::program::{HostAccess, HostFunction, HostParam};
///
/// let function: HostFunction = "u64 lookup(const u8 key[16], void *out, u32 out__sz)".parse()?;
/// assert_eq!(function.name, "lookup");
/// assert_eq!(function.params[0], HostParam::Memory { size: 16, access: HostAccess::Read });
/// assert_eq!(function.params[1], HostParam::Buffer { access: HostAccess::ReadWrite });
/// # Ok::<(), brolga_compiler::program::HostFunctionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFunction {
    /// Its name.
    pub name: String,
    /// Its parameters: five at most; every [`HostParam::Buffer`] has a [`HostParam::Scalar`] after it.
    pub params: Vec<HostParam>,
    /// What it returns; nothing where it returns `void`.
    pub returns: Option<HostScalar>,
}

/// A parameter of a host function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostParam {
    /// An integer.
    Scalar(HostScalar),
    /// A pointer to memory of a known size.
    Memory {
        /// Bytes; at least one.
        size: u32,
        /// What the function does with them.
        access: HostAccess,
    },
    /// A pointer to as much memory as the next parameter says.
    Buffer {
        /// What the function does with it.
        access: HostAccess,
    },
    /// The context of the program.
    Context,
}

/// An integer that is handed over or returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostScalar {
    /// How large it is.
    pub size: Size,
    /// Whether it is signed.
    pub signed: bool,
}

impl HostScalar {
    /// The largest value.
    #[must_use]
    pub fn most(self) -> u64 {
        let bits = 8 * self.size.bytes() - u32::from(self.signed);
        u64::MAX >> (64 - bits)
    }
}

/// What a host function does with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostAccess {
    /// It reads.
    Read,
    /// It reads and writes.
    ReadWrite,
}

/// Why a prototype is none of a host function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFunctionError {
    /// The prototype.
    pub prototype: String,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for HostFunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no prototype of a host function: {}", self.prototype, self.reason)
    }
}

impl std::error::Error for HostFunctionError {}

impl FromStr for HostFunction {
    type Err = HostFunctionError;

    fn from_str(text: &str) -> Result<Self, HostFunctionError> {
        prototype(text).map_err(|reason| HostFunctionError { prototype: text.to_owned(), reason })
    }
}

fn prototype(text: &str) -> Result<HostFunction, String> {
    let text = text.trim().trim_end_matches(';').trim_end();
    let inner = text.strip_suffix(')').and_then(|text| text.split_once('('));
    let (head, inner) = inner.ok_or("it has no parameters in parentheses")?;
    let at = head.trim_end().rfind(|c: char| !is_ident(c)).ok_or("it has no type that it returns")?;
    let (returned, name) = head.trim_end().split_at(at + 1);
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err("it has no name".to_owned());
    }
    let returns = match returned.trim() {
        "void" => None,
        words => Some(scalar(words)?),
    };
    let params = match inner.trim() {
        "" | "void" => Vec::new(),
        inner => inner.split(',').map(|text| param(text.trim())).collect::<Result<_, _>>()?,
    };
    if params.len() > MAX_PARAMS {
        return Err(format!("{} parameters, where programs have {MAX_PARAMS} registers", params.len()));
    }
    for (at, _) in params.iter().enumerate().filter(|(_, p)| matches!(p, HostParam::Buffer { .. })) {
        if !matches!(params.get(at + 1), Some(HostParam::Scalar(_))) {
            return Err(format!("parameter {} needs an integer after it: its length in bytes", at + 1));
        }
    }
    Ok(HostFunction { name: name.to_owned(), params, returns })
}

fn is_ident(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn param(text: &str) -> Result<HostParam, String> {
    let (constant, rest) = match text.strip_prefix("const ") {
        Some(rest) => (true, rest.trim_start()),
        None => (false, text),
    };
    if rest.split(|c: char| !is_ident(c)).any(|word| matches!(word, "bool" | "_Bool")) {
        return Err(format!("`{text}` may be handed any byte: take it as a `u8`"));
    }
    let access = if constant { HostAccess::Read } else { HostAccess::ReadWrite };
    let memory = |size: Option<u32>| match size {
        Some(size @ 1..) => Ok(HostParam::Memory { size, access }),
        Some(0) | None => Err(format!("the size of `{text}`")),
    };
    if let Some(array) = rest.strip_suffix(']') {
        let (element, len) = array.split_once('[').ok_or_else(|| format!("`{text}`"))?;
        let len = len.trim().parse::<u32>().map_err(|_| format!("the length of `{text}`"))?;
        return memory(declared(element)?.size.bytes().checked_mul(len));
    }
    if let Some((pointee, name)) = rest.split_once('*') {
        if !name.trim().chars().all(is_ident) {
            return Err(format!("`{text}` is no pointer to memory"));
        }
        return match pointee.trim() {
            "void" => Ok(HostParam::Buffer { access }),
            pointee => memory(Some(scalar(pointee)?.size.bytes())),
        };
    }
    if rest == "ctx" || rest.strip_prefix("ctx ").is_some_and(|name| name.chars().all(is_ident)) {
        return Ok(HostParam::Context);
    }
    declared(rest).map(HostParam::Scalar)
}

/// A type, with or without a name after it.
fn declared(text: &str) -> Result<HostScalar, String> {
    scalar(text).or_else(|unknown| match text.trim_end().rsplit_once(char::is_whitespace) {
        Some((ty, name)) if name.chars().all(is_ident) => scalar(ty),
        _ => Err(unknown),
    })
}

/// An integer type, as BPF has it.
fn scalar(text: &str) -> Result<HostScalar, String> {
    let unknown = || format!("`{text}` is no integer type");
    let (mut signed, mut size, mut words) = (None, None, 0);
    for word in text.split_whitespace() {
        words += 1;
        let (word_signed, word_size) = match word {
            "unsigned" => (Some(false), None),
            "signed" => (Some(true), None),
            "char" => (None, Some(Size::B)),
            "short" => (None, Some(Size::H)),
            // The second word of `short int` and of `long int`, or the whole.
            "int" => (None, size.or(Some(Size::W))),
            "long" => (None, Some(Size::DW)),
            "bool" | "_Bool" | "u8" | "__u8" | "uint8_t" => (Some(false), Some(Size::B)),
            "u16" | "__u16" | "uint16_t" => (Some(false), Some(Size::H)),
            "u32" | "__u32" | "uint32_t" => (Some(false), Some(Size::W)),
            "u64" | "__u64" | "uint64_t" | "size_t" => (Some(false), Some(Size::DW)),
            "s8" | "__s8" | "i8" | "int8_t" => (Some(true), Some(Size::B)),
            "s16" | "__s16" | "i16" | "int16_t" => (Some(true), Some(Size::H)),
            "s32" | "__s32" | "i32" | "int32_t" => (Some(true), Some(Size::W)),
            "s64" | "__s64" | "i64" | "int64_t" | "ssize_t" => (Some(true), Some(Size::DW)),
            _ => return Err(unknown()),
        };
        (signed, size) = (word_signed.or(signed), word_size.or(size));
    }
    if words == 0 {
        return Err(unknown());
    }
    Ok(HostScalar { size: size.unwrap_or(Size::W), signed: signed.unwrap_or(true) })
}

impl HostFunction {
    /// Whether an object's declaration of the function agrees with it; otherwise what does not.
    pub(super) fn agrees_with(&self, btf: &Btf, declared: &Type<'_>) -> Result<(), String> {
        let unreadable = |error: BtfError| error.to_string();
        if declared.len() != self.params.len() {
            return Err(format!("the host's has {} parameters, not {}", self.params.len(), declared.len()));
        }
        for (at, (param, declared)) in (1..).zip(self.params.iter().zip(declared.params())) {
            let ty = btf.unqualified(declared.ty).map_err(unreadable)?;
            let (agrees, expected) = match *param {
                HostParam::Scalar(scalar) => (is_scalar(&ty, scalar), scalar.to_string()),
                HostParam::Memory { size, .. } => {
                    let pointee = btf.unqualified(ty.referenced()).map_err(unreadable)?;
                    let fits = pointee.kind() == Kind::Void
                        || btf.size_of(pointee.id()).is_ok_and(|pointee| pointee <= size);
                    (ty.kind() == Kind::Ptr && fits, format!("a pointer to {size} bytes"))
                }
                HostParam::Buffer { .. } | HostParam::Context => {
                    (ty.kind() == Kind::Ptr, "a pointer".to_owned())
                }
            };
            if !agrees {
                return Err(format!("parameter {at} of the host's is {expected}"));
            }
        }
        let returned = btf.unqualified(declared.referenced()).map_err(unreadable)?;
        match self.returns {
            Some(scalar) if !is_scalar(&returned, scalar) => Err(format!("the host's returns {scalar}")),
            None if returned.kind() != Kind::Void => Err("the host's returns nothing".to_owned()),
            Some(_) | None => Ok(()),
        }
    }
}

fn is_scalar(ty: &Type<'_>, scalar: HostScalar) -> bool {
    matches!(ty.kind(), Kind::Int | Kind::Enum | Kind::Enum64) && ty.size() == scalar.size.bytes()
}

impl fmt::Display for HostScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.signed { 's' } else { 'u' };
        write!(f, "{sign}{}", 8 * self.size.bytes())
    }
}

impl fmt::Display for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.returns {
            Some(scalar) => write!(f, "{scalar} {}(", self.name)?,
            None => write!(f, "void {}(", self.name)?,
        }
        for (at, param) in self.params.iter().enumerate() {
            let constant = |access| if access == HostAccess::Read { "const " } else { "" };
            f.write_str(if at > 0 { ", " } else { "" })?;
            match *param {
                HostParam::Scalar(scalar) => write!(f, "{scalar}")?,
                HostParam::Memory { size, access } => write!(f, "{}u8 [{size}]", constant(access))?,
                HostParam::Buffer { access } => write!(f, "{}void *", constant(access))?,
                HostParam::Context => f.write_str("ctx")?,
            }
        }
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<HostFunction>() {
            Ok(function) => {
                let text = function.to_string();
                assert_eq!(text.parse(), Ok(function), "what is shown can be read");
                text
            }
            Err(error) => error.reason,
        }
    }

    #[test]
    fn prototypes_are_read() {
        assert_eq!(shown("void f(void)"), "void f()");
        assert_eq!(shown("  unsigned int f(unsigned long long a, int, char c) ;"), "u32 f(u64, s32, s8)");
        assert_eq!(shown("bool f(ctx, u16 x)"), "u8 f(ctx, u16)");
        assert_eq!(shown("s64 f(ctx c, const void *p, u32 p__sz)"), "s64 f(ctx, const void *, u32)");
        assert_eq!(shown("long f(void *, size_t)"), "s64 f(void *, u64)");
        assert_eq!(shown("int f(const u8 key[16], u32 *out)"), "s32 f(const u8 [16], u8 [4])");
        assert_eq!(shown("short int f(long int x)"), "s16 f(s64)");
    }

    #[test]
    fn most_of_an_integer() {
        let most = |size, signed| HostScalar { size, signed }.most();
        assert_eq!((most(Size::B, false), most(Size::B, true)), (255, 127));
        assert_eq!((most(Size::DW, false), most(Size::DW, true)), (u64::MAX, u64::MAX >> 1));
    }

    #[test]
    fn what_is_no_prototype_says_why() {
        for (text, reason) in [
            ("f", "it has no parameters in parentheses"),
            ("f()", "it has no type that it returns"),
            ("int 1f()", "it has no name"),
            ("float f()", "`float` is no integer type"),
            ("u64 f(u64, u64, u64, u64, u64, u64)", "6 parameters, where programs have 5 registers"),
            ("u64 f(void *p)", "parameter 1 needs an integer after it: its length in bytes"),
            ("u64 f(void *p, void *q, u32 n)", "parameter 1 needs an integer after it: its length in bytes"),
            ("u64 f(u8 x[0])", "the size of `u8 x[0]`"),
            ("u64 f(u64 x[1000000000])", "the size of `u64 x[1000000000]`"),
            ("u64 f(char **p)", "`char **p` is no pointer to memory"),
            ("u64 f(bool yes)", "`bool yes` may be handed any byte: take it as a `u8`"),
            ("u64 f(const _Bool *p)", "`const _Bool *p` may be handed any byte: take it as a `u8`"),
            ("u64 f(u8,)", "`` is no integer type"),
        ] {
            assert_eq!(shown(text), reason, "{text}");
        }
    }
}
