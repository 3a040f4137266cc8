//! Colours. They reach terminals only: the streams in [`crate::io`] strip them elsewhere.

use anstyle::{AnsiColor, Style};

/// Something went wrong.
pub const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Something is not supported, or deserves attention.
pub const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// Something is good.
pub const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A heading.
pub const HEADING: Style = Style::new().bold();
/// Less important than what is beside it.
pub const DIM: Style = Style::new().dimmed();
/// Code in a text.
pub const CODE: Style = AnsiColor::Cyan.on_default();
