//! Loads compiled modules: linked into this program, or in a shared object.
//!
//! A descriptor is checked before anything else of it is believed: magic, the hash of the tables it was compiled
//! with, its size. What cannot be checked is that its addresses are those of code that Brolga's
//! compiler made; that is the caller's promise, as it is for everything that is linked.

#![expect(unsafe_code, reason = "reads descriptors that compiled objects export, and opens shared objects")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;

use brolga_abi::descriptor::{
    Descriptor, MAGIC, MapDescriptor, NO_OWNER, ProgramDescriptor, VariableDescriptor, abi_hash,
};
use brolga_abi::kinds::PROGRAM_KINDS;
use brolga_abi::{MapKind, ProgramKind};

use crate::error::LoadError;
use crate::module::{Code, MapSpec, Module, ModuleInner, ModuleProgram, ProgramInfo, VariableSpec};

/// More maps, programs or variables than this are a mistake.
const COUNT_LIMIT: u64 = 1 << 20;

impl Module {
    /// A module that is linked into this program, by its descriptor.
    ///
    /// # Safety
    ///
    /// The descriptor was emitted by Brolga's compiler (of any version), with the code that it
    /// names, and stays where it is.
    ///
    /// # Errors
    ///
    /// It was compiled against other tables than this runtime's, or is no descriptor.
    pub unsafe fn from_descriptor(descriptor: &'static Descriptor) -> Result<Self, LoadError> {
        // SAFETY: the caller's promise.
        let inner = unsafe { read(descriptor, None) }?;
        Ok(Self::from_inner(inner))
    }

    /// A module in a shared object, by the name under which it was compiled.
    ///
    /// The host must export the runtime's symbols (`-rdynamic`), since the code calls helpers by name.
    ///
    /// # Safety
    ///
    /// Opening runs the object's initialisers; and as [`Module::from_descriptor`].
    ///
    /// # Errors
    ///
    /// The system's loader refuses the file, it has no such module, or as [`Module::from_descriptor`].
    pub unsafe fn open(path: &Path, name: &str) -> Result<Self, LoadError> {
        let shown = path.display().to_string();
        let error = |message: String| LoadError::Open { path: shown.clone(), message };
        let c_path = CString::new(path.as_os_str().as_bytes()).map_err(|e| error(e.to_string()))?;
        // SAFETY: a NUL-terminated path; the initialisers are the caller's promise.
        let handle = unsafe { libc::dlopen(c_path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let library = Library(NonNull::new(handle).ok_or_else(|| error(last_error()))?);
        let symbol = format!("{}{name}", brolga_abi::descriptor::DESCRIPTOR_PREFIX);
        let symbol = CString::new(symbol).map_err(|e| error(e.to_string()))?;
        // SAFETY: an open library and a NUL-terminated name.
        let descriptor = unsafe { libc::dlsym(library.0.as_ptr(), symbol.as_ptr()) };
        if descriptor.is_null() {
            return Err(error(last_error()));
        }
        // SAFETY: the caller's promise; the library stays open as long as the module.
        let inner = unsafe { read(descriptor.cast::<Descriptor>(), Some(library)) }?;
        Ok(Self::from_inner(inner))
    }
}

/// An open shared object, closed when it is dropped.
struct Library(NonNull<c_void>);

// SAFETY: a handle of the system's loader, which any thread may use.
unsafe impl Send for Library {}
// SAFETY: as above.
unsafe impl Sync for Library {}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: opened once and closed once; no code of it runs, since modules keep it.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}

/// What the system's loader said last.
fn last_error() -> String {
    // SAFETY: null or a NUL-terminated text, valid until the thread's next call of the loader.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            "unknown error".to_owned()
        } else {
            CStr::from_ptr(text).to_string_lossy().into_owned()
        }
    }
}

/// Reads a descriptor, believing nothing before it is checked.
///
/// # Safety
///
/// As [`Module::from_descriptor`].
unsafe fn read(descriptor: *const Descriptor, library: Option<Library>) -> Result<ModuleInner, LoadError> {
    // SAFETY: every descriptor begins with these two words.
    let (magic, hash) = unsafe { ((*descriptor).magic, (*descriptor).abi_hash) };
    if magic != MAGIC {
        return Err(LoadError::NotADescriptor);
    }
    if hash != abi_hash() {
        return Err(LoadError::AbiMismatch { expected: abi_hash(), found: hash });
    }
    // SAFETY: the same tables were used, so it is the same structure.
    let descriptor = unsafe { &*descriptor };
    if descriptor.size as usize != size_of::<Descriptor>() {
        return Err(malformed(format!("{} bytes, expected {}", descriptor.size, size_of::<Descriptor>())));
    }
    // SAFETY: counts stand beside pointers; names are NUL-terminated.
    unsafe {
        let programs = array(descriptor.programs, descriptor.program_count.into(), "programs")?;
        let maps = array(descriptor.maps, descriptor.map_count.into(), "maps")?;
        Ok(ModuleInner {
            name: text(descriptor.name, "module name")?,
            license: text(descriptor.license, "licence")?,
            programs: programs.iter().map(|program| read_program(program)).collect::<Result<_, _>>()?,
            maps: maps.iter().map(|map| read_map(map, programs.len())).collect::<Result<_, _>>()?,
            code: library.map(|library| Box::new(library) as _),
        })
    }
}

/// # Safety
///
/// Names are NUL-terminated.
unsafe fn read_program(program: &ProgramDescriptor) -> Result<ModuleProgram, LoadError> {
    let kind = kind(program.kind)?;
    // SAFETY: the caller's promise.
    let (name, section) =
        unsafe { (text(program.name, "program name")?, text(program.section, "section name")?) };
    if program.body.is_null() {
        return Err(malformed(format!("program `{name}` has no body")));
    }
    Ok(ModuleProgram {
        info: ProgramInfo { name, section, kind, raw_memory_len: program.raw_memory_len },
        entry: program.entry,
        body: Code(program.body),
    })
}

/// # Safety
///
/// Counts stand beside pointers; names are NUL-terminated.
unsafe fn read_map(map: &MapDescriptor, programs: usize) -> Result<MapSpec, LoadError> {
    // SAFETY: the caller's promise.
    let (name, initial, initial_programs, variables) = unsafe {
        (
            text(map.name, "map name")?,
            bytes(map.initial, map.initial_len)?,
            array(map.initial_programs, map.initial_programs_len, "initial programs")?,
            array(map.variables, map.variables_len, "variables")?,
        )
    };
    if initial.len() > map.value_size as usize {
        return Err(malformed(format!("map `{name}` starts with more bytes than its value has")));
    }
    let entry = |entry: &brolga_abi::descriptor::InitialProgram| {
        let program = usize::try_from(entry.program).ok().filter(|index| *index < programs);
        program.map(|program| (entry.index, program))
    };
    let initial_programs = initial_programs.iter().map(entry).collect::<Option<Vec<_>>>();
    let variable = |variable: &VariableDescriptor| {
        let end = variable.offset.checked_add(variable.size).filter(|end| *end <= map.value_size);
        if end.is_none() {
            return Err(malformed(format!("a variable of `{name}` lies outside of it")));
        }
        // SAFETY: the caller's promise.
        let variable_name = unsafe { text(variable.name, "variable name")? };
        Ok(VariableSpec { name: variable_name, offset: variable.offset, size: variable.size })
    };
    Ok(MapSpec {
        kind: MapKind::from_number(map.kind),
        key_size: map.key_size,
        value_size: map.value_size,
        max_entries: map.max_entries,
        flags: map.flags,
        initial: Arc::from(initial),
        folded: map.folded != 0,
        owner: if map.owner_kind == NO_OWNER { None } else { Some(kind(map.owner_kind)?) },
        initial_programs: initial_programs
            .ok_or_else(|| malformed(format!("`{name}` starts with a program that is not there")))?,
        variables: variables.iter().map(variable).collect::<Result<_, _>>()?,
        name,
    })
}

fn kind(number: u32) -> Result<ProgramKind, LoadError> {
    let kind = PROGRAM_KINDS.get(number as usize).map(|row| row.kind).filter(|kind| kind.runs());
    kind.ok_or_else(|| malformed(format!("program kind {number}")))
}

fn malformed(what: String) -> LoadError {
    LoadError::Malformed { what }
}

/// # Safety
///
/// Null, or NUL-terminated and constant.
unsafe fn text(text: *const c_char, what: &str) -> Result<String, LoadError> {
    if text.is_null() {
        return Err(malformed(format!("no {what}")));
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(str::to_owned).map_err(|_| malformed(format!("{what} is not UTF-8")))
}

/// # Safety
///
/// `count` elements at `at`, constant.
unsafe fn array<'a, T>(at: *const T, count: u64, what: &str) -> Result<&'a [T], LoadError> {
    if count == 0 {
        return Ok(&[]);
    }
    if at.is_null() || count > COUNT_LIMIT {
        return Err(malformed(format!("{count} {what}")));
    }
    let count = usize::try_from(count).map_err(|_| malformed(format!("{count} {what}")))?;
    // SAFETY: the caller's promise.
    Ok(unsafe { slice::from_raw_parts(at, count) })
}

/// # Safety
///
/// `len` bytes at `at`, constant.
unsafe fn bytes<'a>(at: *const u8, len: u32) -> Result<&'a [u8], LoadError> {
    if len == 0 || at.is_null() {
        return if len == 0 { Ok(&[]) } else { Err(malformed(format!("{len} initial bytes at no address"))) };
    }
    // SAFETY: the caller's promise.
    Ok(unsafe { slice::from_raw_parts(at, len as usize) })
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;
    use std::ptr;

    use brolga_abi::env::Env;

    use super::*;
    use crate::{Instance, Runtime, XdpVerdict};

    unsafe extern "C" fn entry(_context: *mut c_void, _env: *mut Env) -> u64 {
        1
    }

    /// A module as an object exports it; never freed.
    fn descriptor(
        change: impl FnOnce(&mut Descriptor, &mut MapDescriptor, &mut ProgramDescriptor),
    ) -> &'static Descriptor {
        let mut program = ProgramDescriptor {
            name: c"drop".as_ptr(),
            section: c"xdp".as_ptr(),
            kind: ProgramKind::Xdp as u32,
            raw_memory_len: 0,
            entry,
            body: entry as *const c_void,
            bytecode_hash: 0,
        };
        let variables: &'static [_] =
            Box::leak(Box::new([VariableDescriptor { name: c"limit".as_ptr(), offset: 4, size: 4 }]));
        let mut map = MapDescriptor {
            name: c".data".as_ptr(),
            kind: 2,
            key_size: 4,
            value_size: 8,
            max_entries: 1,
            flags: 0,
            initial_len: 8,
            initial: [1_u8, 0, 0, 0, 2, 0, 0, 0].leak_bytes(),
            folded: 0,
            owner_kind: NO_OWNER,
            initial_programs: ptr::null(),
            initial_programs_len: 0,
            variables: variables.as_ptr(),
            variables_len: 1,
        };
        let mut descriptor = Descriptor {
            magic: MAGIC,
            abi_hash: abi_hash(),
            size: u32::try_from(size_of::<Descriptor>()).expect("small"),
            map_count: 1,
            program_count: 1,
            reserved: 0,
            maps: ptr::null(),
            programs: ptr::null(),
            name: c"test".as_ptr(),
            verifier: c"1".as_ptr(),
            license: c"GPL".as_ptr(),
        };
        change(&mut descriptor, &mut map, &mut program);
        descriptor.maps = Box::leak(Box::new([map])).as_ptr();
        descriptor.programs = Box::leak(Box::new([program])).as_ptr();
        Box::leak(Box::new(descriptor))
    }

    trait LeakBytes {
        fn leak_bytes(self) -> *const u8;
    }

    impl LeakBytes for [u8; 8] {
        fn leak_bytes(self) -> *const u8 {
            Box::leak(Box::new(self)).as_ptr()
        }
    }

    fn load(
        change: impl FnOnce(&mut Descriptor, &mut MapDescriptor, &mut ProgramDescriptor),
    ) -> Result<Module, LoadError> {
        // SAFETY: well-formed up to what `change` did, which is detectable; the code is a function's.
        unsafe { Module::from_descriptor(descriptor(change)) }
    }

    #[test]
    fn a_module_of_a_descriptor_runs() {
        let module = load(|_, _, _| {}).expect("well-formed");
        assert_eq!((module.name(), module.license()), ("test", "GPL"));
        let runtime = Runtime::default();
        let instance = Instance::new(&runtime, &module).expect("fits");
        assert_eq!(
            instance.global("limit").expect("there").get::<u32>(),
            Ok(u32::from_ne_bytes([2, 0, 0, 0]))
        );
        let mut worker = runtime.worker().expect("free");
        let verdict =
            instance.program("drop").expect("there").run_xdp(&mut worker, &mut crate::Packet::default());
        assert_eq!(verdict, Ok(XdpVerdict::Drop));
    }

    #[test]
    fn descriptors_of_another_make_are_refused() {
        assert_eq!(load(|d, _, _| d.magic = 7).err(), Some(LoadError::NotADescriptor));
        let expected = abi_hash();
        let mismatch = LoadError::AbiMismatch { expected, found: expected ^ 1 };
        assert_eq!(load(|d, _, _| d.abi_hash ^= 1).err(), Some(mismatch));
        let malformed = |change: fn(&mut Descriptor, &mut MapDescriptor, &mut ProgramDescriptor)| {
            assert!(matches!(load(change), Err(LoadError::Malformed { .. })));
        };
        malformed(|d, _, _| d.size = 8);
        malformed(|d, _, _| d.name = ptr::null());
        malformed(|d, _, _| d.map_count = u32::MAX);
        malformed(|_, m, _| m.initial_len = 9);
        malformed(|_, m, _| m.initial = ptr::null());
        malformed(|_, m, _| m.value_size = 7);
        malformed(|_, m, _| m.owner_kind = 99);
        malformed(|_, m, _| m.name = c"\xff".as_ptr());
        malformed(|_, _, p| p.kind = 99);
        malformed(|_, _, p| p.body = ptr::null());
    }

    #[test]
    fn files_that_cannot_be_opened_say_why() {
        // SAFETY: there is no such file.
        let error = unsafe { Module::open(Path::new("no/such/file.so"), "x") }.err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains("no/such/file.so"), "{text}");
    }
}
