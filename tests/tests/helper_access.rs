//! Asks the running kernel about calls of helpers: for every kind of program and attach type, which
//! helpers it may call, which of them want a GPL-compatible licence or a program that may sleep, and
//! which argument is the first that must be a pointer, and of what kind.
//!
//! A program of one call is loaded for each question. Kinds that the kernel was built without, or does
//! not let us load, are named and skipped.

use std::collections::BTreeSet;

use brolga_abi::helpers::{Attached, HELPERS, HelperInfo};
use brolga_abi::kinds::{ATTACH_TYPES, PROGRAM_KINDS, ProgramKind};
use brolga_abi::{Arg, AttachType};
use brolga_compiler::btf::{Btf, Kind};
use brolga_tests::bpf_syscall::{F_SLEEPABLE, KernelProgram, LoadAs};
use brolga_tests::engines::kernel::Kernel;

fn insn(opcode: u8, regs: u8, imm: i32) -> [u8; 8] {
    let imm = imm.to_le_bytes();
    [opcode, regs, 0, 0, imm[0], imm[1], imm[2], imm[3]]
}

/// The arguments as numbers, if any; the call, if any; a result.
fn program(args: Option<i32>, helper: Option<u32>, result: i32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for reg in (1..=5).take_while(|_| args.is_some()) {
        bytes.extend(insn(0xb7, reg, args.unwrap_or_default()));
    }
    bytes.extend(helper.into_iter().flat_map(|number| insn(0x85, 0, number.cast_signed())));
    bytes.extend(insn(0xb7, 0, result));
    bytes.extend(insn(0x95, 0, 0));
    bytes
}

/// A kind of program as the kernel takes it.
#[derive(Debug)]
struct Subject {
    kind: ProgramKind,
    attach: Option<AttachType>,
    load: LoadAs,
    result: i32,
}

impl Subject {
    fn new(kind: ProgramKind, attach: Option<AttachType>, types: &Btf) -> Option<Self> {
        let mut load = LoadAs { log_level: 1, ..LoadAs::kind(kind.number()?) };
        load.attach = attach.map_or(0, AttachType::number);
        if kind == ProgramKind::Syscall {
            load.flags = F_SLEEPABLE;
        }
        let target = |of, name| types.find(of, name).map_or(0, |id| id.0);
        load.attach_btf_id = match (kind, attach) {
            (ProgramKind::Tracing, Some(AttachType::TraceRawTp)) => {
                target(Kind::Typedef, "btf_trace_sched_switch")
            }
            (ProgramKind::Tracing, Some(AttachType::TraceIter)) => target(Kind::Func, "bpf_iter_task"),
            (ProgramKind::Tracing, Some(AttachType::ModifyReturn)) => {
                target(Kind::Func, "bpf_modify_return_test")
            }
            (ProgramKind::Tracing, Some(_)) => target(Kind::Func, "bpf_fentry_test1"),
            (ProgramKind::Lsm, Some(AttachType::LsmCgroup)) => target(Kind::Func, "bpf_lsm_socket_bind"),
            (ProgramKind::Lsm, Some(_)) => target(Kind::Func, "bpf_lsm_file_open"),
            // The attach type is the number of the structure's member.
            (ProgramKind::StructOps, Some(AttachType::CgroupDevice)) => {
                target(Kind::Struct, "tcp_congestion_ops")
            }
            _ => 0,
        };
        let (min, _) = kind.return_range(attach).unwrap_or((0, 0));
        let result = i32::try_from(min).expect("a small number");
        KernelProgram::judge(load, &program(None, None, result)).ok()?;
        Some(Self { kind, attach, load, result })
    }

    fn name(&self) -> String {
        format!("{} {}", self.kind.info().name, self.attach.map_or("", AttachType::name))
    }

    /// What the kernel says of a call; empty where it takes it.
    fn asks(&self, load: LoadAs, args: Option<i32>, row: &HelperInfo) -> String {
        match KernelProgram::judge(load, &program(args, Some(row.number), self.result)) {
            Ok(_) => String::new(),
            Err(failure) => failure.log,
        }
    }
}

fn subjects() -> Option<Vec<Subject>> {
    Kernel::or_skip()?;
    let bytes = match std::fs::read("/sys/kernel/btf/vmlinux") {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("skipped: the kernel does not tell its types: {error}");
            return None;
        }
    };
    let types = Btf::parse_owned(bytes).expect("the kernel's types");
    let mut subjects = Vec::new();
    for row in PROGRAM_KINDS.iter().filter(|row| row.kind.number().is_some()) {
        let attached = ATTACH_TYPES.iter().map(|(attach, _)| Some(*attach));
        let all = std::iter::once(None).chain(attached);
        // Those that the table tells apart, and two of the others.
        let named = |attach: &AttachType| {
            HELPERS.iter().flat_map(|row| row.callers).any(|callers| match callers.attach {
                Attached::Any => false,
                Attached::Only(types) | Attached::Except(types) => {
                    callers.kinds.contains(row.kind) && types.contains(attach)
                }
            })
        };
        let others = [AttachType::CgroupDevice, AttachType::StructOps];
        let all = all.filter(|attach| {
            attach.is_none_or(|attach| {
                named(&attach) || others.contains(&attach) || row.kind.attach_types().is_some()
            })
        });
        let taken: Vec<_> = all.filter_map(|attach| Subject::new(row.kind, attach, &types)).collect();
        if taken.is_empty() {
            eprintln!("skipped: the kernel takes no programs of kind {}", row.name);
        }
        let attaches: Vec<_> = taken.iter().map(|subject| subject.attach).collect();
        eprintln!("{}: {} attach types, up to {:?}", row.name, attaches.len(), attaches.last());
        subjects.extend(taken);
    }
    Some(subjects)
}

/// Programs that differ in nothing that the table asks for need not all be asked about.
fn distinct(subjects: Vec<Subject>) -> Vec<Subject> {
    let mut seen = BTreeSet::new();
    let mut known = |subject: &Subject| {
        let attach = subject.kind.effective_attach(subject.attach);
        let rows: Vec<_> =
            HELPERS.iter().map(|row| row.id.for_kind(subject.kind, attach).is_some()).collect();
        seen.insert((subject.kind, rows))
    };
    subjects.into_iter().filter(|subject| known(subject)).collect()
}

#[test]
fn the_kernel_lets_the_same_programs_call_a_helper() {
    let Some(subjects) = subjects() else { return };
    let mut wrong = Vec::new();
    for row in HELPERS {
        let (mut found, mut all) = (Vec::new(), true);
        for subject in &subjects {
            let attach = subject.kind.effective_attach(subject.attach);
            let log = subject.asks(subject.load, None, row);
            let refused =
                ["cannot use helper", "unknown func", "not supported for program type", "supported only for"];
            let allowed = !refused.iter().any(|text| log.contains(text));
            let expected = row.id.for_kind(subject.kind, attach).is_some();
            all &= !allowed;
            if allowed != expected {
                found.push(format!("{}: {}: the kernel says {allowed}", subject.name(), row.name));
            }
        }
        if all && !found.is_empty() {
            eprintln!("skipped: the kernel has no {}", row.name);
        } else {
            wrong.extend(found);
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    assert!(subjects.len() > 20, "only {} kinds were asked about", subjects.len());
}

#[test]
fn the_kernel_has_the_same_conditions_for_calls() {
    let Some(subjects) = subjects() else { return };
    let mut wrong = Vec::new();
    for subject in distinct(subjects) {
        let attach = subject.kind.effective_attach(subject.attach);
        let rows = HELPERS.iter().filter_map(|row| row.id.for_kind(subject.kind, attach));
        for row in rows {
            let log = subject.asks(LoadAs { gpl: false, ..subject.load }, None, row);
            if log.contains("cannot use helper") || log.contains("helper call is not allowed in probe") {
                continue;
            }
            let kinds_own = log.contains("programs must have a GPL compatible license");
            if log.contains("GPL-restricted") != row.gpl_only && !kinds_own {
                wrong.push(format!("{}: {}: licence: {log}", subject.name(), row.name));
            }
            let log = subject.asks(subject.load, Some(1), row);
            let may_sleep = subject.load.flags & F_SLEEPABLE != 0;
            if !may_sleep && log.contains("sleep") != row.sleeps {
                wrong.push(format!("{}: {}: sleep: {log}", subject.name(), row.name));
            }
            if row.sleeps && !may_sleep {
                continue;
            }
            // The first argument that is no number, and what it must be.
            let found = log.lines().find_map(|line| line.split_once(" type=scalar expected="));
            let expected = (1..).zip(row.args).find_map(|(reg, arg)| Some((format!("R{reg}"), word(*arg)?)));
            match (found, expected) {
                (None, None) => {}
                (Some((reg, what)), Some((expected, word))) if reg == expected && what == word => {}
                (found, expected) => {
                    let line = log.lines().rev().nth(1).unwrap_or_default();
                    wrong.push(format!(
                        "{}: {}: {found:?}, not {expected:?}: {line}",
                        subject.name(),
                        row.name
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// What the kernel says that an argument must be, where 1 is not.
fn word(arg: Arg) -> Option<&'static str> {
    const MEMORY: &str = "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_";
    Some(match arg {
        Arg::Anything | Arg::Unchecked | Arg::Size | Arg::SizeOrZero | Arg::AllocSize => return None,
        Arg::Context | Arg::ContextOrNull => "ctx",
        Arg::Map => "map_ptr",
        Arg::MapKey
        | Arg::MapValue
        | Arg::MapValueOrNull
        | Arg::WriteMapValue
        | Arg::ReadMem
        | Arg::ReadMemOrNull
        | Arg::WriteMem
        | Arg::WriteMemOrNull
        | Arg::UpdateMem
        | Arg::FixedMem(_)
        | Arg::WriteFixedMem(_)
        | Arg::UpdateFixedMem(_) => MEMORY,
        Arg::SpinLock => "map_value, ptr_",
        Arg::Timer => "map_value",
        Arg::SockCommon => "sock_common, sock, tcp_sock, xdp_sock",
        Arg::SocketOrNull => "sock",
        Arg::BtfSockCommon | Arg::BtfSockCommonOrNull | Arg::ReleaseSock => {
            "sock_common, sock, tcp_sock, xdp_sock, ptr_, trusted_ptr_"
        }
        Arg::Btf(_) | Arg::BtfOrNull(_) => "ptr_, trusted_ptr_, rcu_ptr_",
        Arg::PercpuBtf => "percpu_ptr_, percpu_rcu_ptr_, percpu_trusted_ptr_",
        Arg::ReleaseRingbufMem => "ringbuf_mem",
        Arg::Func => "func",
        Arg::StackOrNull => "fp",
        Arg::ConstStr => "map_value",
        Arg::KptrDest => "map_value, ptr_",
        Arg::ReleaseKptrOrNull => "ptr_",
        Arg::Dynptr | Arg::WriteLocalDynptr | Arg::WriteRingbufDynptr | Arg::ReleaseRingbufDynptr => {
            "fp, dynptr_ptr"
        }
    })
}
