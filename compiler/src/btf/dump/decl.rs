//! A declaration: a type around a name, from the inside out.
//!
//! `int (*name)(void)` is read as: `name` is a pointer to a function. The walk begins with the name
//! and wraps it; what has no name of its own is written out in the place of its name.

use super::super::{BtfError, Kind, Type, TypeId};
use super::{Dump, DumpError, MAX_NESTING, names};

/// A typedef that the compiler has itself, for its own machine: not written, but what it stands for is.
pub(super) const VA_LIST: &str = "__builtin_va_list";

/// Whether C knows an integer's name.
pub(super) fn builtin(name: &str) -> bool {
    const WORDS: &[&str] = &["unsigned", "signed", "char", "short", "int", "long", "_Bool", "__int128"];
    !name.is_empty() && name.split(' ').all(|word| WORDS.contains(&word))
}

impl<'a> Dump<'a> {
    /// A declaration of `name`, which may be empty. What is written in place is indented by `indent`.
    pub(super) fn declaration(
        &mut self,
        id: TypeId,
        name: &str,
        indent: usize,
        depth: usize,
    ) -> Result<String, DumpError> {
        let mut inner = name.to_owned();
        // Qualifiers of the type that is looked at.
        let mut qualifiers = String::new();
        let mut pointed = false;
        let mut at = id;
        for hop in 0..=MAX_NESTING {
            self.count(&inner)?;
            if depth + hop > MAX_NESTING {
                break;
            }
            let ty = self.btf.get(at)?;
            match ty.kind() {
                Kind::Const | Kind::Volatile | Kind::Restrict | Kind::TypeTag => {
                    let qualifier = qualifier(&ty)?;
                    // Twice the same says nothing new.
                    if !qualifiers.split_inclusive(' ').any(|known| known == qualifier) {
                        qualifiers.push_str(&qualifier);
                    }
                    at = ty.referenced();
                }
                Kind::Typedef if ty.name()? == VA_LIST => at = ty.referenced(),
                Kind::Ptr => {
                    inner = format!("*{qualifiers}{inner}");
                    qualifiers.clear();
                    pointed = true;
                    at = ty.referenced();
                }
                Kind::Array => {
                    let array = ty.array().ok_or(BtfError::NoSuchType { id: at })?;
                    let open = std::mem::take(&mut pointed);
                    inner = if open { format!("({inner})") } else { inner };
                    inner.push_str(&format!("[{}]", array.len));
                    at = array.element;
                }
                Kind::FuncProto => {
                    let open = std::mem::take(&mut pointed);
                    let params = self.params(&ty, indent, depth + hop + 1)?;
                    inner = if open { format!("({inner})({params})") } else { format!("{inner}({params})") };
                    qualifiers.clear();
                    at = ty.referenced();
                }
                Kind::Void
                | Kind::Int
                | Kind::Struct
                | Kind::Union
                | Kind::Enum
                | Kind::Fwd
                | Kind::Typedef
                | Kind::Func
                | Kind::Var
                | Kind::Datasec
                | Kind::Float
                | Kind::DeclTag
                | Kind::Enum64 => {
                    let base = self.base(&ty, indent, depth + hop)?;
                    let space = if inner.is_empty() { "" } else { " " };
                    return Ok(format!("{qualifiers}{base}{space}{inner}"));
                }
            }
        }
        Err(BtfError::TooDeep { id }.into())
    }

    fn params(&mut self, ty: &Type<'a>, indent: usize, depth: usize) -> Result<String, DumpError> {
        let mut text = String::new();
        for param in ty.params() {
            if !text.is_empty() {
                text.push_str(", ");
            }
            if param.ty == TypeId::VOID {
                text.push_str("...");
                continue;
            }
            let name = names::identifier(self.btf.str(param.name)?);
            let param = self.declaration(param.ty, &name, indent, depth)?;
            self.count(&param)?;
            text.push_str(&param);
        }
        // C before C23 has no function whose only parameters are `...`.
        Ok(match text.as_str() {
            "" => "void".to_owned(),
            "..." => String::new(),
            _ => text,
        })
    }

    /// The name of a type that has one, or its definition.
    fn base(&mut self, ty: &Type<'a>, indent: usize, depth: usize) -> Result<String, DumpError> {
        let name = ty.name()?;
        match ty.kind() {
            Kind::Struct | Kind::Union if name.is_empty() => self.record(ty, indent, depth + 1),
            Kind::Enum | Kind::Enum64 if name.is_empty() => self.enumeration(ty, indent),
            Kind::Struct | Kind::Union | Kind::Enum | Kind::Enum64 | Kind::Fwd => {
                self.tag(self.names.tagged(self.btf, ty.id()))
            }
            Kind::Int if builtin(name) => Ok(name.to_owned()),
            Kind::Typedef | Kind::Int => Ok(self.names.typedef(ty.id(), name)),
            Kind::Float => Ok(match ty.size() {
                0..=4 => "float",
                5..=8 => "double",
                _ => "long double",
            }
            .to_owned()),
            Kind::Void
            | Kind::Ptr
            | Kind::Array
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::Datasec
            | Kind::DeclTag
            | Kind::TypeTag => Ok("void".to_owned()),
        }
    }

    /// `struct name`, `union name` or `enum name`; without name the word alone.
    pub(super) fn tag(&mut self, id: TypeId) -> Result<String, DumpError> {
        let ty = self.btf.get(id)?;
        let word = match ty.kind() {
            Kind::Union => "union",
            Kind::Fwd if ty.flag() => "union",
            Kind::Enum | Kind::Enum64 => "enum",
            Kind::Struct
            | Kind::Fwd
            | Kind::Void
            | Kind::Int
            | Kind::Ptr
            | Kind::Array
            | Kind::Typedef
            | Kind::Volatile
            | Kind::Const
            | Kind::Restrict
            | Kind::Func
            | Kind::FuncProto
            | Kind::Var
            | Kind::Datasec
            | Kind::Float
            | Kind::DeclTag
            | Kind::TypeTag => "struct",
        };
        match ty.name()? {
            "" => Ok(word.to_owned()),
            name => Ok(format!("{word} {}", self.names.tag(id, name))),
        }
    }
}

/// A qualifier with a space behind it.
fn qualifier(ty: &Type<'_>) -> Result<String, DumpError> {
    let text = match ty.kind() {
        Kind::Const => "const ".to_owned(),
        Kind::Volatile => "volatile ".to_owned(),
        Kind::Restrict => "restrict ".to_owned(),
        Kind::TypeTag => tag_attribute(ty.name()?, ty.flag()),
        Kind::Void
        | Kind::Int
        | Kind::Ptr
        | Kind::Array
        | Kind::Struct
        | Kind::Union
        | Kind::Enum
        | Kind::Fwd
        | Kind::Typedef
        | Kind::Func
        | Kind::FuncProto
        | Kind::Var
        | Kind::Datasec
        | Kind::Float
        | Kind::DeclTag
        | Kind::Enum64 => String::new(),
    };
    Ok(text)
}

/// A type tag as an attribute: one of the user's own, or with `plain` any attribute of the compiler.
/// Empty where the name could end it early.
fn tag_attribute(name: &str, plain: bool) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ',' | ' ');
    if !plain {
        let fits = name.chars().all(|c| !c.is_control() && !matches!(c, '"' | '\\'));
        return if fits { format!("__attribute__((btf_type_tag(\"{name}\"))) ") } else { String::new() };
    }
    let arguments = name.split_once('(').map_or(Some(""), |(_, rest)| rest.strip_suffix(')'));
    let word = name.split('(').next().unwrap_or_default();
    let fits = !word.is_empty() && word.chars().chain(arguments.unwrap_or("(").chars()).all(is_word);
    if fits { format!("__attribute__(({name})) ") } else { String::new() }
}
