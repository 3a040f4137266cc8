//! Finds the special fields of maps' values and of the program's structures, as Linux does.
//!
//! Linux reads them from the BTF when it is loaded (structures) and when a map is made (its value), and refuses what does
//! not fit together: libbpf then goes on without BTF, or without the map's, so that nothing has special fields and what
//! needs one is refused. A field that was missed here could be overwritten by the program; so nested structures and
//! arrays are walked too, and what is too large to walk counts as refused.

use std::cell::{Cell, OnceCell};
use std::collections::{HashMap, HashSet};

use super::explore::Explorer;
use super::fields::{Contained, Field, PointerTag, Record, Special};
use super::value::{Flags, Kind, TypesOf, Value};
use crate::btf::{Btf, Kind as TypeKind, MAX_DEPTH, Type, TypeId};
use crate::program::{KernelTypes, MapDef, MapId, Program};

/// Most fields of one value: `BTF_FIELDS_MAX`.
const MAX_FIELDS: usize = 11;

/// Most members that are looked at for one program.
const MAX_MEMBERS: usize = 1 << 18;

/// Largest structure of user memory that a map may refer to: a page.
const MAX_USER: u32 = 4096;

/// Kernel structures that a map may own (`register_btf_id_dtor_kfuncs`).
const OWNABLE: &[&str] =
    &["task_struct", "cgroup", "bpf_cpumask", "bpf_crypto_ctx", "prog_test_ref_kfunc", "prog_test_member"];

/// Why Linux does not take types for what they were meant to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The kernel's error.
    pub error: &'static str,
    /// In words.
    pub why: String,
}

impl Broken {
    fn new(error: &'static str, why: impl Into<String>) -> Self {
        Self { error, why: why.into() }
    }
}

type Found<T> = Result<T, Broken>;

/// What Linux knows of a map's values.
#[derive(Clone, Debug)]
pub(super) enum MapRecord {
    /// The map has no types, perhaps since they were refused.
    Untyped(Option<Broken>),
    /// It has types, but their special fields do not fit together.
    Unusable(Broken),
    /// These fields.
    Known(Record),
}

impl MapRecord {
    /// The fields, where there are some.
    pub const fn known(&self) -> Option<&Record> {
        match self {
            Self::Known(record) => Some(record),
            Self::Untyped(_) | Self::Unusable(_) => None,
        }
    }

    /// Why there are none.
    pub const fn broken(&self) -> Option<&Broken> {
        match self {
            Self::Untyped(broken) => broken.as_ref(),
            Self::Unusable(broken) => Some(broken),
            Self::Known(_) => None,
        }
    }
}

/// What each list's head and tree's root contains, by declaration; `None` where it says so twice.
type Tags = HashMap<(TypeId, i32), Option<String>>;

/// The special fields of all maps and structures, found when asked for.
#[derive(Debug)]
pub(super) struct Records {
    tags: OnceCell<Tags>,
    structures: OnceCell<Found<HashMap<TypeId, Record>>>,
    maps: Vec<OnceCell<MapRecord>>,
    /// Of the maps in outer ones.
    inner: Vec<OnceCell<MapRecord>>,
    /// Members that were looked at.
    looked: Cell<usize>,
}

impl Records {
    pub fn new(program: &Program) -> Self {
        let none = vec![OnceCell::new(); program.maps.len()];
        Self {
            tags: OnceCell::new(),
            structures: OnceCell::new(),
            inner: none.clone(),
            maps: none,
            looked: Cell::new(0),
        }
    }

    /// Those of the structures that have special members, or why the kernel refuses the program's BTF.
    pub fn structures(&self, program: &Program) -> &Found<HashMap<TypeId, Record>> {
        self.structures.get_or_init(|| match &program.btf {
            Some(btf) => structures(|| Finder::new(btf, program, self, Whose::Object), btf),
            None => Ok(HashMap::new()),
        })
    }

    /// Those of a map's values, or of the values of the maps in it.
    pub fn map(&self, program: &Program, map: usize, inner: bool) -> &MapRecord {
        const UNTYPED: &MapRecord = &MapRecord::Untyped(None);
        let cells = if inner { &self.inner } else { &self.maps };
        let Some((cell, def)) = cells.get(map).zip(program.maps.get(map)) else { return UNTYPED };
        let def = if inner { def.inner.as_deref().unwrap_or(def) } else { def };
        cell.get_or_init(|| self.find_map(program, def))
    }

    fn find_map(&self, program: &Program, def: &MapDef) -> MapRecord {
        let Some(btf) = &program.btf else { return MapRecord::Untyped(None) };
        let mut finder = Finder::new(btf, program, self, Whose::Map);
        let found = match &def.global {
            Some(global) => global.variables.iter().try_for_each(|variable| {
                let Some(ty) = variable.ty.and_then(|id| btf.get(id).ok()) else { return Ok(()) };
                let place = Place { off: variable.offset, size: Some(variable.size), level: 0 };
                finder.field((ty.id(), -1), ty.referenced(), &place)
            }),
            None => {
                let Some(ty) = def.value_type.and_then(|id| btf.unqualified(id).ok()) else {
                    return MapRecord::Untyped(None);
                };
                if ty.kind() != TypeKind::Struct {
                    return MapRecord::Known(Record::default());
                }
                finder.members(&ty, 0, 0)
            }
        };
        let fields = match found {
            Ok(()) if finder.fields.is_empty() => return MapRecord::Known(Record::default()),
            found => found.and_then(|()| finder.finish(def.value_size)),
        };
        // The BTF as a whole may be refused; then no map has types.
        let structures = match self.structures(program) {
            Ok(structures) => structures,
            Err(broken) => return MapRecord::Untyped(Some(broken.clone())),
        };
        let record = match fields {
            Ok(fields) => Record::new(fields),
            Err(broken) => return MapRecord::Unusable(broken),
        };
        match check_roots(&record, structures).and_then(|()| check_kind(&record, def)) {
            Ok(()) => MapRecord::Known(record),
            Err(broken) => MapRecord::Untyped(Some(broken)),
        }
    }
}

/// Structures whose members are special.
fn structures<'a>(finder: impl Fn() -> Finder<'a>, btf: &Btf) -> Found<HashMap<TypeId, Record>> {
    const NAMES: [&str; 6] =
        ["bpf_spin_lock", "bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node", "bpf_refcount"];
    let mut special: HashSet<TypeId> =
        NAMES.iter().filter_map(|name| btf.find(TypeKind::Struct, name)).collect();
    for ty in btf.ids().filter_map(|id| btf.get(id).ok()) {
        let pointer = matches!(ty.kind(), TypeKind::Ptr | TypeKind::Volatile);
        if pointer && matches!(kernel_pointer(btf, &ty), Ok(Some((tag, _))) if tag != PointerTag::User) {
            special.insert(ty.id());
        }
    }
    if special.is_empty() {
        return Ok(HashMap::new());
    }
    let mut all = HashMap::new();
    for ty in btf.ids().filter_map(|id| btf.get(id).ok()) {
        let has = ty.kind() == TypeKind::Struct && ty.members().any(|member| special.contains(&member.ty));
        if !has {
            continue;
        }
        let mut finder = finder();
        let found = finder.members(&ty, 0, 0).and_then(|()| finder.finish(ty.size()));
        let found = found.and_then(|fields| match fields.is_empty() {
            true => Err(Broken::new("EFAULT", "a special member is misplaced")),
            false => Ok(fields),
        });
        let name = ty.name().unwrap_or("?");
        let fields = found.map_err(|b| Broken::new(b.error, format!("`struct {name}`: {}", b.why)))?;
        all.insert(ty.id(), Record::new(fields));
    }
    for record in all.values() {
        check_roots(record, &all)?;
    }
    Ok(all)
}

/// What hangs from a list or a tree has a record; and what hangs from something that hangs itself owns nothing, so that
/// ownership has no cycles (`btf_check_and_fixup_fields`).
fn check_roots(record: &Record, structures: &HashMap<TypeId, Record>) -> Found<()> {
    for contained in record.fields.iter().filter_map(|field| field.special.contained()) {
        let Some(element) = structures.get(&contained.ty) else {
            return Err(Broken::new("EFAULT", "what a list or a tree contains has no special members"));
        };
        let nested = record.has(Special::is_node) && element.has(|special| special.contained().is_some());
        if nested {
            let why = "a node of a list or tree has a list or tree whose nodes have one again: ownership could be a cycle";
            return Err(Broken::new("ELOOP", why));
        }
    }
    Ok(())
}

/// Which fields a kind of map may have in its values (`map_check_btf`).
fn check_kind(record: &Record, def: &MapDef) -> Found<()> {
    use brolga_abi::maps::{F_RDONLY_PROG, F_WRONLY_PROG};
    const HASH: u32 = 1;
    const ARRAY: u32 = 2;
    const LRU_HASH: u32 = 9;
    const TASK_STORAGE: u32 = 29;
    let number = def.kind.number();
    if def.flags & (F_RDONLY_PROG | F_WRONLY_PROG) != 0 {
        return Err(Broken::new(
            "EACCES",
            "maps that programs may only read, or only write, have no special fields",
        ));
    }
    for field in &record.fields {
        let allowed = match field.special {
            Special::SpinLock | Special::ResSpinLock => {
                matches!(number, HASH | ARRAY | 19 | 24 | 28 | TASK_STORAGE | 32)
            }
            Special::Timer | Special::Workqueue | Special::TaskWork => {
                matches!(number, HASH | ARRAY | LRU_HASH)
            }
            Special::KernelPointer { tag: PointerTag::User, .. } => number == TASK_STORAGE,
            Special::KernelPointer { .. } | Special::Refcount => {
                matches!(number, HASH | ARRAY | 5 | 6 | LRU_HASH | 10 | 24 | 28 | TASK_STORAGE | 32)
            }
            Special::ListHead(_) | Special::TreeRoot(_) => matches!(number, HASH | ARRAY | LRU_HASH),
            Special::ListNode | Special::TreeNode => false,
        };
        if !allowed {
            let why = format!("values of a map of this kind have no {}", field.special.name());
            return Err(Broken::new("EOPNOTSUPP", why));
        }
    }
    Ok(())
}

/// Whose fields are looked for: not every one may be in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Map,
    Object,
}

/// Where a variable or a member is.
struct Place {
    off: u32,
    /// A variable's size in its section.
    size: Option<u32>,
    level: usize,
}

struct Finder<'a> {
    btf: &'a Btf,
    kernel: &'a KernelTypes,
    tags: &'a OnceCell<Tags>,
    whose: Whose,
    fields: Vec<Field>,
    looked: &'a Cell<usize>,
}

impl<'a> Finder<'a> {
    const fn new(btf: &'a Btf, program: &'a Program, all: &'a Records, whose: Whose) -> Self {
        let (kernel, tags, looked) = (&program.kernel, &all.tags, &all.looked);
        Self { btf, kernel, tags, whose, fields: Vec::new(), looked }
    }

    /// What must hold of all fields together.
    fn finish(&self, size: u32) -> Found<Vec<Field>> {
        let mut end = 0;
        for field in &self.fields {
            if field.off.saturating_add(field.size) > size {
                return Err(Broken::new("EFAULT", "a special field lies beyond the value"));
            }
            if field.off < end {
                return Err(Broken::new("EEXIST", "special fields overlap"));
            }
            end = field.off + field.size;
        }
        let has = |pick: fn(Special) -> bool| self.fields.iter().any(|field| pick(field.special));
        let kind = |special: Special| self.fields.iter().any(|field| field.special == special);
        if kind(Special::SpinLock) && kind(Special::ResSpinLock) {
            return Err(Broken::new("EINVAL", "it has a bpf_spin_lock and a bpf_res_spin_lock"));
        }
        if has(|special| special.contained().is_some()) && !has(Special::is_lock) {
            let why = "a bpf_list_head or bpf_rb_root needs a bpf_spin_lock beside it, which protects it";
            return Err(Broken::new("EINVAL", why));
        }
        if kind(Special::ListNode) && kind(Special::TreeNode) && !kind(Special::Refcount) {
            let why = "a bpf_list_node beside a bpf_rb_node needs a bpf_refcount: it may be in both";
            return Err(Broken::new("EINVAL", why));
        }
        Ok(self.fields.clone())
    }

    fn spend(&self) -> Found<()> {
        self.looked.set(self.looked.get() + 1);
        if self.looked.get() > MAX_MEMBERS {
            return Err(Broken::new("E2BIG", "there are too many members to look at"));
        }
        Ok(())
    }

    /// The special members of a structure.
    fn members(&mut self, ty: &Type<'_>, off: u32, level: usize) -> Found<()> {
        for (index, member) in ty.members().enumerate() {
            if !member.bit_offset.is_multiple_of(8) {
                return Err(Broken::new("EINVAL", "it has a bit field that begins within a byte"));
            }
            let place = Place { off: off.saturating_add(member.bit_offset / 8), size: None, level };
            let index = i32::try_from(index).unwrap_or(i32::MAX);
            self.field((ty.id(), index), member.ty, &place)?;
        }
        Ok(())
    }

    /// What is special about a member or a variable: the declaration, its type, where it is.
    fn field(&mut self, declared: (TypeId, i32), ty: TypeId, place: &Place) -> Found<()> {
        self.spend()?;
        let broken = |_| Broken::new("EINVAL", "a broken type");
        let (mut ty, mut count) = (self.btf.get(ty).map_err(broken)?, 1_u32);
        for depth in 0.. {
            let Some(array) = ty.array() else { break };
            if depth >= MAX_DEPTH {
                return Err(Broken::new("E2BIG", "arrays are nested too deep"));
            }
            count = count.wrapping_mul(array.len);
            ty = self.btf.get(array.element).map_err(broken)?;
        }
        if count == 0 {
            return Ok(());
        }
        let sized = |size: u32| place.size.is_none_or(|expected| expected == size.wrapping_mul(count));
        let first = self.fields.len();
        let structure = ty.kind() == TypeKind::Struct;
        let name = ty.name().unwrap_or_default();
        let Some(plain) = self.plain(name, structure)? else {
            if structure {
                if !sized(ty.size()) {
                    return Ok(());
                }
                if place.level + 1 >= MAX_DEPTH {
                    return Err(Broken::new("E2BIG", "structures are nested too deep"));
                }
                self.members(&ty, place.off, place.level + 1)?;
                return self.repeat(first, count, ty.size());
            }
            return match kernel_pointer(self.btf, &ty)? {
                Some((PointerTag::User, _)) if self.whose == Whose::Object => Ok(()),
                Some((tag, to)) if sized(8) && place.off.is_multiple_of(8) => {
                    self.check_target(tag, to)?;
                    self.add(Special::KernelPointer { ty: to, tag }, place.off, 8)?;
                    self.repeat(first, count, 8)
                }
                Some(_) | None => Ok(()),
            };
        };
        if !sized(plain.size)
            || !place.off.is_multiple_of(plain.align)
            || !structure
            || ty.size() != plain.size
        {
            return Ok(());
        }
        let special = match plain.special {
            Some(special) => special,
            None => self.root(declared, plain.list)?,
        };
        self.add(special, place.off, plain.size)?;
        self.repeat(first, count, plain.size)
    }

    fn add(&mut self, special: Special, off: u32, size: u32) -> Found<()> {
        if self.fields.len() >= MAX_FIELDS {
            return Err(Broken::new("E2BIG", format!("there are more than {MAX_FIELDS} special fields")));
        }
        self.fields.push(Field { special, off, size });
        Ok(())
    }

    /// The fields of an array's first element are those of all.
    fn repeat(&mut self, first: usize, count: u32, size: u32) -> Found<()> {
        let element: Vec<Field> = self.fields[first..].to_vec();
        if count == 1 || element.is_empty() {
            return Ok(());
        }
        let repeats = |special| match special {
            Special::KernelPointer { .. } | Special::ListHead(_) | Special::TreeRoot(_) => true,
            Special::SpinLock
            | Special::ResSpinLock
            | Special::Timer
            | Special::Workqueue
            | Special::TaskWork
            | Special::ListNode
            | Special::TreeNode
            | Special::Refcount => false,
        };
        if let Some(field) = element.iter().find(|field| !repeats(field.special)) {
            return Err(Broken::new("EINVAL", format!("{} cannot be in an array", field.special.name())));
        }
        for index in 1..count {
            for field in &element {
                self.add(field.special, field.off.saturating_add(size.saturating_mul(index)), field.size)?;
            }
        }
        Ok(())
    }

    /// A special field by the name of its type.
    fn plain(&self, name: &str, structure: bool) -> Found<Option<Plain>> {
        let object = self.whose == Whose::Object;
        let plain = |special, size, align| Plain { special: Some(special), list: false, size, align };
        let found = match name {
            "bpf_spin_lock" => plain(Special::SpinLock, 4, 4),
            "bpf_res_spin_lock" => plain(Special::ResSpinLock, 4, 4),
            "bpf_timer" if !object => plain(Special::Timer, 16, 8),
            "bpf_wq" if !object => plain(Special::Workqueue, 16, 8),
            "bpf_task_work" if !object => plain(Special::TaskWork, 8, 8),
            "bpf_list_head" => Plain { special: None, list: true, size: 16, align: 8 },
            "bpf_rb_root" => Plain { special: None, list: false, size: 16, align: 8 },
            "bpf_list_node" if object => plain(Special::ListNode, 24, 8),
            "bpf_rb_node" if object => plain(Special::TreeNode, 32, 8),
            "bpf_refcount" => plain(Special::Refcount, 4, 4),
            _ => return Ok(None),
        };
        let unique = |special| match special {
            Special::SpinLock
            | Special::ResSpinLock
            | Special::Timer
            | Special::Workqueue
            | Special::TaskWork => true,
            Special::KernelPointer { .. }
            | Special::ListHead(_)
            | Special::ListNode
            | Special::TreeRoot(_)
            | Special::TreeNode
            | Special::Refcount => false,
        };
        let again = |special: Special| unique(special) && self.fields.iter().any(|f| f.special == special);
        match found.special {
            Some(special) if structure && again(special) => {
                Err(Broken::new("E2BIG", format!("it has more than one {}", special.name())))
            }
            _ => Ok(Some(found)),
        }
    }

    /// What the tag of a list's head or a tree's root says.
    fn root(&self, declared: (TypeId, i32), list: bool) -> Found<Special> {
        let what = if list { "bpf_list_head" } else { "bpf_rb_root" };
        let refuse = |error, why: &str| Err(Broken::new(error, format!("{what}: {why}")));
        let tags = self.tags.get_or_init(|| contents(self.btf));
        let Some(Some(tag)) = tags.get(&declared) else {
            return refuse("EINVAL", "one `__contains(structure, node)` must say what it contains");
        };
        let Some((structure, node)) = tag.split_once(':').filter(|(_, node)| !node.is_empty()) else {
            return refuse("EINVAL", "`__contains` must name a structure and a member");
        };
        let Some(id) = self.btf.find(TypeKind::Struct, structure) else {
            return refuse("ENOENT", &format!("there is no `struct {structure}`"));
        };
        let wanted = if list { "bpf_list_node" } else { "bpf_rb_node" };
        let Ok(ty) = self.btf.get(id) else { return refuse("EINVAL", "a broken type") };
        let mut named = ty.members().filter(|member| self.btf.str(member.name).is_ok_and(|n| n == node));
        let Some(member) = named.next() else {
            return refuse("ENOENT", &format!("`struct {structure}` has no member `{node}`"));
        };
        if named.next().is_some() {
            return refuse("EINVAL", &format!("`struct {structure}` has two members `{node}`"));
        }
        let right = self
            .btf
            .get(member.ty)
            .is_ok_and(|ty| ty.kind() == TypeKind::Struct && ty.name().is_ok_and(|name| name == wanted));
        if !right || !member.bit_offset.is_multiple_of(64) {
            return refuse("EINVAL", &format!("`{structure}.{node}` is no {wanted}"));
        }
        let contained = Contained { ty: id, off: member.bit_offset / 8 };
        Ok(if list { Special::ListHead(contained) } else { Special::TreeRoot(contained) })
    }

    /// A map owns kernel structures only where Linux knows how to let go of them.
    fn check_target(&self, tag: PointerTag, to: TypeId) -> Found<()> {
        let name = self.btf.get(to).ok().and_then(|ty| ty.name().ok()).unwrap_or_default();
        let kernels = match self.kernel {
            KernelTypes::Kernel(kernel) => kernel.vmlinux.find(TypeKind::Struct, name).is_some(),
            KernelTypes::Own => false,
        };
        if tag == PointerTag::User {
            let size = self.btf.size_of(to).unwrap_or(0);
            return match (kernels, size) {
                (true, _) => Err(Broken::new("EINVAL", "a uptr does not point to a structure of the kernel")),
                (false, 0) => Err(Broken::new("EINVAL", "a uptr points to nothing")),
                (false, 1..=MAX_USER) => Ok(()),
                (false, _) => Err(Broken::new("E2BIG", "a uptr points to more than a page")),
            };
        }
        if tag == PointerTag::Owned && kernels && !OWNABLE.contains(&name) {
            return Err(Broken::new("ENOENT", format!("the kernel's `struct {name}` cannot be a kptr")));
        }
        Ok(())
    }
}

/// A field that its type's name tells.
struct Plain {
    /// `None`: a list's head or a tree's root.
    special: Option<Special>,
    list: bool,
    size: u32,
    align: u32,
}

/// What declarations are tagged to contain.
fn contents(btf: &Btf) -> Tags {
    let mut all = Tags::new();
    for tag in btf.ids().filter_map(|id| btf.get(id).ok()).filter(|ty| ty.kind() == TypeKind::DeclTag) {
        let text = tag.name().ok().and_then(|name| name.strip_prefix("contains:"));
        let (Some(text), Some(component)) = (text, tag.component()) else { continue };
        let known = all.entry((tag.referenced(), component));
        known.and_modify(|known| *known = None).or_insert_with(|| Some(text.to_owned()));
    }
    all
}

/// The tag of a pointer's type, and the structure to which it leads.
fn kernel_pointer(btf: &Btf, ty: &Type<'_>) -> Found<Option<(PointerTag, TypeId)>> {
    let broken = |_| Broken::new("EINVAL", "a broken type");
    let mut ty = *ty;
    if ty.kind() == TypeKind::Volatile {
        ty = btf.get(ty.referenced()).map_err(broken)?;
    }
    if ty.kind() != TypeKind::Ptr {
        return Ok(None);
    }
    let tag = btf.get(ty.referenced()).map_err(broken)?;
    if tag.kind() != TypeKind::TypeTag {
        return Ok(None);
    }
    if btf.get(tag.referenced()).map_err(broken)?.kind() == TypeKind::TypeTag {
        return Err(Broken::new("EINVAL", "a pointer has two tags"));
    }
    let kind = match tag.name().map_err(broken)? {
        "kptr" => PointerTag::Owned,
        "kptr_untrusted" => PointerTag::Untrusted,
        "percpu_kptr" => PointerTag::PerCpu,
        "uptr" => PointerTag::User,
        other => return Err(Broken::new("EINVAL", format!("a pointer is tagged `{other}`"))),
    };
    let target = btf.unqualified(tag.referenced()).map_err(broken)?;
    if target.kind() != TypeKind::Struct {
        return Err(Broken::new("EINVAL", "a kptr does not point to a structure that is known whole"));
    }
    Ok(Some((kind, target.id())))
}

impl Explorer<'_> {
    /// What is known of a map's values.
    pub(super) fn map_record(&self, map: MapId) -> &MapRecord {
        self.records.map(self.program, Self::outer_index(map), Self::is_inner(map))
    }

    /// The special fields of a map's values.
    pub(super) fn fields_of(&self, map: MapId) -> &[Field] {
        self.map_record(map).known().map_or(&[], |record| &record.fields)
    }

    /// The special fields of objects of a structure of the program.
    pub(super) fn object_record(&self, ty: TypeId) -> Option<&Record> {
        self.records.structures(self.program).as_ref().ok()?.get(&ty)
    }

    /// The special fields of what a pointer points to: a map's value or an allocated object.
    pub(super) fn special_fields(&self, value: &Value) -> Option<&Record> {
        match value.kind {
            Kind::MapValue(map) => self.map_record(map).known(),
            Kind::Btf(pointer) if value.flags.has(Flags::ALLOC) && pointer.types == TypesOf::Program => {
                self.object_record(pointer.ty)
            }
            _ => None,
        }
    }

    /// Whether pointers to what a value points to keep their id when they turn out not to be null: it tells locks apart.
    pub(super) fn keeps_id(&self, value: &Value) -> bool {
        self.special_fields(value).is_some_and(|record| record.lock.is_some())
    }
}
