//! Renders diagnostics as text, in the manner of rustc.
//!
//! ```text
//! error[null-map-value]: `r0` may be null here: bpf_map_lookup_elem found no key
//!   --> examples/count.bpf.c:21:5
//!    |  *value += 1;
//!    14: r1 = *(u64 *)(r0 + 0)
//!   --> examples/count.bpf.c:18:19
//!    |  __u64 *value = bpf_map_lookup_elem(&counts, &key);
//!    12: call bpf_map_lookup_elem    ; r0 = value of `counts`, or null
//!   help: return when `value` is null before using it
//! ```
//!
//! It renders what the diagnostic says and knows nothing of how it was found. How an instruction is
//! spelled is the caller's business: a disassembler is handed in. Colours are left to whoever prints.

use std::fmt::Write;

use super::{Diagnostic, Severity};
use crate::isa::InsnIdx;
use crate::program::Program;

/// One diagnostic as text, with a line end at its end.
#[must_use]
pub fn text(program: &Program, diagnostic: &Diagnostic, disasm: &dyn Fn(InsnIdx) -> String) -> String {
    let mut out = String::new();
    let kind = match diagnostic.severity() {
        Severity::Reject => "error",
        Severity::Unsupported => "unsupported",
    };
    let name = diagnostic.code.info().name;
    let mut lines = diagnostic.message.lines();
    line(&mut out, format_args!("{kind}[{name}]: {}", lines.next().unwrap_or_default()));
    for rest in lines {
        line(&mut out, format_args!("  {rest}"));
    }
    match diagnostic.insn {
        Some(at) => place(&mut out, program, at, None, disasm),
        None => line(&mut out, format_args!("  --> program `{}`", program.name)),
    }
    for note in &diagnostic.notes {
        match note.insn {
            Some(at) => place(&mut out, program, at, Some(&note.message), disasm),
            None => line(&mut out, format_args!("  note: {}", note.message)),
        }
    }
    if let Some(help) = &diagnostic.help {
        line(&mut out, format_args!("  help: {help}"));
    }
    out
}

/// Where an instruction came from, and the instruction itself.
fn place(
    out: &mut String,
    program: &Program,
    at: InsnIdx,
    note: Option<&str>,
    disasm: &dyn Fn(InsnIdx) -> String,
) {
    if let Some(source) = program.line_of(at) {
        let (file, row) = (&source.file, source.line);
        match source.column {
            0 => line(out, format_args!("  --> {file}:{row}")),
            column => line(out, format_args!("  --> {file}:{row}:{column}")),
        }
        if !source.text.trim().is_empty() {
            line(out, format_args!("   |  {}", source.text.trim()));
        }
    }
    let insn = if at.index() < program.insns.len() { disasm(at) } else { String::from("(end of program)") };
    match note {
        Some(note) => line(out, format_args!("   {at}: {insn}    ; {note}")),
        None => line(out, format_args!("   {at}: {insn}")),
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use brolga_abi::ProgramKind;

    use super::*;
    use crate::diag::Code;
    use crate::isa::Insn;
    use crate::program::{Lines, SourceLine};

    #[test]
    fn places_come_with_their_source_lines() {
        let maps = Arc::from(Vec::new());
        let mut program = Program::from_insns("count", ProgramKind::Xdp, vec![Insn::Exit; 3], maps);
        program.lines = Lines::from_list(&[SourceLine {
            insn: InsnIdx(1),
            file: "count.bpf.c",
            line: 21,
            column: 5,
            text: "\t*value += 1;",
        }]);
        let diagnostic = Diagnostic::at(Code::NullMapValue, InsnIdx(2), "`r0` may be null here")
            .note(Some(InsnIdx(0)), "r0 = value of `counts`, or null")
            .help("return when it is null");
        let text = text(&program, &diagnostic, &|at| format!("insn {at}"));
        assert_eq!(
            text,
            "error[null-map-value]: `r0` may be null here\n  --> count.bpf.c:21:5\n   |  *value += 1;\n   \
             2: insn 2\n   0: insn 0    ; r0 = value of `counts`, or null\n  help: return when it is null\n"
        );
    }
}
