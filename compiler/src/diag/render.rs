//! Renders diagnostics as text.
