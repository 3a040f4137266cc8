//! `brolga explain`: prints the page of a diagnostic.

use std::io::Write;
use std::process::ExitCode;

use brolga_compiler::diag::codes::{CODES, CodeInfo};
use brolga_compiler::diag::{Code, Severity};
use serde::Serialize;

use crate::args::{ExplainArgs, Format};
use crate::failure::Failure;
use crate::io::Out;
use crate::style::{CODE, DIM, HEADING};

#[derive(Serialize)]
struct Row {
    code: &'static str,
    severity: &'static str,
    summary: String,
    /// Markdown.
    page: &'static str,
}

/// Runs the command.
pub fn run(args: &ExplainArgs, out: &mut Out) -> Result<ExitCode, Failure> {
    let rows: Vec<&CodeInfo> = match &args.code {
        None => CODES.iter().collect(),
        Some(name) => vec![find(name)?.info()],
    };
    for row in rows {
        match args.format {
            Format::Json => {
                let CodeInfo { name, page, .. } = *row;
                let row = Row { code: name, severity: severity(row), summary: row.summary(), page };
                serde_json::to_writer(&mut *out, &row)?;
                writeln!(out)?;
            }
            Format::Text if args.code.is_none() => {
                writeln!(out, "{HEADING}{:32}{HEADING:#} {}", row.name, row.summary())?;
            }
            Format::Text => page(row, out)?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The code with a name, or the codes that might have been meant.
fn find(name: &str) -> Result<Code, Failure> {
    Code::from_name(name).ok_or_else(|| {
        let part = name.to_ascii_lowercase().replace('_', "-");
        let close = CODES
            .iter()
            .filter(|row| !part.is_empty() && (row.name.contains(&part) || part.contains(row.name)));
        let close: Vec<String> = close.map(|row| format!("`{}`", row.name)).collect();
        let hint = if close.is_empty() {
            "`brolga explain --list` has all".to_owned()
        } else {
            format!("did you mean {}?", close.join(" or "))
        };
        Failure::Usage(format!("no diagnostic has the code `{name}`; {hint}"))
    })
}

fn severity(row: &CodeInfo) -> &'static str {
    match row.severity {
        Severity::Reject => "reject",
        Severity::Unsupported => "unsupported",
    }
}

fn page(row: &CodeInfo, out: &mut Out) -> std::io::Result<()> {
    let meaning = match row.severity {
        Severity::Reject => "Linux would reject the program",
        Severity::Unsupported => "Brolga does not support it",
    };
    writeln!(out, "{HEADING}{}{HEADING:#} {DIM}({meaning}){DIM:#}", row.name)?;
    let mut lines = row.page.lines().skip(1).peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            for line in lines.by_ref().take_while(|line| !line.starts_with("```")) {
                writeln!(out, "{CODE}{}{CODE:#}", format_args!("    {line}").to_string().trim_end())?;
            }
            continue;
        }
        let mut paragraph = line.to_owned();
        while let Some(next) =
            lines.next_if(|next| !line.is_empty() && !next.is_empty() && !next.starts_with("```"))
        {
            paragraph = paragraph + " " + next;
        }
        for line in wrap(&paragraph, 80) {
            writeln!(out, "{line}")?;
        }
    }
    Ok(())
}

/// Breaks a paragraph into lines of at most `width` characters, where words allow.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("never empty");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
            continue;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn paragraphs_are_wrapped_at_words() {
        assert_eq!(wrap("one two  three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("incomprehensibilities", 9), ["incomprehensibilities"]);
    }
}
