//! Names of types, as C writes them.

use brolga_compiler::btf::{Btf, Kind, MAX_DEPTH, Param, Type, TypeId};

/// A type as C writes it, without a variable's name: `struct flow`, `__u64[4]`, `const char *`.
pub(super) fn type_name(btf: &Btf, id: TypeId) -> String {
    let mut suffix = String::new();
    let mut prefix = String::new();
    let mut at = id;
    for _ in 0..MAX_DEPTH {
        let Ok(ty) = btf.get(at) else { return format!("type {}", id.0) };
        let name = ty.name().unwrap_or_default();
        match ty.kind() {
            Kind::Const | Kind::Volatile | Kind::Restrict => {
                prefix.push_str(qualifier(&ty));
                at = ty.referenced();
            }
            Kind::TypeTag => at = ty.referenced(),
            Kind::Ptr => {
                suffix.insert_str(0, " *");
                at = ty.referenced();
            }
            Kind::Array => {
                let Some(array) = ty.array() else { break };
                suffix.push_str(&format!("[{}]", array.len));
                at = array.element;
            }
            Kind::Struct => return format!("{prefix}struct {}{suffix}", or_anonymous(name)),
            Kind::Union => return format!("{prefix}union {}{suffix}", or_anonymous(name)),
            Kind::Enum | Kind::Enum64 => return format!("{prefix}enum {}{suffix}", or_anonymous(name)),
            Kind::Fwd => return format!("{prefix}struct {}{suffix}", or_anonymous(name)),
            Kind::Void => return format!("{prefix}void{suffix}"),
            Kind::FuncProto if suffix.is_empty() && prefix.is_empty() => return prototype(btf, &ty),
            Kind::FuncProto => return format!("{prefix}function{suffix}"),
            Kind::Int
            | Kind::Typedef
            | Kind::Float
            | Kind::Func
            | Kind::Var
            | Kind::Datasec
            | Kind::DeclTag => return format!("{prefix}{name}{suffix}"),
        }
    }
    format!("type {}", id.0)
}

/// Most parameters of a function that are shown: no function that can be called has more.
const MAX_PARAMS: usize = 16;

/// A function's type: `int (struct sock *, int)`.
fn prototype(btf: &Btf, ty: &Type<'_>) -> String {
    let plain = |id: TypeId| match btf.get(id) {
        Ok(ty) if ty.kind() == Kind::FuncProto => "function".to_owned(),
        _ => type_name(btf, id),
    };
    let param = |param: Param| if param.ty == TypeId::VOID { "...".to_owned() } else { plain(param.ty) };
    let mut params: Vec<String> = ty.params().take(MAX_PARAMS).map(param).collect();
    if ty.len() > MAX_PARAMS {
        params.push("...".to_owned());
    }
    let params = if params.is_empty() { "void".to_owned() } else { params.join(", ") };
    format!("{} ({params})", plain(ty.referenced()))
}

fn qualifier(ty: &Type<'_>) -> &'static str {
    match ty.kind() {
        Kind::Const => "const ",
        Kind::Volatile => "volatile ",
        _ => "",
    }
}

fn or_anonymous(name: &str) -> &str {
    if name.is_empty() { "(anonymous)" } else { name }
}
