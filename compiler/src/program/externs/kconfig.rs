//! Values of the kernel's configuration: where each stands in `.kconfig`, and what it is.
//!
//! A value must fit the type by which the object declares it; one that does not is missing, even
//! where it is weak.

use brolga_abi::MapKind;
use brolga_abi::maps::{F_MMAPABLE, F_RDONLY_PROG};

use super::collect::{Found, align};
use super::{ConfigType, ExternKind, Missing, Resolution};
use crate::btf::Kind;
use crate::isa::Endianness;
use crate::program::source::Source;
use crate::program::{
    GlobalData, KernelConfig, KernelTypes, KernelVersion, LoadError, MapDef, Problem, Target, Variable,
};

/// The section's name, and the map's.
const NAME: &str = ".kconfig";

/// Most bytes of all values. Real objects declare a handful of numbers.
const MAX_CONFIG: u32 = 1 << 20;

/// Functions that the system call `bpf` has in kernels whose system calls take their arguments in
/// a structure.
const WRAPPED: &[&str] = &["__x64_sys_bpf", "__arm64_sys_bpf", "__s390x_sys_bpf", "__riscv_sys_bpf"];

/// Lays out the configuration values, fills them in, and makes the map that holds them.
pub(super) fn resolve(
    source: &Source<'_>,
    target: &Target,
    found: &mut [Found],
) -> Result<Option<MapDef>, LoadError> {
    let mut end = 0_u32;
    for found in found.iter_mut() {
        if let ExternKind::Config { ty, offset, size } = &mut found.external.kind {
            let start = end.checked_next_multiple_of(align(*ty, *size));
            let after = start.and_then(|start| start.checked_add(*size)).filter(|&end| end <= MAX_CONFIG);
            let (Some(start), Some(after)) = (start, after) else {
                let (what, limit) = ("bytes of configuration values", MAX_CONFIG.into());
                let found = u64::from(end) + u64::from(*size);
                return Err(Problem::Limit { what, found, limit }.in_section(NAME));
            };
            (*offset, end) = (start, after);
        }
    }
    if end == 0 {
        return Ok(None);
    }
    let mut bytes = vec![0; end as usize];
    let mut variables = Vec::new();
    for found in found {
        let ExternKind::Config { ty, offset, size } = found.external.kind else { continue };
        let room = &mut bytes[offset as usize..][..size as usize];
        let name = &found.external.name;
        found.external.resolution = match value(target, name, found.external.weak) {
            Err(resolution) => resolution,
            Ok(None) => Resolution::Absent,
            Ok(Some(value)) => match write(ty, &value, room, source.elf.endianness) {
                Ok(()) => Resolution::Value,
                Err(reason) => Missing::certainly(reason),
            },
        };
        variables.push(Variable { name: name.clone(), offset, size, ty: found.external.ty });
    }
    let mut map = MapDef::new(NAME, MapKind::Array, 4, end, 1);
    map.flags = F_RDONLY_PROG | F_MMAPABLE;
    map.value_type = source.datasec(NAME).map(|ty| ty.id());
    map.global = Some(GlobalData { initial: bytes.into(), readonly: true, variables });
    Ok(Some(map))
}

/// A value, as the configuration writes it or as libbpf finds it out.
#[derive(Debug, PartialEq, Eq)]
enum Value<'c> {
    Text(&'c str),
    Number(u64),
}

/// The value of a name; none where it may be missing and is.
fn value<'t>(target: &'t Target, name: &str, weak: bool) -> Result<Option<Value<'t>>, Resolution> {
    if name.starts_with("CONFIG_") {
        return config(target.config.as_deref(), name, weak);
    }
    let yes = |yes: bool| Ok(Some(Value::Number(yes.into())));
    match name {
        "LINUX_KERNEL_VERSION" => Ok(Some(Value::Number(target.version.0.into()))),
        "LINUX_HAS_BPF_COOKIE" => yes(target.version >= KernelVersion::new(5, 15, 0)),
        "LINUX_HAS_SYSCALL_WRAPPER" => yes(has_syscall_wrapper(target)),
        _ if name.starts_with("LINUX_") && weak => Ok(None),
        _ => Err(Missing::certainly(
            "only names that begin with `CONFIG_`, and those that libbpf knows with `LINUX_`, have values",
        )),
    }
}

fn config<'t>(
    config: Option<&'t KernelConfig>,
    name: &str,
    weak: bool,
) -> Result<Option<Value<'t>>, Resolution> {
    match (config, weak) {
        (Some(config), _) => match config.get(name) {
            Some(text) => Ok(Some(Value::Text(text))),
            None if weak => Ok(None),
            None => Err(Missing::certainly("the kernel's configuration does not set it, and it is not weak")),
        },
        (None, true) => Ok(None),
        (None, false) => Err(Missing::unknown(
            "the kernel's configuration is not known",
            "`--kconfig FILE` gives one, such as /proc/config.gz; declared `__weak`, the value is 0 where nobody says",
        )),
    }
}

fn has_syscall_wrapper(target: &Target) -> bool {
    match &target.types {
        KernelTypes::Own => target.version >= KernelVersion::new(4, 17, 0),
        KernelTypes::Kernel(kernel) => {
            WRAPPED.iter().any(|name| kernel.vmlinux.find(Kind::Func, name).is_some())
        }
    }
}

/// Writes a value as its type has it.
fn write(ty: ConfigType, value: &Value<'_>, room: &mut [u8], endianness: Endianness) -> Result<(), String> {
    let number = match *value {
        Value::Number(number) => number,
        Value::Text(text) => match (text.as_bytes(), ty) {
            ([b'y' | b'n', ..], ConfigType::Bool) => u64::from(text.starts_with('y')),
            ([b'n', ..], ConfigType::Tristate) => 0,
            ([b'y', ..], ConfigType::Tristate) => 1,
            ([b'm', ..], ConfigType::Tristate) => 2,
            (&[letter @ (b'y' | b'n' | b'm'), ..], ConfigType::Char { .. }) => letter.into(),
            ([b'"', inner @ .., b'"'], ConfigType::String) => {
                // What does not fit is cut off, and the end is always a zero.
                let len = inner.len().min(room.len().saturating_sub(1));
                room[..len].copy_from_slice(&inner[..len]);
                return Ok(());
            }
            ([b'y' | b'n' | b'm' | b'"', ..], _) => return Err(implies(text)),
            (_, ConfigType::Int { .. } | ConfigType::Char { .. }) => {
                parse(text).ok_or_else(|| format!("the value `{text}` is no integer"))?
            }
            (_, ConfigType::Bool | ConfigType::Tristate | ConfigType::String) => return Err(implies(text)),
        },
    };
    let bits = 8 * u32::try_from(room.len()).unwrap_or(8);
    let fits = |signed: bool| {
        let offset = if signed { 1 << (bits - 1) } else { 0 };
        bits >= 64 || number.wrapping_add(offset) >> bits == 0
    };
    let fits = match ty {
        ConfigType::Int { signed } | ConfigType::Char { signed } => fits(signed),
        ConfigType::Bool => number <= 1,
        ConfigType::Tristate => matches!(value, Value::Text(_)),
        ConfigType::String => false,
    };
    if !fits {
        return Err(format!("the value {number:#x} does not fit its type"));
    }
    match endianness {
        Endianness::Little => room.copy_from_slice(&number.to_le_bytes()[..room.len()]),
        Endianness::Big => room.copy_from_slice(&number.to_be_bytes()[8 - room.len()..]),
    }
    Ok(())
}

fn implies(text: &str) -> String {
    let ty = match text.as_bytes().first() {
        Some(b'y' | b'n') => "a bool, a tristate or a char",
        Some(b'm') => "a tristate or a char",
        Some(b'"') => "an array of char",
        _ => "an integer",
    };
    format!("the value `{text}` needs {ty}")
}

/// A number as C's `strtoull` reads it with base 0, up to the end of the text.
fn parse(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let number = match hex {
        Some(hex) if hex.starts_with(['+', '-']) => return None,
        Some(hex) => u64::from_str_radix(hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => u64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    number.ok().map(|number| if negative { number.wrapping_neg() } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written<const N: usize>(ty: ConfigType, text: &str) -> Result<[u8; N], String> {
        let mut room = [0; N];
        write(ty, &Value::Text(text), &mut room, Endianness::Little).map(|()| room)
    }

    #[test]
    fn letters() {
        assert_eq!(written(ConfigType::Bool, "y"), Ok([1]));
        assert_eq!(written(ConfigType::Bool, "n"), Ok([0]));
        assert!(written::<1>(ConfigType::Bool, "m").is_err());
        assert!(written::<1>(ConfigType::Bool, "1").is_err(), "a number is none of the letters");
        assert_eq!(written(ConfigType::Tristate, "m"), Ok([2, 0, 0, 0]));
        assert_eq!(written(ConfigType::Char { signed: true }, "m"), Ok([b'm']));
        assert!(written::<4>(ConfigType::Int { signed: true }, "y").is_err());
    }

    #[test]
    fn strings_are_cut_to_their_room() {
        assert_eq!(written(ConfigType::String, "\"ab\""), Ok([b'a', b'b', 0, 0]));
        assert_eq!(written(ConfigType::String, "\"abcdef\""), Ok([b'a', b'b', b'c', 0]));
        assert!(written::<4>(ConfigType::String, "\"").is_err());
        assert!(written::<4>(ConfigType::Int { signed: false }, "\"1\"").is_err());
    }

    #[test]
    fn numbers_fit_their_types() {
        let (signed, unsigned) = (ConfigType::Int { signed: true }, ConfigType::Int { signed: false });
        assert_eq!(written(unsigned, "0x10"), Ok([16, 0, 0, 0]));
        assert_eq!(written(unsigned, "010"), Ok([8, 0, 0, 0]));
        assert_eq!(written(signed, "-1"), Ok([0xff; 4]));
        assert_eq!(written(signed, "-0x8000"), Ok([0x00, 0x80]));
        assert!(written::<2>(signed, "0x8000").is_err());
        assert!(written::<4>(unsigned, "-1").is_err());
        assert_eq!(written(unsigned, "-1"), Ok([0xff; 8]));
        assert_eq!(written(ConfigType::Char { signed: false }, "255"), Ok([255]));
        assert!(written::<1>(ConfigType::Char { signed: false }, "256").is_err());
        for none in ["", "0x", "1 ", "+-1", "0x+1", "09", "18446744073709551616", "abc"] {
            assert!(written::<8>(unsigned, none).is_err(), "{none}");
        }
    }

    #[test]
    fn big_endian_values_stand_at_the_end_of_their_bytes() {
        let mut room = [0; 4];
        write(ConfigType::Int { signed: false }, &Value::Number(0x0102), &mut room, Endianness::Big)
            .expect("fits");
        assert_eq!(room, [0, 0, 1, 2]);
    }
}
