//! Reads the structure by which a variable of `.maps` defines a map.
//!
//! Which members there may be, and what each must look like, is libbpf's `parse_btf_map_def`. What a
//! kind makes of the numbers is not looked at: that is for whoever makes the map.

use super::{ARRAY_OF_MAPS, HASH_OF_MAPS, ringbuf_size};
use crate::btf::{Btf, BtfError, Kind, Member, Type, TypeId};
use crate::program::source::btf_error;
use crate::program::{LoadError, MapDef, MapType, Problem};

use brolga_abi::MapKind;

/// Most members of the structure that defines a map. libbpf knows a dozen, and takes each once.
const MAX_MEMBERS: usize = 64;

/// A map definition, and where its initial elements are.
pub(super) struct Definition {
    pub(super) map: MapDef,
    /// Byte offset of the member `values` in the structure.
    pub(super) values: Option<u32>,
    /// Bytes of the structure.
    pub(super) size: u32,
}

/// Reads the definition of a variable.
pub(super) fn read(btf: &Btf, name: &str, var: &Type<'_>) -> Result<Definition, LoadError> {
    let ty = btf.unqualified(var.referenced()).map_err(at_maps)?;
    if ty.kind() != Kind::Struct {
        return Err(malformed("its type is not a structure"));
    }
    let (map, values) = Reader { btf, inner: false }.structure(name, &ty)?;
    Ok(Definition { map, values, size: ty.size() })
}

struct Reader<'a> {
    btf: &'a Btf,
    /// Whether it is the definition of the maps in a map of maps.
    inner: bool,
}

impl Reader<'_> {
    fn structure(&self, name: &str, ty: &Type<'_>) -> Result<(MapDef, Option<u32>), LoadError> {
        if ty.len() > MAX_MEMBERS {
            return Err(malformed("its structure has too many members"));
        }
        let mut map = MapDef::new(name, MapType::Unsupported(0), 0, 0, 0);
        let mut values = None;
        for (index, member) in ty.members().enumerate() {
            if self.btf.str(member.name).map_err(at_maps)? == "values" {
                if index + 1 != ty.len() {
                    return Err(malformed("`values` is not its last member"));
                }
                self.values(&mut map, &member)?;
                values = Some(member.bit_offset / 8);
            } else {
                self.member(&mut map, &member)?;
            }
        }
        if map.kind == MapType::Unsupported(0) {
            return Err(malformed("it has no `type`"));
        }
        map.max_entries = ringbuf_size(map.kind, map.max_entries);
        Ok((map, values))
    }

    fn member(&self, map: &mut MapDef, member: &Member) -> Result<(), LoadError> {
        let number = || self.number(member);
        match self.btf.str(member.name).map_err(at_maps)? {
            "type" => map.kind = MapType::from_number(number()?),
            "max_entries" => map.max_entries = number()?,
            "map_flags" => map.flags = number()?,
            "numa_node" => map.numa_node = number()?,
            "map_extra" => map.extra = self.long(member)?,
            "key_size" => set_size(&mut map.key_size, number()?, "key_size")?,
            "value_size" => set_size(&mut map.value_size, number()?, "value_size")?,
            "key" => {
                let (ty, size) = self.pointee(member)?;
                set_size(&mut map.key_size, size, "key")?;
                map.key_type = Some(ty);
            }
            "value" => {
                let (ty, size) = self.pointee(member)?;
                set_size(&mut map.value_size, size, "value")?;
                map.value_type = Some(ty);
            }
            "pinning" if self.inner => return Err(malformed("the maps in a map cannot be pinned")),
            "pinning" => {
                map.pinned = match number()? {
                    0 => false,
                    1 => true,
                    found => {
                        return Err(Problem::Invalid {
                            what: "`pinning`",
                            found: found.into(),
                            expected: "LIBBPF_PIN_NONE (0) or LIBBPF_PIN_BY_NAME (1)",
                        }
                        .somewhere());
                    }
                }
            }
            other => {
                let what = format!("field `{other}` of a map definition");
                return Err(Problem::Unsupported { what }.somewhere());
            }
        }
        Ok(())
    }

    /// `values`: a zero-length array of pointers to functions or to structures that define maps.
    fn values(&self, map: &mut MapDef, member: &Member) -> Result<(), LoadError> {
        if self.inner {
            let what = "a map of maps in a map of maps".to_owned();
            return Err(Problem::Unsupported { what }.somewhere());
        }
        let of_maps = matches!(map.kind.number(), ARRAY_OF_MAPS | HASH_OF_MAPS);
        if !of_maps && map.kind != MapType::Known(MapKind::ProgArray) {
            return Err(malformed(&format!("a map of the kind {} has no `values`", map.kind)));
        }
        set_size(&mut map.value_size, 4, "values")?;
        let btf = self.btf;
        let element = || -> Result<Option<Type<'_>>, BtfError> {
            let Some(array) = btf.unqualified(member.ty)?.array().filter(|array| array.len == 0) else {
                return Ok(None);
            };
            let pointer = btf.unqualified(array.element)?;
            if pointer.kind() != Kind::Ptr {
                return Ok(None);
            }
            btf.unqualified(pointer.referenced()).map(Some)
        };
        let expected = if of_maps { Kind::Struct } else { Kind::FuncProto };
        let element = element().map_err(at_maps)?.filter(|ty| ty.kind() == expected);
        let element = element.ok_or_else(|| {
            malformed("`values` is not an array of unknown length of pointers to programs or maps")
        })?;
        if of_maps {
            let name = format!("{}.inner", map.name);
            let (inner, _) = Reader { btf, inner: true }.structure(&name, &element)?;
            map.inner = Some(Box::new(inner));
        }
        Ok(())
    }

    /// A number, encoded as `int (*name)[number]`.
    fn number(&self, member: &Member) -> Result<u32, LoadError> {
        let read = || -> Result<Option<u32>, BtfError> {
            let pointer = self.btf.unqualified(member.ty)?;
            if pointer.kind() != Kind::Ptr {
                return Ok(None);
            }
            Ok(self.btf.unqualified(pointer.referenced())?.array().map(|array| array.len))
        };
        read().map_err(at_maps)?.ok_or_else(|| self.not(member, "a pointer to an array"))
    }

    /// A 64-bit number: as above, or as `enum { name = number } name`.
    fn long(&self, member: &Member) -> Result<u64, LoadError> {
        let ty = self.btf.unqualified(member.ty).map_err(at_maps)?;
        if ty.kind() == Kind::Ptr {
            return self.number(member).map(u64::from);
        }
        let only = ty.enumerator(0).filter(|_| ty.len() == 1);
        only.map(|only| only.value)
            .ok_or_else(|| self.not(member, "a pointer to an array or an enumeration of one number"))
    }

    /// What a member points to, and its size.
    fn pointee(&self, member: &Member) -> Result<(TypeId, u32), LoadError> {
        let pointer = self.btf.unqualified(member.ty).map_err(at_maps)?;
        if pointer.kind() != Kind::Ptr {
            return Err(self.not(member, "a pointer"));
        }
        let ty = pointer.referenced();
        Ok((ty, self.btf.size_of(ty).map_err(at_maps)?))
    }

    fn not(&self, member: &Member, expected: &str) -> LoadError {
        let name = self.btf.str(member.name).unwrap_or_default();
        malformed(&format!("`{name}` is not {expected}"))
    }
}

fn at_maps(error: BtfError) -> LoadError {
    btf_error(&error, ".maps")
}

fn malformed(reason: &str) -> LoadError {
    Problem::Malformed { what: "map definition", reason: reason.to_owned() }.somewhere()
}

/// Sets a size that two members may give, where they agree.
fn set_size(size: &mut u32, found: u32, what: &str) -> Result<(), LoadError> {
    if *size != 0 && *size != found {
        return Err(malformed(&format!("`{what}` says {found} bytes, another member {size}")));
    }
    *size = found;
    Ok(())
}
