//! Errors for C: a negative number to return, and words that each thread keeps until the next one.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::fmt::Display;

use brolga_runtime::MapError;

pub(crate) const EINVAL: i32 = 22;
pub(crate) const ENOENT: i32 = 2;
pub(crate) const ENOSPC: i32 = 28;

thread_local! {
    static LAST: RefCell<CString> = RefCell::new(CString::default());
}

/// Keeps the words and gives the number to return.
pub(crate) fn fail(errno: i32, words: impl Display) -> i32 {
    let mut text = words.to_string();
    text.retain(|c| c != '\0');
    let text = CString::new(text).expect("NULs were taken out");
    LAST.with(|last| *last.borrow_mut() = text);
    -errno
}

/// An object for C, or null.
pub(crate) fn or_null<T, E: Display>(result: Option<Result<T, E>>) -> *mut T {
    match result {
        Some(Ok(object)) => Box::into_raw(Box::new(object)),
        Some(Err(error)) => {
            fail(EINVAL, error);
            std::ptr::null_mut()
        }
        None => std::ptr::null_mut(),
    }
}

/// What an operation on a map returns.
pub(crate) fn map_result(result: Result<(), MapError>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => fail(error.errno(), &error),
    }
}

/// See the header.
#[unsafe(no_mangle)]
pub extern "C" fn brolga_last_error() -> *const c_char {
    LAST.with(|last| last.borrow().as_ptr())
}
