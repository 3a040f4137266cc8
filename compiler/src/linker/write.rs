//! Writes the object.
//!
//! Local symbols come first, as ELF wants it; relocations have no addends, as clang writes them.

use std::collections::HashSet;

use object::elf::{
    EM_BPF, ET_REL, SHF_INFO_LINK, SHT_NOBITS, SHT_PROGBITS, SHT_REL, STB_GLOBAL, STB_LOCAL, STB_WEAK,
    STT_FILE, STT_FUNC, STT_NOTYPE, STT_OBJECT, STT_SECTION, STV_DEFAULT, STV_HIDDEN,
};
use object::write::StringId;
use object::write::elf::{FileHeader, Rel, SectionHeader, SectionIndex, Sym, SymbolIndex, Writer};

use super::relocs::{Moved, Relocs};
use super::sections::Sections;
use super::symbols::{Out, Place, Symbols};
use super::types::Types;
use super::{LinkError, Problem};
use crate::elf::{Binding, SymbolKind};
use crate::isa::Endianness;

/// Sections of one object: higher numbers mean something else in a symbol.
const MAX_SECTIONS: usize = 0xff00 - 16;

/// A section as it is written.
struct Written<'a> {
    name: StringId,
    header: SectionHeader,
    body: Body<'a>,
}

enum Body<'a> {
    Bytes(&'a [u8]),
    Relocs(&'a [Moved]),
    Nothing,
}

/// The bytes of the object.
pub(super) fn write(
    endianness: Endianness,
    sections: &Sections<'_>,
    symbols: &Symbols<'_>,
    relocs: &Relocs,
    types: Option<&Types>,
    limit: usize,
) -> Result<Vec<u8>, LinkError> {
    let names: HashSet<&str> = symbols.out.iter().map(|symbol| symbol.name).collect();
    if names.iter().map(|name| name.len() + 1).sum::<usize>() > limit {
        return Err(Problem::TooLarge { what: "names" }.of(""));
    }
    let relocated = relocs.iter().filter(|relocs| !relocs.is_empty()).count();
    if sections.merged.len() + relocated > MAX_SECTIONS {
        return Err(Problem::TooLarge { what: "number of sections" }.of(""));
    }
    let rel_names: Vec<String> =
        sections.merged.iter().map(|merged| format!(".rel{}", merged.name)).collect();
    let mut out = Vec::new();
    let endian = match endianness {
        Endianness::Little => object::Endianness::Little,
        Endianness::Big => object::Endianness::Big,
    };
    let mut writer = Writer::new(endian, true, &mut out);
    writer.reserve_null_section_index();
    let indices: Vec<Option<SectionIndex>> =
        sections.merged.iter().map(|merged| merged.elf.map(|_| writer.reserve_section_index())).collect();
    let order = order(&symbols.out);
    let numbers = reserve_symbols(&mut writer, symbols, &order, &indices);

    let mut written = Vec::new();
    for (merged, index) in sections.merged.iter().zip(&indices) {
        if let (Some(shape), Some(_)) = (merged.elf, index) {
            let is_nobits = shape.kind == SHT_NOBITS;
            let body = if is_nobits { Body::Nothing } else { Body::Bytes(&merged.data) };
            let name = writer.add_section_name(merged.name.as_bytes());
            let header = SectionHeader {
                sh_type: shape.kind,
                sh_flags: shape.flags,
                sh_size: merged.size,
                sh_addralign: shape.align,
                sh_entsize: shape.entry_size,
                ..header()
            };
            written.push(Written { name, header, body });
        }
    }
    for (name, data) in [(".BTF", types.map(|t| &t.btf)), (".BTF.ext", types.and_then(|t| t.ext.as_ref()))] {
        if let Some(data) = data {
            writer.reserve_section_index();
            let name = writer.add_section_name(name.as_bytes());
            let header = SectionHeader {
                sh_type: SHT_PROGBITS,
                sh_size: data.len() as u64,
                sh_addralign: 8,
                ..header()
            };
            written.push(Written { name, header, body: Body::Bytes(data) });
        }
    }
    for ((index, relocs), name) in indices.iter().zip(relocs).zip(&rel_names) {
        let (Some(index), false) = (index, relocs.is_empty()) else { continue };
        writer.reserve_section_index();
        let name = writer.add_section_name(name.as_bytes());
        let header = SectionHeader {
            sh_type: SHT_REL,
            sh_flags: u64::from(SHF_INFO_LINK),
            sh_size: 16 * relocs.len() as u64,
            sh_info: index.0,
            sh_addralign: 8,
            sh_entsize: 16,
            ..header()
        };
        written.push(Written { name, header, body: Body::Relocs(relocs) });
    }
    let symtab = writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();
    for section in written.iter_mut().filter(|section| section.header.sh_type == SHT_REL) {
        section.header.sh_link = symtab.0;
    }
    emit(&mut writer, written, symbols, &order, &indices, &numbers);
    Ok(out)
}

/// Symbols in the order in which they are written, and how many of them are local.
struct Order {
    symbols: Vec<usize>,
    locals: usize,
}

fn order(symbols: &[Out<'_>]) -> Order {
    let is_local = |&at: &usize| symbols[at].binding == Binding::Local;
    let (mut order, globals): (Vec<usize>, Vec<usize>) = (0..symbols.len()).partition(is_local);
    let locals = order.len();
    order.extend(globals);
    Order { symbols: order, locals }
}

/// Numbers of all symbols, and their names.
struct Numbers {
    indices: Vec<SymbolIndex>,
    names: Vec<Option<StringId>>,
}

fn reserve_symbols<'a>(
    writer: &mut Writer<'a>,
    symbols: &Symbols<'a>,
    order: &Order,
    sections: &[Option<SectionIndex>],
) -> Numbers {
    writer.reserve_null_symbol_index();
    let mut indices = vec![SymbolIndex(0); symbols.out.len()];
    let mut names = vec![None; symbols.out.len()];
    for &at in &order.symbols {
        let symbol = &symbols.out[at];
        indices[at] = writer.reserve_symbol_index(section_of(symbol, sections));
        names[at] = (!symbol.name.is_empty()).then(|| writer.add_string(symbol.name.as_bytes()));
    }
    Numbers { indices, names }
}

fn section_of(symbol: &Out<'_>, sections: &[Option<SectionIndex>]) -> Option<SectionIndex> {
    match symbol.place {
        Place::Section(index) => sections[index.0],
        Place::Undefined | Place::Absolute(_) => None,
    }
}

fn header() -> SectionHeader {
    SectionHeader {
        name: None,
        sh_type: 0,
        sh_flags: 0,
        sh_addr: 0,
        sh_offset: 0,
        sh_size: 0,
        sh_link: 0,
        sh_info: 0,
        sh_addralign: 1,
        sh_entsize: 0,
    }
}

/// Places everything, then writes it in the same order.
fn emit(
    writer: &mut Writer<'_>,
    mut written: Vec<Written<'_>>,
    symbols: &Symbols<'_>,
    order: &Order,
    sections: &[Option<SectionIndex>],
    numbers: &Numbers,
) {
    writer.reserve_file_header();
    for section in &mut written {
        section.header.name = Some(section.name);
        let (len, align) = match section.body {
            Body::Bytes(data) => (data.len(), usize::try_from(section.header.sh_addralign).unwrap_or(1)),
            Body::Relocs(relocs) => (16 * relocs.len(), 8),
            Body::Nothing => (0, 1),
        };
        // Large alignments are for memory; the file does not have to follow them.
        section.header.sh_offset = writer.reserve(len, align.min(8)) as u64;
    }
    writer.reserve_symtab();
    writer.reserve_strtab();
    writer.reserve_shstrtab();
    writer.reserve_section_headers();

    let file =
        FileHeader { os_abi: 0, abi_version: 0, e_type: ET_REL, e_machine: EM_BPF, e_entry: 0, e_flags: 0 };
    writer.write_file_header(&file).expect("headers fit into a file that fits into memory");
    for section in &written {
        writer.pad_until(usize::try_from(section.header.sh_offset).expect("reserved in memory"));
        match section.body {
            Body::Bytes(data) => writer.write(data),
            Body::Relocs(relocs) => {
                for reloc in relocs {
                    let r_sym = numbers.indices[reloc.symbol.0].0;
                    let rel = Rel { r_offset: reloc.offset, r_sym, r_type: reloc.kind, r_addend: 0 };
                    writer.write_relocation(false, &rel);
                }
            }
            Body::Nothing => {}
        }
    }
    writer.write_null_symbol();
    for &at in &order.symbols {
        writer.write_symbol(&symbol(&symbols.out[at], numbers.names[at], sections));
    }
    writer.write_strtab();
    writer.write_shstrtab();
    writer.write_null_section_header();
    for section in &written {
        writer.write_section_header(&section.header);
    }
    writer.write_symtab_section_header(u32::try_from(order.locals + 1).unwrap_or(u32::MAX));
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
}

fn symbol(symbol: &Out<'_>, name: Option<StringId>, sections: &[Option<SectionIndex>]) -> Sym {
    let binding = match symbol.binding {
        Binding::Local => STB_LOCAL,
        Binding::Global => STB_GLOBAL,
        Binding::Weak => STB_WEAK,
        Binding::Other(number) => number,
    };
    let kind = match symbol.kind {
        SymbolKind::NoType => STT_NOTYPE,
        SymbolKind::Object => STT_OBJECT,
        SymbolKind::Func => STT_FUNC,
        SymbolKind::Section => STT_SECTION,
        SymbolKind::File => STT_FILE,
        SymbolKind::Other(number) => number,
    };
    let st_shndx = match symbol.place {
        Place::Absolute(number) => number,
        Place::Undefined | Place::Section(_) => 0,
    };
    Sym {
        name,
        section: section_of(symbol, sections),
        st_info: binding << 4 | kind & 0xf,
        st_other: if symbol.hidden { STV_HIDDEN } else { STV_DEFAULT },
        st_shndx,
        st_value: symbol.value,
        st_size: symbol.size,
    }
}
