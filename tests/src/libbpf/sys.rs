//! libbpf as far as tests need it: open an object, choose what to load, prepare, read the result.
//!
//! Nothing is attached or pinned: [`Object::prepare`] relocates programs and makes maps,
//! [`Object::load`] also has the kernel verify the programs. What libbpf would print is kept as text instead, so libbpf is used by one thread at a
//! time: every [`Object`] holds a lock.
#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use brolga_compiler::isa::{Endianness, RawInsn};

/// Held by whoever uses libbpf.
static IN_USE: Mutex<()> = Mutex::new(());

/// What libbpf printed since it was last taken.
static PRINTED: Mutex<String> = Mutex::new(String::new());

unsafe extern "C" {
    fn vsnprintf(
        buffer: *mut c_char,
        size: usize,
        format: *const c_char,
        args: *mut libbpf_sys::__va_list_tag,
    ) -> c_int;
}

/// Whether libbpf read the running kernel's types since it was last told to prepare.
static READ_TYPES: AtomicBool = AtomicBool::new(false);

/// What libbpf prints before it reads the kernel's types.
const READS_TYPES: &CStr = c"libbpf: loaded kernel BTF";

/// Keeps warnings.
unsafe extern "C" fn keep(
    level: libbpf_sys::libbpf_print_level,
    format: *const c_char,
    args: *mut libbpf_sys::__va_list_tag,
) -> c_int {
    if level > libbpf_sys::LIBBPF_WARN {
        // SAFETY: the format is a C string.
        if unsafe { CStr::from_ptr(format) }.to_bytes().starts_with(READS_TYPES.to_bytes()) {
            READ_TYPES.store(true, Ordering::Relaxed);
        }
        return 0;
    }
    let mut line = [0u8; 1024];
    // SAFETY: the buffer has the size given with it; format and arguments come from libbpf, which
    // wrote them for this family of functions.
    let written = unsafe { vsnprintf(line.as_mut_ptr().cast(), line.len(), format, args) };
    if let Ok(text) = CStr::from_bytes_until_nul(&line) {
        lock(&PRINTED).push_str(&text.to_string_lossy());
    }
    written
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What libbpf printed since the last time; at least says the error's number.
fn printed(errno: i32) -> String {
    let text = std::mem::take(&mut *lock(&PRINTED));
    if text.is_empty() { format!("error {errno}, and nothing printed") } else { text }
}

/// What becomes of libbpf's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Messages {
    /// They are the text of errors.
    Kept,
    /// None is made, which takes less time.
    Off,
}

/// An opened object.
#[derive(Debug)]
pub struct Object {
    raw: NonNull<libbpf_sys::bpf_object>,
    _in_use: MutexGuard<'static, ()>,
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: `raw` was opened and is closed only here.
        unsafe { libbpf_sys::bpf_object__close(self.raw.as_ptr()) };
    }
}

impl Object {
    /// Opens an object. No map of it will be pinned. Its relocations will be resolved against the types in
    /// a file, if one is given, else against those of the running kernel.
    ///
    /// # Errors
    ///
    /// What libbpf printed.
    pub fn open(bytes: &[u8], types: Option<&Path>, messages: Messages) -> Result<Self, String> {
        let in_use = lock(&IN_USE);
        let print: libbpf_sys::libbpf_print_fn_t = if messages == Messages::Kept { Some(keep) } else { None };
        // SAFETY: `keep` has the type asked for and lives as long as the process.
        unsafe { libbpf_sys::libbpf_set_print(print) };
        lock(&PRINTED).clear();
        let size = bytes.len().try_into().expect("a size");
        let types = types.map(|path| CString::new(path.as_os_str().as_bytes()).expect("a path"));
        let options = libbpf_sys::bpf_object_open_opts {
            sz: size_of::<libbpf_sys::bpf_object_open_opts>().try_into().expect("a size"),
            btf_custom_path: types.as_ref().map_or(ptr::null(), |path| path.as_ptr()),
            ..Default::default()
        };
        // SAFETY: pointer and size are of one slice, which libbpf reads during this call only, as it does
        // the options, which say their own size.
        let raw =
            unsafe { libbpf_sys::bpf_object__open_mem(bytes.as_ptr().cast(), size, &raw const options) };
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or_default();
        let object = Self { raw: NonNull::new(raw).ok_or_else(|| printed(errno))?, _in_use: in_use };
        for map in object.maps() {
            // SAFETY: the map is of an open object; a null path means that it is not pinned.
            unsafe { libbpf_sys::bpf_map__set_pin_path(map.as_ptr(), ptr::null()) };
        }
        Ok(object)
    }

    fn programs(&self) -> impl Iterator<Item = NonNull<libbpf_sys::bpf_program>> {
        let next = |before: *mut libbpf_sys::bpf_program| {
            // SAFETY: the object is open, and `before` is null or one of its programs.
            NonNull::new(unsafe { libbpf_sys::bpf_object__next_program(self.raw.as_ptr(), before) })
        };
        std::iter::successors(next(ptr::null_mut()), move |before| next(before.as_ptr()))
    }

    fn maps(&self) -> impl Iterator<Item = NonNull<libbpf_sys::bpf_map>> {
        let next = |before: *const libbpf_sys::bpf_map| {
            // SAFETY: the object is open, and `before` is null or one of its maps.
            NonNull::new(unsafe { libbpf_sys::bpf_object__next_map(self.raw.as_ptr(), before) })
        };
        std::iter::successors(next(ptr::null()), move |before| next(before.as_ptr()))
    }

    /// Names of the programs, in libbpf's order.
    #[must_use]
    pub fn program_names(&self) -> Vec<String> {
        // SAFETY: the program is of an open object; the name lives as long.
        self.programs().map(|p| unsafe { text(libbpf_sys::bpf_program__name(p.as_ptr())) }).collect()
    }

    /// Name and file descriptor of each map, in libbpf's order. The name is libbpf's: that of global
    /// data begins with the object's.
    #[must_use]
    pub fn map_names(&self) -> Vec<(String, RawFd)> {
        self.maps()
            .map(|map| {
                // SAFETY: the map is of an open object; the name lives as long and is copied.
                unsafe {
                    (text(libbpf_sys::bpf_map__name(map.as_ptr())), libbpf_sys::bpf_map__fd(map.as_ptr()))
                }
            })
            .collect()
    }

    /// The maps as libbpf defines them, in its order.
    #[must_use]
    pub fn map_definitions(&self) -> Vec<Map> {
        self.maps().map(definition).collect()
    }

    /// Indices of maps that hold kernel structures of functions.
    #[must_use]
    pub fn struct_ops_maps(&self) -> Vec<usize> {
        // SAFETY: the map is of an open object.
        let is = |map: NonNull<_>| unsafe {
            libbpf_sys::bpf_map__type(map.as_ptr()) == libbpf_sys::BPF_MAP_TYPE_STRUCT_OPS
        };
        self.maps().enumerate().filter(|(_, map)| is(*map)).map(|(at, _)| at).collect()
    }

    /// Says whether a program is to be loaded.
    pub fn set_autoload(&self, program: usize, load: bool) {
        let program = self.programs().nth(program).expect("a program of this object");
        // SAFETY: the program is of an open object.
        unsafe { libbpf_sys::bpf_program__set_autoload(program.as_ptr(), load) };
    }

    /// Has the kernel write its log about a program to a buffer at the next [`Object::load`].
    ///
    /// # Errors
    ///
    /// The number of the error.
    pub fn set_log(&self, program: usize, level: u32, buffer: &mut Log) -> Result<(), i32> {
        let program = self.programs().nth(program).expect("a program of this object").as_ptr();
        let size = buffer.0.len().try_into().expect("a size");
        // SAFETY: the program is of an open object; whoever loads it hands in the buffer again, so it lives.
        let errors = unsafe {
            [
                libbpf_sys::bpf_program__set_log_level(program, level),
                libbpf_sys::bpf_program__set_log_buf(program, buffer.0.as_mut_ptr().cast(), size),
            ]
        };
        errors.into_iter().find(|error| *error != 0).map_or(Ok(()), Err)
    }

    /// Adds flags with which a program is loaded.
    ///
    /// # Errors
    ///
    /// The number of the error.
    pub fn add_flags(&self, program: usize, flags: u32) -> Result<(), i32> {
        let program = self.programs().nth(program).expect("a program of this object").as_ptr();
        // SAFETY: the program is of an open object.
        let error = unsafe {
            libbpf_sys::bpf_program__set_flags(program, libbpf_sys::bpf_program__flags(program) | flags)
        };
        if error == 0 { Ok(()) } else { Err(error) }
    }

    /// Sets the number of entries of a map.
    ///
    /// # Errors
    ///
    /// The number of the error.
    pub fn set_max_entries(&self, map: usize, entries: u32) -> Result<(), i32> {
        let map = self.maps().nth(map).expect("a map of this object");
        // SAFETY: the map is of an open object.
        let error = unsafe { libbpf_sys::bpf_map__set_max_entries(map.as_ptr(), entries) };
        if error == 0 { Ok(()) } else { Err(error) }
    }

    /// Loads what is to be loaded into the kernel, where it stays until the object is closed. The kernel
    /// writes to the log that was set before, if one was.
    ///
    /// # Errors
    ///
    /// What libbpf printed.
    pub fn load(&self, _log: &mut Log) -> Result<(), String> {
        lock(&PRINTED).clear();
        // SAFETY: the object is open. The log is borrowed exclusively for as long as the kernel writes to it.
        match unsafe { libbpf_sys::bpf_object__load(self.raw.as_ptr()) } {
            0 => Ok(()),
            error => Err(printed(error)),
        }
    }

    /// Keeps a map from being made.
    pub fn leave_out_map(&self, map: usize) {
        let map = self.maps().nth(map).expect("a map of this object");
        // SAFETY: the map is of an open object.
        unsafe { libbpf_sys::bpf_map__set_autocreate(map.as_ptr(), false) };
    }

    /// Has a map stand for one that cannot be made. Its name and sizes are lost.
    ///
    /// # Errors
    ///
    /// What libbpf printed.
    pub fn reuse_map(&self, map: usize, fd: RawFd) -> Result<(), String> {
        let map = self.maps().nth(map).expect("a map of this object");
        // SAFETY: the map is of an open object; libbpf duplicates the descriptor.
        match unsafe { libbpf_sys::bpf_map__reuse_fd(map.as_ptr(), fd) } {
            0 => Ok(()),
            error => Err(printed(error)),
        }
    }

    /// Resolves externs and relocations and makes maps.
    ///
    /// # Errors
    ///
    /// What libbpf printed.
    pub fn prepare(&self) -> Result<(), String> {
        lock(&PRINTED).clear();
        READ_TYPES.store(false, Ordering::Relaxed);
        // SAFETY: the object is open.
        match unsafe { libbpf_sys::bpf_object__prepare(self.raw.as_ptr()) } {
            0 => Ok(()),
            error => Err(printed(error)),
        }
    }

    /// Whether preparing read the running kernel's types.
    #[must_use]
    pub fn read_types(&self) -> bool {
        READ_TYPES.load(Ordering::Relaxed)
    }

    /// Instructions of a program as they stand now; `None` where it is not to be loaded.
    #[must_use]
    pub fn insns(&self, program: usize) -> Option<Vec<RawInsn>> {
        let program = self.programs().nth(program).expect("a program of this object");
        // SAFETY: the program is of an open object. The instructions stay until it is prepared or
        // closed, both of which need `self`; they are copied as bytes, and each has eight.
        let bytes = unsafe {
            if !libbpf_sys::bpf_program__autoload(program.as_ptr()) {
                return None;
            }
            let first = libbpf_sys::bpf_program__insns(program.as_ptr());
            let count = usize::try_from(libbpf_sys::bpf_program__insn_cnt(program.as_ptr()));
            std::slice::from_raw_parts(first.cast::<[u8; 8]>(), count.expect("a count"))
        };
        Some(bytes.iter().map(|slot| RawInsn::from_bytes(*slot, Endianness::NATIVE)).collect())
    }
}

/// What the kernel writes about a program.
#[derive(Debug)]
pub struct Log(Box<[u8]>);

impl Log {
    /// An empty one with room for this many bytes.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(vec![0; size].into())
    }

    /// What was written.
    #[must_use]
    pub fn text(&self) -> String {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        String::from_utf8_lossy(&self.0[..end]).into_owned()
    }

    /// Forgets what was written.
    pub fn clear(&mut self) {
        self.0[0] = 0;
    }
}

/// A map as libbpf would make it, had it prepared the object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of libbpf's accessors")]
pub struct Map {
    pub name: String,
    pub kind: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
    pub extra: u64,
    pub numa_node: u32,
    pub autocreate: bool,
    /// Bytes of the value, where the object has them.
    pub initial: Option<Vec<u8>>,
    pub inner: Option<Box<Self>>,
}

fn definition(map: NonNull<libbpf_sys::bpf_map>) -> Map {
    let map = map.as_ptr();
    // SAFETY: the map is of an open object, which its caller holds; what is pointed to lives as long and
    // is copied.
    unsafe {
        let mut size = 0;
        let value = libbpf_sys::bpf_map__initial_value(map, &raw mut size);
        let value = NonNull::new(value.cast::<u8>());
        let size = usize::try_from(size).expect("a size");
        let name = NonNull::new(libbpf_sys::bpf_map__name(map).cast_mut());
        Map {
            name: name.map_or_else(String::new, |name| text(name.as_ptr())),
            kind: libbpf_sys::bpf_map__type(map),
            key_size: libbpf_sys::bpf_map__key_size(map),
            value_size: libbpf_sys::bpf_map__value_size(map),
            max_entries: libbpf_sys::bpf_map__max_entries(map),
            flags: libbpf_sys::bpf_map__map_flags(map),
            extra: libbpf_sys::bpf_map__map_extra(map),
            numa_node: libbpf_sys::bpf_map__numa_node(map),
            autocreate: libbpf_sys::bpf_map__autocreate(map),
            initial: value.map(|value| std::slice::from_raw_parts(value.as_ptr(), size).to_vec()),
            inner: NonNull::new(libbpf_sys::bpf_map__inner_map(map)).map(|inner| Box::new(definition(inner))),
        }
    }
}

/// A small map that may stand for any.
///
/// # Errors
///
/// Where bpf(2) is not allowed.
pub fn any_map() -> std::io::Result<OwnedFd> {
    let kind = libbpf_sys::BPF_MAP_TYPE_ARRAY;
    // SAFETY: the name is a C string, and null options are the default ones.
    let fd = unsafe { libbpf_sys::bpf_map_create(kind, c"any".as_ptr(), 4, 4, 1, ptr::null()) };
    if fd < 0 {
        return Err(std::io::Error::from_raw_os_error(-fd));
    }
    // SAFETY: the descriptor was made above and is owned by nothing else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Copies a C string.
///
/// # Safety
///
/// `text` is a C string.
unsafe fn text(text: *const c_char) -> String {
    // SAFETY: as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// What libbpf asks of the kernel at each preparation, beside making maps: to load the object's types and a
/// trivial program. Only to be timed.
///
/// # Errors
///
/// Where bpf(2) refuses.
pub fn ask_kernel(object: &Object) -> std::io::Result<()> {
    let close = |fd: c_int| {
        if fd < 0 {
            return Err(std::io::Error::from_raw_os_error(-fd));
        }
        // SAFETY: the descriptor was just made and is owned by nothing else.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        Ok(())
    };
    // SAFETY: the object is open; its types live as long, and so do their bytes, whose number is said.
    unsafe {
        let types = libbpf_sys::bpf_object__btf(object.raw.as_ptr());
        if !types.is_null() {
            let mut size = 0;
            let bytes = libbpf_sys::btf__raw_data(types, &raw mut size);
            close(libbpf_sys::bpf_btf_load(bytes, size.into(), ptr::null_mut()))?;
        }
    }
    let slot = |code, imm| libbpf_sys::bpf_insn { code, imm, ..Default::default() };
    let insns = [slot(0xb7, 0), slot(0x95, 0)];
    let (kind, count) = (libbpf_sys::BPF_PROG_TYPE_SOCKET_FILTER, insns.len().try_into().expect("two"));
    // SAFETY: two instructions, which are read during the call only; a null name and null options are allowed.
    close(unsafe {
        libbpf_sys::bpf_prog_load(kind, ptr::null(), c"GPL".as_ptr(), insns.as_ptr(), count, ptr::null_mut())
    })
}

/// Reads and parses the running kernel's types, as every preparation that needs them does. Only to be timed.
///
/// # Errors
///
/// Where they cannot be read.
pub fn read_kernel_types() -> std::io::Result<()> {
    // SAFETY: the types are freed here and used nowhere.
    unsafe {
        let types = libbpf_sys::btf__load_vmlinux_btf();
        if types.is_null() {
            return Err(std::io::Error::last_os_error());
        }
        libbpf_sys::btf__free(types);
    }
    Ok(())
}
