//! The outer form of a case file: comments, then sections that start with `-- name`.
//!
//! Knows lines and names and nothing of what a section holds. A section's body can be replaced
//! without touching anything else of the text, which is how results are blessed.

/// One section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What follows `-- `.
    pub name: String,
    /// Line of its first body line, from 1.
    pub line: u32,
    /// Lines of its body, without the last empty ones.
    pub body: String,
}

/// A text cut into sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sections {
    /// The lines before the first section.
    pub head: String,
    /// All sections in order.
    pub list: Vec<Section>,
}

impl Sections {
    /// Cuts a text. Every text can be cut; what the names mean is judged elsewhere.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut sections = Self::default();
        for (at, line) in (1..).zip(text.lines()) {
            if let Some(name) = line.strip_prefix("-- ") {
                let name = name.trim().to_owned();
                sections.list.push(Section { name, line: at + 1, body: String::new() });
                continue;
            }
            let body = sections.list.last_mut().map_or(&mut sections.head, |section| &mut section.body);
            body.push_str(line);
            body.push('\n');
        }
        for section in &mut sections.list {
            section.body.truncate(section.body.trim_end().len());
        }
        sections
    }

    /// The first section with a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Section> {
        self.list.iter().find(|s| s.name == name)
    }

    /// Sets the body of a section, which comes last where it is new.
    pub fn set(&mut self, name: &str, body: &str) {
        match self.list.iter_mut().find(|s| s.name == name) {
            Some(section) => body.trim_end().clone_into(&mut section.body),
            None => self.list.push(Section { name: name.to_owned(), line: 0, body: body.trim_end().into() }),
        }
    }

    /// The text again.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.head.clone();
        for section in &self.list {
            text.push_str("-- ");
            text.push_str(&section.name);
            text.push('\n');
            if !section.body.is_empty() {
                text.push_str(&section.body);
                text.push('\n');
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cutting_and_joining_keeps_the_text() {
        let text = "# about\n-- asm\nr0 = 1\n\nexit\n-- result\n0x1\n";
        let mut sections = Sections::parse(text);
        assert_eq!(sections.text(), text);
        assert_eq!(sections.get("asm").map(|s| s.line), Some(3));
        sections.set("result", "0x2\n");
        assert_eq!(sections.text(), text.replace("0x1", "0x2"));
    }
}
