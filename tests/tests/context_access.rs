//! Asks the running kernel about accesses to contexts: every kind of program and attach type, every
//! offset, every size, loads and stores; and about what the loads yield.
//!
//! A program of one access is loaded for each question, and its verdict compared with the table of
//! fields. Kinds that the kernel was built without are named and skipped.

use brolga_abi::AttachType;
use brolga_abi::context::{self, ContextInfo, ContextShape, Direction, Field, FieldValue};
use brolga_abi::kinds::{ATTACH_TYPES, PROGRAM_KINDS, ProgramKind};
use brolga_tests::bpf_syscall::{F_SLEEPABLE, KernelProgram, LoadAs};
use brolga_tests::engines::kernel::Kernel;

const LDX: u8 = 0x61;
const LDX_SIGNED: u8 = 0x81;
const STX: u8 = 0x63;
/// The size bits of an opcode, by size.
const SIZES: [(u32, u8); 4] = [(1, 0x10), (2, 0x08), (4, 0x00), (8, 0x18)];

fn insn(opcode: u8, regs: u8, off: i16, imm: i32) -> [u8; 8] {
    let (off, imm) = (off.to_le_bytes(), imm.to_le_bytes());
    [opcode, regs, off[0], off[1], imm[0], imm[1], imm[2], imm[3]]
}

/// `r0 = RESULT; exit`, after an access, if any.
fn program(access: Option<[u8; 8]>, result: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(insn(0xb7, 0x00, 0, 0));
    bytes.extend(access.into_iter().flatten());
    bytes.extend(insn(0xb7, 0x00, 0, result));
    bytes.extend(insn(0x95, 0x00, 0, 0));
    bytes
}

/// A kind of program as the kernel takes it, or `None` where it does not take it.
struct Subject {
    kind: ProgramKind,
    attach: Option<AttachType>,
    load: LoadAs,
    result: i32,
}

impl Subject {
    fn new(kind: ProgramKind, attach: Option<AttachType>) -> Option<Self> {
        let mut load = LoadAs::kind(kind.number()?);
        load.attach = attach.map_or(0, AttachType::number);
        if kind == ProgramKind::Syscall {
            load.flags = F_SLEEPABLE;
        }
        let (min, _) = kind.return_range(attach).unwrap_or((0, 0));
        let result = i32::try_from(min).expect("a small number");
        KernelProgram::judge(load, &program(None, result)).ok()?;
        Some(Self { kind, attach, load, result })
    }

    fn name(&self) -> String {
        format!("{} {}", self.kind.info().name, self.attach.map_or("", AttachType::name))
    }

    fn context(&self) -> &'static ContextInfo {
        self.kind.info().context
    }

    /// The kernel's verdict on an access: whether it is allowed. Panics where it refuses for another reason.
    fn allows(&self, access: [u8; 8], offset: u32, size: u32) -> bool {
        match KernelProgram::judge(LoadAs { log_level: 1, ..self.load }, &program(Some(access), self.result))
        {
            Ok(_) => true,
            Err(failure) => {
                let needle = format!("invalid bpf_context access off={offset} size={size}");
                assert!(failure.log.contains(&needle), "{}: {}: {}", self.name(), failure.error, failure.log);
                false
            }
        }
    }

    /// What the kernel says that a load leaves in `r0`.
    fn yields(&self, access: [u8; 8]) -> String {
        let log =
            KernelProgram::judge(LoadAs { log_level: 2, ..self.load }, &program(Some(access), self.result))
                .expect("it was accepted before");
        let at = log.find("1: (").expect("the access is in the log");
        let line = log[at..].lines().next().unwrap_or_default();
        let state = line.split("R0=").nth(1).or_else(|| line.split("R0_w=").nth(1)).unwrap_or_default();
        state.split(['(', ' ']).next().unwrap_or_default().to_owned()
    }

    fn offsets(&self) -> impl Iterator<Item = u32> {
        let size = self.context().size;
        // The large ones are uniform: their ends will do. An instruction's offset ends at 32,767.
        (0..(size + 16).min(256))
            .chain(size.max(256).saturating_sub(32)..(size + 16))
            .filter(|at| *at < 32_760)
    }
}

/// The kernel's word for a value.
fn word(value: FieldValue) -> Option<String> {
    Some(match value {
        FieldValue::Scalar => return None,
        FieldValue::Packet => "pkt".to_owned(),
        FieldValue::PacketEnd => "pkt_end".to_owned(),
        FieldValue::PacketMeta => "pkt_meta".to_owned(),
        FieldValue::Socket => "sock".to_owned(),
        FieldValue::SocketOrNull => "sock_or_null".to_owned(),
        FieldValue::SockCommonOrNull => "sock_common_or_null".to_owned(),
        FieldValue::FlowKeys => "flow_keys".to_owned(),
        FieldValue::TracepointBuffer => "tp_buffer".to_owned(),
        FieldValue::Btf(name) => format!("trusted_ptr_{name}"),
    })
}

fn subjects() -> Vec<Subject> {
    let mut subjects = Vec::new();
    for row in PROGRAM_KINDS {
        if matches!(row.context.shape, ContextShape::BtfArgs) || row.kind.number().is_none() {
            continue;
        }
        let attached = ATTACH_TYPES.iter().map(|(attach, _)| Some(*attach));
        let all = std::iter::once(None).chain(attached);
        let mut taken: Vec<_> = all.filter_map(|attach| Subject::new(row.kind, attach)).collect();
        if taken.is_empty() {
            eprintln!("skipped: the kernel takes no programs of kind {}", row.name);
        }
        // Where the kernel takes any, those that the context or the result depend on will do.
        if row.kind.attach_types().is_none() {
            let fields = row.context.fields();
            let only: Vec<_> = fields.iter().flat_map(|f| [f.read.only, f.write.only].concat()).collect();
            taken.retain(|subject| {
                let range = row.kind.return_range(subject.attach);
                let named = subject.attach.is_none_or(|attach| only.contains(&attach));
                named || range != row.kind.return_range(None)
            });
        }
        subjects.extend(taken);
    }
    subjects
}

#[test]
fn the_kernel_allows_the_same_accesses() {
    if Kernel::or_skip().is_none() {
        return;
    }
    let mut wrong = Vec::new();
    let mut asked = 0_u32;
    for subject in subjects() {
        for offset in subject.offsets() {
            for (size, bits) in SIZES {
                let off = i16::try_from(offset).expect("offsets are small");
                let at = |opcode: u8, regs| insn(opcode & !0x18 | bits, regs, off, 0);
                let attach = subject.kind.effective_attach(subject.attach);
                let field = |direction| subject.context().access(direction, offset, size, attach);
                let mut ask = |what: &str, access, expected: Option<&Field>| {
                    asked += 1;
                    let allowed = subject.allows(access, offset, size);
                    if allowed != expected.is_some() {
                        let name = subject.name();
                        wrong.push(format!("{name}: {what} {offset}+{size}: the kernel says {allowed}"));
                    }
                    allowed
                };
                let loaded = field(Direction::Read);
                let allowed = ask("load", at(LDX, 0x10), loaded);
                ask("store", at(STX, 0x01), field(Direction::Write));
                if size < 8 {
                    let scalar = loaded.filter(|field| field.yields_at(offset) == FieldValue::Scalar);
                    ask("signed load", at(LDX_SIGNED, 0x10), scalar);
                }
                if let (true, Some(field)) = (allowed, loaded) {
                    let (found, expected) = (subject.yields(at(LDX, 0x10)), word(field.yields_at(offset)));
                    let scalar =
                        found.starts_with("scalar") || found.starts_with(|c: char| c.is_ascii_digit());
                    if expected.as_ref().map_or(!scalar, |expected| found != *expected) {
                        let name = subject.name();
                        wrong.push(format!("{name}: {offset}+{size} yields `{found}`, not {expected:?}"));
                    }
                }
            }
        }
    }
    eprintln!("{asked} accesses");
    assert!(wrong.is_empty(), "{} of {asked} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(asked > 10_000, "only {asked} accesses were asked for");
}

#[test]
fn the_kernel_takes_the_same_attach_types() {
    if Kernel::or_skip().is_none() {
        return;
    }
    let mut wrong = Vec::new();
    for row in PROGRAM_KINDS {
        let attached = ATTACH_TYPES.iter().map(|(attach, _)| Some(*attach));
        let all: Vec<_> = std::iter::once(None).chain(attached).collect();
        let taken: Vec<_> = all.iter().map(|attach| Subject::new(row.kind, *attach).is_some()).collect();
        if !taken.contains(&true) {
            eprintln!("skipped: the kernel takes no {} programs that are attached to no type", row.name);
            continue;
        }
        for (attach, taken) in all.into_iter().zip(taken) {
            // `enum bpf_attach_type` had one more when libbpf 1.7 was written.
            if attach != Some(AttachType::TraceFsession) && row.kind.takes_attach(attach) != taken {
                let name = attach.map_or("no attach type", AttachType::name);
                wrong.push(format!("{} with {name}: the kernel says {taken}", row.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_kernel_allows_the_same_results() {
    if Kernel::or_skip().is_none() {
        return;
    }
    let mut wrong = Vec::new();
    for subject in subjects() {
        let range = subject.kind.return_range(subject.kind.effective_attach(subject.attach));
        for result in -2..6 {
            let taken = KernelProgram::judge(subject.load, &program(None, result)).is_ok();
            if range.is_none_or(|(min, max)| (min..=max).contains(&result.into())) != taken {
                wrong.push(format!("{}: {result}: the kernel says {taken}", subject.name()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// `r1` is made a pointer to a structure by these instructions.
fn pointees() -> Vec<(&'static str, &'static ContextInfo, LoadAs, Vec<[u8; 8]>)> {
    let load = |to: u8, from: u8, off| insn(0x79, from << 4 | to, off, 0);
    let null = |reg| [insn(0x55, reg, 2, 0), insn(0xb7, 0, 0, 0), insn(0x95, 0, 0, 0)];
    let sched = LoadAs::kind(3);
    let mut common = vec![load(1, 1, 168)];
    common.extend(null(1));
    let mut tcp = common.clone();
    tcp.push(insn(0x85, 0, 0, 96));
    tcp.extend(null(0));
    tcp.push(insn(0xbf, 0x01, 0, 0));
    let connect = LoadAs { attach: AttachType::CgroupInet4Connect.number(), ..LoadAs::kind(18) };
    vec![
        ("sock", &context::SOCKET, connect, vec![load(1, 1, 64)]),
        ("sock_common", &context::SOCK_COMMON, sched, common),
        ("tcp_sock", &context::TCP_SOCK, sched, tcp),
    ]
}

#[test]
fn the_kernel_allows_the_same_accesses_to_sockets() {
    if Kernel::or_skip().is_none() {
        return;
    }
    let mut wrong = Vec::new();
    for (name, info, load, prelude) in pointees() {
        let whole = |access| {
            let mut bytes: Vec<u8> = prelude.iter().flatten().copied().collect();
            bytes.extend(program(access, 0));
            bytes
        };
        KernelProgram::judge(LoadAs { log_level: 1, ..load }, &whole(None)).expect(name);
        for offset in 0..info.size + 16 {
            for (size, bits) in SIZES {
                let off = i16::try_from(offset).expect("offsets are small");
                let access = insn(LDX & !0x18 | bits, 0x10, off, 0);
                let allowed = KernelProgram::judge(load, &whole(Some(access))).is_ok();
                if info.access(Direction::Read, offset, size, None).is_some() != allowed {
                    wrong.push(format!("{name}: {offset}+{size}: the kernel says {allowed}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
