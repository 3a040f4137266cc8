//! The intermediate form as text, for people and for tests. Nothing reads it back.

use std::fmt;

use super::function::{Function, InstData, Type, Unit, Value};
use super::ops::{Args, Edge, ExtendKind, Mem, Op, Terminator};
use crate::isa::Size;
use crate::verify::Access;

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for function in self.functions.iter().flatten() {
            writeln!(f, "{function}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "function {} stack={} {{", self.name, self.stack_bytes)?;
        for &block in &self.layout {
            let data = self.block(block);
            write!(f, "{block}(")?;
            for (i, param) in data.params.iter().enumerate() {
                write!(f, "{}{param}: {}", comma(i), self.ty(*param))?;
            }
            writeln!(f, "):")?;
            for inst in &data.insts {
                let inst = self.inst(*inst);
                writeln!(f, "  {:>5}: {}", inst.origin, Line(self, inst))?;
            }
            writeln!(f, "  {:>5}: {}", data.end_origin, data.end)?;
        }
        writeln!(f, "}}")
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I1 => "i1",
            Self::I32 => "i32",
            Self::I64 => "i64",
        })
    }
}

struct Line<'a>(&'a Function, &'a InstData);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(result) = self.1.result {
            write!(f, "{result}: {} = ", self.0.ty(result))?;
        }
        write!(f, "{}", self.1.op)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Const(bits) if *bits < 1 << 32 => write!(f, "const {bits}"),
            Self::Const(bits) => write!(f, "const {bits:#x}"),
            Self::Binary { op, a, b } => write!(f, "{} {a}, {b}", lower(op)),
            Self::Unary { op, a } => write!(f, "{} {a}", lower(op)),
            Self::Compare { cond, a, b } => write!(f, "compare {} {a}, {b}", lower(cond)),
            Self::Select { cond, then, otherwise } => write!(f, "select {cond}, {then}, {otherwise}"),
            Self::Extend { kind, from, a } => write!(f, "{}{} {a}", extend(*kind), bits(*from)),
            Self::Trunc(a) => write!(f, "trunc {a}"),
            Self::FromBool(a) => write!(f, "from_bool {a}"),
            Self::Load { mem, size, extend: kind } => {
                write!(f, "load.{}{} {mem}", extend(*kind).chars().next().unwrap_or('u'), bits(*size))
            }
            Self::Store { mem, size, value } => write!(f, "store.{} {mem}, {value}", bits(*size)),
            Self::AtomicRmw { op, mem, size, value } => {
                write!(f, "atomic_{}.{} {mem}, {value}", lower(op), bits(*size))
            }
            Self::AtomicCas { mem, size, expected, value } => {
                write!(f, "atomic_cas.{} {mem}, {expected}, {value}", bits(*size))
            }
            Self::LoadAcquire { mem, size } => write!(f, "load_acquire.{} {mem}", bits(*size)),
            Self::StoreRelease { mem, size, value } => {
                write!(f, "store_release.{} {mem}, {value}", bits(*size))
            }
            Self::StackAddr(off) => write!(f, "stack_addr {off}"),
            Self::MapHandle(map) => write!(f, "map_handle {}", map.0),
            Self::MapValueAddr { map, off } => write!(f, "map_value_addr {}+{off}", map.0),
            Self::MapElemAddr { map, index } => write!(f, "map_elem_addr {}[{index}]", map.0),
            Self::CpuId => f.write_str("cpu_id"),
            Self::CallHelper { helper, args } => write!(f, "call {}({args})", helper.info().name),
            Self::CallRoutine { routine, args } => write!(f, "call {}({args})", routine.info().symbol),
            Self::CallHost { function, args } => write!(f, "call host {function}({args})"),
            Self::CallSubprog { subprog, args, tail_calls: _ } => {
                write!(f, "call subprog {}({args})", subprog.0)
            }
        }
    }
}

impl fmt::Display for Terminator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jump(edge) => write!(f, "jump {edge}"),
            Self::Branch { cond, then, otherwise } => write!(f, "branch {cond}, {then}, {otherwise}"),
            Self::Switch { value, cases, default } => {
                write!(f, "switch {value}, {default} [")?;
                for (i, (case, edge)) in cases.iter().enumerate() {
                    write!(f, "{}{case}: {edge}", comma(i))?;
                }
                f.write_str("]")
            }
            Self::Return(value) => write!(f, "return {value}"),
            Self::TailCall { context, map, index, next } => {
                write!(f, "tail_call {context}, {}[{index}], {next}", map.0)
            }
        }
    }
}

impl fmt::Display for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.block)?;
        list(f, &self.args)?;
        f.write_str(")")
    }
}

impl fmt::Display for Args {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list(f, self.as_slice())
    }
}

impl fmt::Display for Mem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}{:+}] ", self.base, self.off)?;
        match self.access {
            Access::OwnStack { off: Some(off) } => write!(f, "stack{off:+}"),
            Access::OwnStack { off: None } => f.write_str("stack"),
            Access::CallerStack => f.write_str("caller_stack"),
            Access::Context { off } => write!(f, "context+{off}"),
            Access::Packet => f.write_str("packet"),
            Access::MapValue { map: Some(map), off: Some(off) } => write!(f, "map {}+{off}", map.0),
            Access::MapValue { map: Some(map), off: None } => write!(f, "map {}", map.0),
            Access::MapValue { map: None, .. } => f.write_str("map"),
            Access::RawMemory => f.write_str("raw_memory"),
            Access::Mixed => f.write_str("mixed"),
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, values: &[Value]) -> fmt::Result {
    values.iter().enumerate().try_for_each(|(i, value)| write!(f, "{}{value}", comma(i)))
}

fn comma(index: usize) -> &'static str {
    if index == 0 { "" } else { ", " }
}

fn lower(name: &impl fmt::Debug) -> String {
    format!("{name:?}").to_lowercase()
}

fn extend(kind: ExtendKind) -> &'static str {
    match kind {
        ExtendKind::Zero => "uext",
        ExtendKind::Sign => "sext",
    }
}

fn bits(size: Size) -> u32 {
    size.bytes() * 8
}
