//! Sections.

use object::Endianness;
use object::elf::{
    FileHeader64, SHF_COMPRESSED, SHF_EXECINSTR, SHF_WRITE, SHT_NOBITS, SHT_PROGBITS, SHT_REL, SHT_RELA,
};
use object::read::elf::{FileHeader as _, SectionHeader as _, SectionTable};

use super::{ElfError, SectionIdx, name};

/// A section.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// Name.
    pub name: &'a str,
    /// `sh_type`
    pub kind: u32,
    /// `sh_flags`
    pub flags: u64,
    /// Contents; `None` where they are not within the file.
    data: Option<&'a [u8]>,
    /// `sh_size`
    pub size: u64,
    /// `sh_addralign`
    pub align: u64,
    /// `sh_entsize`
    pub entry_size: u64,
    /// `sh_link`: for relocations, the symbol table.
    pub link: SectionIdx,
    /// `sh_info`: for relocations, the section to which they apply.
    pub info: SectionIdx,
}

impl<'a> Section<'a> {
    /// Whether it holds bytes of the program: code or data.
    #[must_use]
    pub fn is_progbits(&self) -> bool {
        self.kind == SHT_PROGBITS
    }

    /// Whether it is zeroed memory that takes no bytes in the file.
    #[must_use]
    pub fn is_nobits(&self) -> bool {
        self.kind == SHT_NOBITS
    }

    /// Whether it holds instructions.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.is_progbits() && self.flags & u64::from(SHF_EXECINSTR) != 0
    }

    /// Whether programs may write to it.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.flags & u64::from(SHF_WRITE) != 0
    }

    /// Whether it holds relocations with or without addends.
    #[must_use]
    pub fn is_relocs(&self) -> bool {
        self.kind == SHT_REL || self.kind == SHT_RELA
    }

    /// Its bytes; none where it takes none in the file.
    ///
    /// # Errors
    ///
    /// Where they lie outside of the file, or are compressed.
    pub fn data(&self) -> Result<&'a [u8], ElfError> {
        let malformed = |reason: &str| ElfError::Malformed { what: "section", reason: reason.to_owned() };
        if self.flags & u64::from(SHF_COMPRESSED) != 0 {
            return Err(malformed("it is compressed"));
        }
        self.data.ok_or_else(|| malformed("its bytes are not within the file"))
    }
}

/// Reads the section table.
///
/// No two sections share bytes, so that reading all of them reads the file once.
pub(super) fn read<'a>(
    bytes: &'a [u8],
    file: &FileHeader64<Endianness>,
    endian: Endianness,
    table: &SectionTable<'a, FileHeader64<Endianness>>,
) -> Result<Vec<Section<'a>>, ElfError> {
    let malformed = |e| ElfError::malformed("section names", &e);
    let strings = match file.shstrndx(endian, bytes).map_err(malformed)? {
        _ if table.is_empty() => &[],
        index => {
            let section = table.section(object::SectionIndex(index as usize)).map_err(malformed)?;
            section.data(endian, bytes).map_err(malformed)?
        }
    };
    let sections: Vec<Section<'a>> = table
        .iter()
        .map(|header| {
            Ok(Section {
                name: name("section name", strings, header.sh_name(endian))?,
                kind: header.sh_type(endian),
                flags: header.sh_flags(endian),
                data: header.data(endian, bytes).ok(),
                size: header.sh_size(endian),
                align: header.sh_addralign(endian),
                entry_size: header.sh_entsize(endian),
                link: SectionIdx(header.sh_link(endian)),
                info: SectionIdx(header.sh_info(endian)),
            })
        })
        .collect::<Result<_, ElfError>>()?;
    // The first one is no section; its size may be the number of sections.
    let lengths = sections.iter().skip(1).map(|section| section.data.map_or(0, <[u8]>::len));
    let total = lengths.fold(0, usize::saturating_add);
    if total > bytes.len() {
        let reason = format!("sections of {total} bytes overlap in a file of {}", bytes.len());
        return Err(ElfError::Malformed { what: "section table", reason });
    }
    Ok(sections)
}
