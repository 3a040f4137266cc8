//! Calls of kernel functions.
//!
//! What a function takes and returns is read from the kernel's BTF, what else it demands from a table of names
//! ([`table`]). Arguments are judged by the types of the parameters, and by suffixes of their names (`__sz`, `__k`,
//! `__ign`, `__nullable`, `__str`). What is not understood is unsupported, never accepted.

mod args;
mod graph;
mod later;
mod result;
mod sections;
mod table;

use std::collections::HashMap;
use std::rc::Rc;

use brolga_abi::{AttachType, ProgramKind};

use super::explore::{Check, Explorer, Next};
use super::facts::Foreign;
use super::structure::Layout;
use crate::btf::{Btf, Kind as TypeKind, TypeId};
use crate::diag::Code;
use crate::isa::{CallTarget, Insn, InsnIdx, Reg};
use crate::program::{KernelTypes, MapId, Program, SubprogId};

use super::fields::Contained;
use super::obligations::RegSet;
use super::scalar::Scalar;
use super::state::State;
use super::value::{BtfPointer, Dynptr, Value};
use later::Work;
use table::Row;

/// A kernel function that a program calls.
#[derive(Clone, Debug)]
pub(super) struct Kfunc {
    name: String,
    row: Option<&'static Row>,
    params: Vec<Param>,
    returns: TypeId,
    /// The module whose types these are; `None` for the kernel's.
    module: Option<usize>,
}

#[derive(Clone, Debug)]
struct Param {
    name: String,
    ty: TypeId,
    /// How many bytes it points to, where its type says so.
    size: Option<u32>,
}

impl Kfunc {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many parameters it has.
    pub fn params(&self) -> usize {
        self.params.len()
    }

    /// How many bytes there are behind a parameter, where its type says so.
    pub fn size_behind(&self, index: usize) -> Option<u32> {
        self.params.get(index).filter(|_| !self.is_sized(index))?.size
    }

    /// Whether the next parameter says how many bytes there are behind a parameter.
    pub fn is_sized(&self, index: usize) -> bool {
        let next = self.params.get(index + 1);
        next.is_some_and(|next| next.name.ends_with("__sz") || next.name.ends_with("__szk"))
    }

    fn has(&self, flag: u16) -> bool {
        self.row.is_some_and(|row| row.flags & flag != 0)
    }

    /// Whether pointers to the packet are lost by a call.
    fn moves_packet(&self) -> bool {
        self.name == "bpf_xdp_pull_data"
    }
}

/// The kernel functions that a program calls, by the call's target.
#[derive(Debug, Default)]
pub(super) struct Kfuncs {
    found: HashMap<(i32, i16), Rc<Kfunc>>,
}

impl Kfuncs {
    /// Finds them in the kernel's types.
    pub fn new(program: &Program) -> Self {
        let mut all = Self::default();
        for insn in &program.insns {
            if let Insn::Call(CallTarget::Kfunc { id, module }) = *insn
                && !all.found.contains_key(&(id, module))
                && let Some(kfunc) = resolve(program, id, module)
            {
                all.found.insert((id, module), Rc::new(kfunc));
            }
        }
        all
    }

    /// The function of a call.
    pub fn get(&self, target: CallTarget) -> Option<&Rc<Kfunc>> {
        match target {
            CallTarget::Kfunc { id, module } => self.found.get(&(id, module)),
            CallTarget::Helper(_) | CallTarget::Subprog(_) => None,
        }
    }

    /// The name of a call's function.
    pub fn name(&self, target: CallTarget) -> Option<&str> {
        self.get(target).map(|kfunc| kfunc.name.as_str())
    }

    /// Tells the functions that call them what they do.
    pub fn affect(&self, program: &Program, layout: &mut Layout) {
        for (at, insn) in (0u32..).map(InsnIdx).zip(&program.insns) {
            if let Insn::Call(target) = *insn
                && let Some(kfunc) = self.get(target)
            {
                let caller = program.subprog_of(at).index();
                layout.sleeps[caller] |= kfunc.has(table::SLEEPABLE);
                layout.moves_packet[caller] |= kfunc.moves_packet();
            }
        }
        layout.settle();
    }

    /// Whether an instruction calls a function that calls a function of the program before it returns.
    pub fn calls_back(&self, insn: &Insn) -> bool {
        match *insn {
            Insn::Call(target) => self.get(target).is_some_and(|kfunc| kfunc.name == "bpf_rbtree_add_impl"),
            _ => false,
        }
    }

    /// Whether an instruction asks an iterator: a loop goes through it that ends by itself.
    pub fn asks_iterator(&self, insn: &Insn) -> bool {
        match *insn {
            Insn::Call(target) => self.get(target).is_some_and(|kfunc| kfunc.has(table::ITER_NEXT)),
            _ => false,
        }
    }
}

fn types_of(
    kernel: &KernelTypes,
    program: &Program,
    module: i16,
) -> Option<(std::sync::Arc<Btf>, Option<usize>)> {
    let KernelTypes::Kernel(kernel) = kernel else { return None };
    match usize::try_from(module).ok()? {
        0 => Some((kernel.vmlinux.clone(), None)),
        number => {
            let index = *program.modules.get(number - 1)? as usize;
            Some((kernel.modules.get(index)?.1.clone(), Some(index)))
        }
    }
}

fn resolve(program: &Program, id: i32, module: i16) -> Option<Kfunc> {
    let (btf, module) = types_of(&program.kernel, program, module)?;
    let func = btf.get(TypeId(u32::try_from(id).ok()?)).ok().filter(|ty| ty.kind() == TypeKind::Func)?;
    let proto = btf.get(func.referenced()).ok().filter(|ty| ty.kind() == TypeKind::FuncProto)?;
    let name = func.name().ok()?.to_owned();
    let params = proto.params().map(|param| {
        let name = btf.str(param.name).unwrap_or_default().to_owned();
        let pointer = btf.unqualified(param.ty).ok().filter(|ty| ty.kind() == TypeKind::Ptr);
        let size = pointer.and_then(|pointer| btf.size_of(pointer.referenced()).ok());
        Param { name, ty: param.ty, size }
    });
    Some(Kfunc {
        row: table::find(&name),
        params: params.collect(),
        returns: proto.referenced(),
        name,
        module,
    })
}

/// What the arguments told of a call so far.
#[derive(Debug, Default)]
struct KfuncCall {
    /// The reference to which an argument belongs.
    ref_id: u32,
    /// The argument that is given back.
    releases: Option<Reg>,
    /// The iterator: frame and slot.
    iterator: Option<(usize, usize)>,
    /// The dynptr that is read: what it refers to, its id, its reference.
    dynptr: Option<(Dynptr, u32, u32)>,
    /// Bytes of the memory that is returned, and whether it is read only.
    memory: Option<(u32, bool)>,
    /// A constant argument (`__k`).
    constant: Option<u64>,
    /// The structure of a constant argument that is a type id.
    casts: Option<Value>,
    /// What the list or the tree contains that it works on.
    root: Option<Contained>,
    /// The object that is put in, or of which another reference is taken.
    object: Option<BtfPointer>,
    /// Whether the program owns the latter, so that it exists.
    owning: bool,
    /// The function that is called back.
    callback: Option<SubprogId>,
    /// Work, and the map that holds it.
    work: Option<(Work, MapId)>,
}

impl Explorer<'_> {
    /// The types that describe a kernel function.
    fn kfunc_types(&self, kfunc: &Kfunc) -> Check<&Btf> {
        match (&self.program.kernel, kfunc.module) {
            (KernelTypes::Kernel(kernel), None) => Ok(&kernel.vmlinux),
            (KernelTypes::Kernel(kernel), Some(module)) => match kernel.modules.get(module) {
                Some((_, btf)) => Ok(btf),
                None => Err(self.unsupported("a kernel function of an unknown module")),
            },
            (KernelTypes::Own, _) => self.kernel_types(),
        }
    }

    /// A call of a kernel function.
    pub(super) fn kfunc(&mut self, target: CallTarget) -> Check<Next> {
        self.facts.foreign(self.at, Foreign::Function);
        let Some(kfunc) = self.kfuncs.get(target).map(Rc::clone) else {
            return Err(
                self.refuse(Code::UnsupportedKfunc, "a kernel function that the kernel's types do not have")
            );
        };
        let Some(row) = kfunc.row else {
            if kfunc.module.is_some() {
                let message = format!("kernel function {} of a module: not supported yet", kfunc.name);
                return Err(self.refuse(Code::UnsupportedKfunc, message));
            }
            return Err(self.refuse_kfunc(&kfunc));
        };
        if row.set == table::Set::Device {
            return Err(self.refuse(Code::KernelFunction, "metadata kfuncs require device-bound program"));
        }
        let session = matches!(
            self.program.attach,
            Some(AttachType::TraceKprobeSession | AttachType::TraceUprobeSession)
        );
        if !row.set.allows(self.kind) || (row.set == table::Set::KprobeSession && !session) {
            return Err(self.refuse_kfunc(&kfunc));
        }
        if !self.program.gpl_compatible {
            let message = "cannot call kernel function from non-GPL compatible program";
            return Err(self.refuse(Code::GplOnlyHelper, message));
        }
        let allowed = graph::is_graph(&kfunc.name)
            || ["bpf_iter_num_", "bpf_res_spin_", "bpf_stream_"]
                .iter()
                .any(|start| kfunc.name.starts_with(start));
        self.check_unlocked(allowed)?;
        if kfunc.has(table::SLEEPABLE) && !self.sleepable() {
            let message = format!("program must be sleepable to call sleepable kfunc {}", kfunc.name);
            return Err(self.refuse(Code::KernelFunction, message));
        }
        if kfunc.has(table::RCU_PROTECTED) && !self.in_rcu() {
            let message = format!("expected an RCU CS when using {}", kfunc.name);
            return Err(self.refuse(Code::Section, message));
        }
        if row.set == table::Set::TraceIter && self.program.attach != Some(AttachType::TraceIter) {
            return Err(self.refuse_kfunc(&kfunc));
        }
        let iterates = self.kind == ProgramKind::Lsm || self.program.attach == Some(AttachType::TraceIter);
        if kfunc.name == "bpf_iter_css_task_new" && !iterates && !self.sleepable() {
            let message = "css_task_iter is only allowed in bpf_lsm, bpf_iter and sleepable progs";
            return Err(self.refuse(Code::KernelFunction, message));
        }
        if kfunc.name == "bpf_throw" {
            return self.throw();
        }
        if kfunc.name == "__bpf_trap" {
            let message = "unexpected __bpf_trap() due to uninitialized variable?";
            return Err(self.refuse(Code::KernelFunction, message));
        }
        let may_fail = kfunc.name.starts_with("bpf_res_spin_lock");
        let failed = may_fail.then(|| self.copy());
        let mut call = KfuncCall::default();
        self.kfunc_arguments(&kfunc, &mut call)?;
        if let Some(failed) = failed {
            self.leave_unlocked(failed)?;
        }
        self.call_back_later(&call)?;
        if kfunc.name == "bpf_rbtree_add_impl" {
            self.compare_nodes(&call)?;
        }
        self.kfunc_section(&kfunc)?;
        if let Some(reg) = call.releases {
            let id = self.state.reg(reg).ref_id;
            self.release(id)?;
        }
        self.hand_over(&kfunc, &call)?;
        let result = self.kfunc_result(&kfunc, &call)?;
        self.destroy_caller_saved();
        if kfunc.moves_packet() {
            self.forget_packet();
        }
        if let Some(value) = result {
            self.set(Reg::R0, if may_fail { Value::constant(0) } else { value });
        }
        if let (true, Some((frame, slot))) = (kfunc.has(table::ITER_NEXT), call.iterator) {
            return self.ask_iterator(frame, slot);
        }
        Ok(Next::Fall)
    }

    /// A lock was not got: the path goes on without it, with an error.
    fn leave_unlocked(&mut self, mut state: Box<State>) -> Check {
        const MAX_ERRNO: i64 = 4095;
        let top = state.top_mut();
        for reg in RegSet::CALLER_SAVED.iter() {
            top.regs[reg.index()] = Value::UNINIT;
        }
        top.regs[Reg::R0.index()] = Value::scalar(Scalar::signed(-MAX_ERRNO, -1)).set_at(self.at);
        let next = self.target(0);
        self.leave(state, next)
    }

    /// `bpf_throw` ends the program, wherever it is: nothing may be held by any of its functions.
    fn throw(&mut self) -> Check<Next> {
        let handles = self.program.exception_callback;
        if self.state.frames().any(|frame| frame.callback.is_some() || Some(frame.subprog) == handles) {
            return Err(self.refuse(Code::Callback, "bpf_throw cannot be called from callback subprog"));
        }
        self.check_initialised(super::obligations::RegSet::of(Reg::R1))?;
        let value = *self.state.reg(Reg::R1);
        if !value.is_scalar() {
            return Err(self.refuse_reg(Code::ArgumentType, Reg::R1, "R1 is not a scalar"));
        }
        if self.program.exception_callback.is_none() {
            self.check_return(Reg::R1)?;
        }
        self.check_nothing_held("bpf_throw")?;
        Ok(Next::End)
    }

    fn refuse_kfunc(&self, kfunc: &Kfunc) -> Box<crate::diag::Diagnostic> {
        let message = format!("calling kernel function {} is not allowed", kfunc.name);
        let label = format!(
            "programs of the kind {} that are attached like this do not have this function",
            self.kind.info().name
        );
        Box::new(self.refuse(Code::KernelFunction, message).label(label))
    }
}
