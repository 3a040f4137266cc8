//! What BTF says of a function: its linkage, its parameters, what it returns.
//!
//! Linux verifies a function with global linkage apart from its callers, with what its prototype
//! promises (`btf_prepare_func_args`). A function without BTF is verified with its callers.

use brolga_abi::ProgramKind;

use super::source::Source;
use super::{Param, Subprog};
use crate::btf::{Btf, BtfError, Kind, Linkage, Type, TypeId};

/// Most parameters that are read. One more than registers hold, so that too many are seen.
const MAX_PARAMS: usize = 6;

/// Longest name that is looked at: no context's is longer.
const MAX_CONTEXT_NAME: usize = 64;

/// A parameter, before the kind of program says which structure is its context.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// Already known.
    Is(Param),
    /// A pointer to a structure, which is the context if it has the right name.
    Struct { name: String, otherwise: Param },
}

/// A function's prototype.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Signature {
    global: bool,
    params: Vec<Shape>,
    returns_scalar: bool,
}

impl Signature {
    /// Reads the prototype of a function's type.
    pub(super) fn read(source: &Source<'_>, ty: TypeId) -> Result<Self, BtfError> {
        let Some(btf) = source.btf.as_deref() else { return Err(BtfError::NoSuchType { id: ty }) };
        let func = btf.get(ty)?;
        let proto = btf.get(func.referenced())?;
        if func.kind() != Kind::Func || proto.kind() != Kind::FuncProto {
            return Err(BtfError::NoSuchType { id: ty });
        }
        let returned = btf.unqualified(proto.referenced())?;
        let params = (0..).zip(proto.params().take(MAX_PARAMS)).map(|(index, param)| {
            let tags = source.tags.get(&(ty, index)).map_or(&[][..], Vec::as_slice);
            shape(btf, param.ty, tags).unwrap_or(Shape::Is(Param::Unknown))
        });
        Ok(Self {
            global: func.linkage() == Some(Linkage::Global),
            params: params.collect(),
            returns_scalar: is_scalar(&returned),
        })
    }

    /// Tells a subprogram what its prototype says. A hidden function is not global: libbpf makes
    /// it static.
    pub(super) fn describe(&self, hidden: bool, kind: Option<ProgramKind>, subprog: &mut Subprog) {
        subprog.global = self.global && !hidden;
        subprog.returns_scalar = self.returns_scalar;
        subprog.params = self
            .params
            .iter()
            .map(|shape| match shape {
                Shape::Is(param) => *param,
                Shape::Struct { name, otherwise: _ } if kind.is_some_and(|kind| is_context(kind, name)) => {
                    Param::Context
                }
                Shape::Struct { otherwise, .. } => *otherwise,
            })
            .collect();
    }
}

fn is_scalar(ty: &Type<'_>) -> bool {
    matches!(ty.kind(), Kind::Int | Kind::Enum | Kind::Enum64)
}

fn is_trusted_or_null(a: &str, b: &str) -> bool {
    matches!((a, b), ("arg:trusted", "arg:nullable") | ("arg:nullable", "arg:trusted"))
}

fn trusted(pointee: &Type<'_>, nullable: bool) -> Param {
    match pointee.kind() {
        Kind::Struct => Param::Trusted { ty: pointee.id(), nullable },
        _ => Param::Unknown,
    }
}

fn untrusted(pointee: &Type<'_>) -> Param {
    match pointee.kind() {
        Kind::Struct => Param::Untrusted { ty: Some(pointee.id()) },
        Kind::Void | Kind::Int | Kind::Enum | Kind::Enum64 => Param::Untrusted { ty: None },
        _ => Param::Unknown,
    }
}

/// Whether programs of a kind have a structure of this name as their context: the kernel's name of a packet will do too.
fn is_context(kind: ProgramKind, name: &str) -> bool {
    let context = kind.info().context.name;
    name == context
        || matches!(
            (context, name),
            ("__sk_buff", "sk_buff") | ("xdp_md", "xdp_buff") | ("pt_regs", "bpf_user_pt_regs_t")
        )
}

/// What a parameter's type and its `arg:` tags say together.
fn shape(btf: &Btf, ty: TypeId, tags: &[String]) -> Result<Shape, BtfError> {
    let ty = btf.unqualified(ty)?;
    if ty.kind() != Kind::Ptr {
        let scalar = is_scalar(&ty) && tags.is_empty();
        return Ok(Shape::Is(if scalar { Param::Scalar } else { Param::Unknown }));
    }
    let pointee = btf.unqualified(ty.referenced())?;
    let memory = |nonnull| match btf.size_of(ty.referenced()) {
        Ok(size) => Param::Memory { size, nonnull },
        Err(_) => Param::Unknown,
    };
    let otherwise = match tags {
        [] => memory(false),
        [tag] => match tag.as_str() {
            "arg:ctx" => return Ok(Shape::Is(Param::Context)),
            "arg:nonnull" => memory(true),
            "arg:arena" => return Ok(Shape::Is(Param::Arena)),
            "arg:untrusted" => return Ok(Shape::Is(untrusted(&pointee))),
            "arg:trusted" => return Ok(Shape::Is(trusted(&pointee, false))),
            _ => Param::Unknown,
        },
        [a, b] if is_trusted_or_null(a, b) => return Ok(Shape::Is(trusted(&pointee, true))),
        _ => Param::Unknown,
    };
    if !matches!(pointee.kind(), Kind::Struct | Kind::Fwd) {
        return Ok(Shape::Is(otherwise));
    }
    let name = pointee.name()?;
    if name.len() > MAX_CONTEXT_NAME {
        return Ok(Shape::Is(otherwise));
    }
    let name = name.to_owned();
    Ok(if name == "bpf_dynptr" { Shape::Is(Param::Dynptr) } else { Shape::Struct { name, otherwise } })
}
