//! Explores all paths of a program, depth first.
//!
//! The explorer owns the state of the current path and executes one instruction after the other on it;
//! `transfer` says what each does, `prune` when a path may stop. A branch that may go both ways leaves
//! one way for later. Nothing here recurses: depth is chosen by whoever wrote the program. What could
//! go wrong here is to lose a path; each one that is begun is either finished, or is what refuses the
//! program.

use std::cell::OnceCell;

use brolga_abi::ProgramKind;

use super::facts::Collector;
use super::findings::{Findings, Stop};
use super::guesses::Guesses;
use super::kfuncs::Kfuncs;
use super::liveness::Liveness;
use super::obligations::RegSet;
use super::observe::{Observer, StateView};
use super::planted::{Planted, is_planted};
use super::precision::{Links, Milestones, Step};
use super::prune::{Ends, NodeId, Nodes, Pace, Point, points};
use super::records::Records;
use super::sanitation::Sanitation;
use super::state::{Frame, State, When};
use super::struct_ops::Writable;
use super::structure::Layout;
use super::structures::Members;
use super::targets::Target;
use super::value::{Dynptr, Flags, Kind, MemoryOwner, Value};
use super::{Options, Pruning, Stats};
use crate::diag::{Code, Diagnostic};
use crate::isa::{Imm64, Insn, InsnIdx, Reg};
use crate::program::{Param, Program, SubprogId};

/// What judging gives: a finding refuses the program.
pub(super) type Check<T = ()> = Result<T, Box<Diagnostic>>;

/// Most ways left for later at a time. Linux stops at 8192; this is memory, not safety, and a long program
/// with a branch every few instructions needs one for each of them.
const MAX_PENDING: usize = 32_768;

/// Where a path goes after an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// To the next instruction.
    Fall,
    /// To this one.
    Goto(InsnIdx),
    /// Nowhere: the program has ended.
    End,
}

/// A way left for later.
struct Pending {
    state: Box<State>,
    at: InsnIdx,
    parent: Option<NodeId>,
    trail: usize,
    links: usize,
    events: u32,
}

/// One verification.
pub(super) struct Explorer<'p> {
    /// What is verified.
    pub program: &'p Program,
    /// Against what.
    pub options: &'p Options,
    /// The program's kind.
    pub kind: ProgramKind,
    /// Its structure.
    pub layout: Layout,
    /// What is live where.
    pub live: Liveness,
    /// Where states are compared.
    pub points: Vec<Point>,
    /// What was proven so far.
    pub facts: Collector,
    /// The current state.
    pub state: Box<State>,
    /// The instruction that comes next.
    pub at: InsnIdx,
    /// The last checkpoint of the current path.
    pub parent: Option<NodeId>,
    /// The steps of the current path.
    pub trail: Vec<Step>,
    /// Numbers that branches of the current path narrowed together.
    pub links: Vec<Links>,
    /// What walks back along the current path have wanted.
    pub milestones: Milestones,
    /// Checkpoints.
    pub nodes: Nodes,
    /// Whether a path may end at a state that is not fully explored.
    pub has_loops: bool,
    /// Guesses about loops.
    pub guesses: Guesses,
    /// When to make checkpoints.
    pub pace: Pace,
    /// Joins, spills and fills since the last checkpoint.
    pub events: u32,
    /// Instructions processed.
    pub processed: u32,
    pending: Vec<Pending>,
    /// The function to which the program is attached.
    pub target: Option<Target>,
    /// Whether the program may sleep where it is.
    pub may_sleep: bool,
    /// Whether the program refers to an arena.
    pub has_arena: bool,
    /// Kernel functions that the program calls.
    pub kfuncs: Kfuncs,
    /// What additions to pointers needed on all paths.
    pub sanitation: Sanitation,
    /// Special fields of maps' values and of structures.
    pub records: Records,
    /// Members of structures that were looked up.
    pub members: Members,
    /// What may be written of the structure that a `struct_ops` member gets.
    pub writable: OnceCell<Vec<Writable>>,
    /// Functions that are called later: how they begin, and how many of them were explored.
    pub later: Vec<Frame>,
    last_id: u32,
    /// Who looks on.
    pub observer: Option<&'p mut (dyn Observer + 'p)>,
    /// How the function that is explored began, and the last id then.
    pub entry: (Frame, u32),
    /// What refuses the program.
    pub findings: Findings,
}

/// The number of arenas in `enum bpf_map_type`.
pub(super) const ARENA: u32 = 33;

pub(super) fn refers_to_arena(program: &Program) -> bool {
    program.insns.iter().any(|insn| match *insn {
        Insn::LoadImm64 { imm: Imm64::MapIdx(index) | Imm64::MapIdxValue { index, .. }, .. } => {
            program.maps.get(index as usize).is_some_and(|map| map.kind.number() == ARENA)
        }
        _ => false,
    })
}

impl<'p> Explorer<'p> {
    /// Prepares to explore a program that has a structure.
    pub fn new(program: &'p Program, options: &'p Options, kind: ProgramKind, layout: Layout) -> Self {
        let kfuncs = Kfuncs::new(program);
        let mut live = Liveness::new(program, &kfuncs, &layout.cfgs, &layout.order);
        if is_planted(options, Planted::Liveness) {
            live.forget_slots();
        }
        if is_planted(options, Planted::Handed) {
            live.forget_handed();
        }
        Self {
            program,
            options,
            kind,
            live,
            points: points(&program.insns),
            facts: Collector::new(program.insns.len(), program.subprogs.len()),
            layout,
            state: Box::new(State::new(Frame::new(0, SubprogId::MAIN, None))),
            at: InsnIdx(0),
            parent: None,
            trail: Vec::new(),
            links: Vec::new(),
            milestones: Milestones::default(),
            nodes: Nodes::default(),
            has_loops: false,
            guesses: Guesses::default(),
            pace: Pace::default(),
            events: 0,
            processed: 0,
            pending: Vec::new(),
            target: None,
            kfuncs,
            may_sleep: program.traits.sleepable,
            has_arena: refers_to_arena(program),
            sanitation: Sanitation::default(),
            records: Records::new(program),
            members: Members::default(),
            writable: OnceCell::new(),
            later: Vec::new(),
            last_id: 0,
            observer: None,
            entry: (Frame::new(0, SubprogId::MAIN, None), 0),
            findings: Findings::default(),
        }
    }

    /// What it cost so far.
    pub fn stats(&self) -> Stats {
        Stats {
            processed: self.processed,
            peak_states: self.nodes.peak,
            total_states: self.nodes.total,
            stack_depth: 0,
        }
    }

    /// Explores the main function, then each global function that is called. What is found is in `findings`.
    pub fn run(&mut self) -> Result<(), Stop> {
        match Target::find(self.program) {
            Ok(target) => self.target = target,
            Err(found) => {
                // Without it nothing is known of the arguments.
                self.end_path(*found)?;
                return Err(Stop);
            }
        }
        self.kfuncs.affect(self.program, &mut self.layout);
        for (point, insn) in self.points.iter_mut().zip(&self.program.insns) {
            if self.kfuncs.asks_iterator(insn) || self.kfuncs.calls_back(insn) {
                (point.prune, point.force, point.ends) = (true, true, Ends::ByItself);
            }
        }
        self.has_loops = self.points.iter().any(|point| point.force);
        let mut frame = Frame::new(0, SubprogId::MAIN, None);
        self.enter_main(&mut frame);
        self.facts.entered(SubprogId::MAIN);
        self.explore(frame)?;
        let (mut done, mut later) = (vec![false; self.program.subprogs.len()], 0);
        let mut handled = false;
        // A global function may call others, before it or after it in the program.
        loop {
            let next = super::structure::subprog_ids(self.program).skip(1).find(|id| {
                self.program.subprogs[id.index()].global
                    && self.facts.is_called(*id)
                    && !done[id.index()]
                    && Some(*id) != self.program.exception_callback
            });
            if let Some(handler) = self.program.exception_callback.filter(|_| !handled) {
                handled = true;
                if let Err(found) = self.check_handler(handler) {
                    self.end_path(*found)?;
                    continue;
                }
                self.facts.entered(handler);
                let mut frame = Frame::new(0, handler, None);
                frame.regs[Reg::R1.index()] = Value::UNKNOWN;
                self.explore(frame)?;
                continue;
            }
            if let Some(frame) = self.later.get(later) {
                later += 1;
                let frame = frame.clone();
                self.explore(frame)?;
                continue;
            }
            let Some(id) = next else { return Ok(()) };
            done[id.index()] = true;
            let mut frame = Frame::new(0, id, None);
            if let Err(found) = self.enter_global(id, &mut frame) {
                self.end_path(*found)?;
                continue;
            }
            self.explore(frame)?;
        }
    }

    fn enter_main(&mut self, frame: &mut Frame) {
        match self.kind {
            ProgramKind::RawMemory => {
                let size = self.program.raw_memory_len;
                let buffer = Kind::Memory { size, owner: MemoryOwner::RawBuffer };
                frame.regs[Reg::R1.index()] = Value::pointer(buffer);
                frame.regs[Reg::R2.index()] = Value::constant(size.into());
            }
            ProgramKind::Xdp
            | ProgramKind::SocketFilter
            | ProgramKind::Kprobe
            | ProgramKind::SchedCls
            | ProgramKind::SchedAct
            | ProgramKind::Tracepoint
            | ProgramKind::PerfEvent
            | ProgramKind::CgroupSkb
            | ProgramKind::CgroupSock
            | ProgramKind::LwtIn
            | ProgramKind::LwtOut
            | ProgramKind::LwtXmit
            | ProgramKind::SockOps
            | ProgramKind::SkSkb
            | ProgramKind::CgroupDevice
            | ProgramKind::SkMsg
            | ProgramKind::RawTracepoint
            | ProgramKind::CgroupSockAddr
            | ProgramKind::LwtSeg6local
            | ProgramKind::LircMode2
            | ProgramKind::SkReuseport
            | ProgramKind::FlowDissector
            | ProgramKind::CgroupSysctl
            | ProgramKind::RawTracepointWritable
            | ProgramKind::CgroupSockopt
            | ProgramKind::Tracing
            | ProgramKind::StructOps
            | ProgramKind::Ext
            | ProgramKind::Lsm
            | ProgramKind::SkLookup
            | ProgramKind::Syscall
            | ProgramKind::Netfilter => {
                frame.regs[Reg::R1.index()] = Value::pointer(Kind::Context);
            }
        }
    }

    fn enter_global(&mut self, id: SubprogId, frame: &mut Frame) -> Check {
        let subprog = &self.program.subprogs[id.index()];
        self.check_signature(id)?;
        for (param, reg) in subprog.params.iter().zip(RegSet::ARGS.iter()) {
            let value = match *param {
                Param::Scalar | Param::Arena | Param::Unknown => Value::UNKNOWN,
                Param::Untrusted { ty: None } => Value::untrusted_memory(),
                Param::Untrusted { ty: Some(ty) } => {
                    let kind = self.kernel_counterpart(ty)?;
                    Value { flags: Flags::UNTRUSTED, ..Value::pointer(kind) }
                }
                Param::Context => Value::pointer(Kind::Context),
                Param::Dynptr => Value { id: self.new_id(), ..Value::pointer(Kind::Dynptr(Dynptr::Local)) },
                Param::Trusted { ty, nullable } => {
                    let kind = self.kernel_counterpart(ty)?;
                    let id = if nullable { self.new_id() } else { 0 };
                    Value { nullable, id, flags: Flags::TRUSTED, ..Value::pointer(kind) }
                }
                Param::Memory { size, nonnull } => {
                    let kind = Kind::Memory { size, owner: MemoryOwner::Caller };
                    Value { nullable: !nonnull, id: self.new_id(), ..Value::pointer(kind) }
                }
            };
            frame.regs[reg.index()] = value;
        }
        Ok(())
    }

    /// Goes to a function's entry, where ids up to one are taken.
    pub fn begin(&mut self, frame: Frame, last_id: u32) {
        self.last_id = last_id;
        self.at = self.program.subprogs[frame.subprog.index()].start;
        *self.state = State::new(frame);
    }

    /// Explores all paths from a function's entry. Where one ends in a finding, the others are still explored, if
    /// more are wanted: each began before the finding, so that none is its consequence.
    fn explore(&mut self, frame: Frame) -> Result<(), Stop> {
        self.may_sleep = match frame.callback.map(|callback| callback.when) {
            Some(When::Later) => false,
            Some(When::Work) => true,
            Some(When::Now) | None => self.program.traits.sleepable,
        };
        self.entry = (frame, self.last_id);
        self.guesses.clear(self.processed);
        self.start();
        loop {
            let ended = match self.step() {
                Ok(goes_on) => !goes_on,
                Err(_) if self.guesses.were_made() => {
                    self.begin_again();
                    continue;
                }
                Err(found) => {
                    self.end_path(*found)?;
                    true
                }
            };
            if ended {
                if let Some(observer) = &mut self.observer {
                    observer.end(self.at);
                }
                if !self.close_path() {
                    self.begin_again();
                } else if !self.resume() {
                    return Ok(());
                }
            }
        }
    }

    /// Begins the function that is explored.
    pub(super) fn start(&mut self) {
        let (frame, last_id) = self.entry.clone();
        self.begin(frame, last_id);
        self.nodes.clear();
        (self.parent, self.events) = (None, 0);
        self.trail.clear();
        self.links.clear();
        self.milestones = Milestones::default();
        if let Some(observer) = &mut self.observer {
            let state = StateView { state: &self.state, live: &self.live, at: self.at };
            observer.enter(self.state.top().subprog, state);
        }
    }

    /// Goes on with a way left for later, if there is one.
    fn resume(&mut self) -> bool {
        let Some(pending) = self.pending.pop() else { return false };
        self.go_on_in(pending.state);
        self.at = pending.at;
        self.parent = pending.parent;
        self.events = pending.events;
        self.trail.truncate(pending.trail);
        self.links.truncate(pending.links);
        self.milestones.truncate(pending.trail);
        if let Some(observer) = &mut self.observer {
            observer.resume(self.at, StateView { state: &self.state, live: &self.live, at: self.at });
        }
        true
    }

    /// Goes on with the way left last that leads to an instruction, if there is one.
    pub fn take_way(&mut self, to: InsnIdx) -> bool {
        let Some(index) = self.pending.iter().rposition(|pending| pending.at == to) else { return false };
        self.state = self.pending.swap_remove(index).state;
        self.at = to;
        true
    }

    /// Drops all ways left for later.
    pub fn forget_ways(&mut self) {
        self.pending.clear();
    }

    /// A function that begins like this is called some time. It is explored once.
    pub fn call_later(&mut self, frame: Frame) {
        let same = |known: &Frame| {
            known.subprog == frame.subprog
                && known.callback == frame.callback
                && known.regs.iter().zip(&frame.regs).all(|(a, b)| a.same_but_ids(b))
        };
        if !self.later.iter().any(same) {
            self.later.push(frame);
        }
    }

    /// The path goes on in another state; nobody needs the one that it had.
    pub fn go_on_in(&mut self, state: Box<State>) {
        let ended = std::mem::replace(&mut self.state, state);
        self.nodes.spare.take(ended);
    }

    /// A copy of the current state.
    pub fn copy(&mut self) -> Box<State> {
        self.nodes.spare.copy(&self.state)
    }

    /// Leaves a way for later.
    pub fn leave(&mut self, state: Box<State>, at: InsnIdx) -> Check {
        if self.pending.len() >= MAX_PENDING {
            let message = format!("The sequence of {} jumps is too complex.", self.pending.len() + 1);
            return Err(self.refuse(Code::TooComplex, message));
        }
        if let Some(observer) = &mut self.observer {
            observer.fork(at, StateView { state: &state, live: &self.live, at });
        }
        self.nodes.branch(self.parent);
        self.pending.push(Pending {
            state,
            at,
            parent: self.parent,
            trail: self.trail.len(),
            links: self.links.len(),
            events: self.events,
        });
        Ok(())
    }

    /// Processes one instruction. False: the path ends here.
    fn step(&mut self) -> Check<bool> {
        let at = self.at;
        self.processed += 1;
        let budget = self.options.instruction_budget.saturating_add(self.guesses.wasted);
        if self.processed > self.findings.budget(budget) {
            return Err(self.out_of_budget());
        }
        let point = self.points[at.index()];
        if point.prune && self.options.pruning == Pruning::On && self.visit()? {
            return Ok(false);
        }
        if let Some(observer) = &mut self.observer {
            observer.step(at, StateView { state: &self.state, live: &self.live, at });
        }
        self.events += u32::from(point.join);
        self.trail.push(Step::new(at, point.affects));
        self.facts.executed(at);
        let program = self.program;
        let insn = &program.insns[at.index()];
        match self.execute(insn)? {
            Next::Fall => {
                let wide = matches!(insn, Insn::LoadImm64 { .. });
                self.at = InsnIdx(at.0 + 1 + u32::from(wide));
                Ok(true)
            }
            Next::Goto(target) => {
                self.at = target;
                Ok(true)
            }
            Next::End => Ok(false),
        }
    }

    /// What an instruction does to the current state.
    pub fn execute(&mut self, insn: &Insn) -> Check<Next> {
        let point = self.points[self.at.index()];
        // Calls check their own arguments: those of a static function may be anything, or nothing. So
        // may its result.
        let reads = match *insn {
            Insn::Call(_) => RegSet::NONE,
            Insn::Exit if self.state.depth() > 0 || self.returns_nothing() => RegSet::NONE,
            _ => point.reads,
        };
        self.check_initialised(reads)?;
        if point.writes_frame_pointer {
            return Err(self.refuse(Code::FramePointerWrite, "frame pointer is read only"));
        }
        match *insn {
            Insn::Alu { op, width, dst, src } => self.alu(op, width, dst, src)?,
            Insn::MovSx { width, from, dst, src } => self.movsx(width, from, dst, src)?,
            Insn::Neg { width, dst } => self.neg(width, dst)?,
            Insn::Endian { kind, size, dst } => self.endian(kind, size, dst)?,
            Insn::AddrSpaceCast { dst, to, from, .. } => self.addr_space_cast(dst, from, to)?,
            Insn::LoadImm64 { dst, imm } => self.load_imm64(dst, imm)?,
            Insn::SecondSlot => {
                return Err(self.refuse(Code::InvalidInstruction, "the second half of a lddw is executed"));
            }
            Insn::Load { size, signed, dst, base, off } => self.load(size, signed, dst, base, off)?,
            Insn::Store { size, base, off, src } => self.store(size, base, off, src)?,
            Insn::Atomic { op, size, base, off, src } => self.atomic(op, size, base, off, src)?,
            Insn::LoadAcquire { size, dst, base, off } => self.load_acquire(size, dst, base, off)?,
            Insn::StoreRelease { size, base, off, src } => self.store_release(size, base, off, src)?,
            Insn::LegacyLoad { size, .. } => return self.legacy_load(size),
            Insn::Ja { off } => return Ok(self.jump(off.into())),
            Insn::Gotol { off } => return Ok(self.jump(off)),
            Insn::MayGoto { off } => return self.may_goto(off),
            Insn::Branch { cond, width, dst, src, off } => return self.branch(cond, width, dst, src, off),
            Insn::Call(target) => return self.call(target),
            Insn::Exit => return self.exit(),
        }
        Ok(Next::Fall)
    }

    /// A jump from the current instruction. Structure was checked: it stays within the function.
    pub fn jump(&mut self, off: i32) -> Next {
        self.pace.jumps += 1;
        Next::Goto(self.target(off))
    }

    /// Where a jump from the current instruction leads.
    pub fn target(&self, off: i32) -> InsnIdx {
        self.at.jump(off).expect("jumps were checked to stay within the function")
    }

    /// An id that no value has yet.
    pub fn new_id(&mut self) -> u32 {
        self.last_id += 1;
        self.last_id
    }

    /// Sets a register of the executing function.
    pub fn set(&mut self, reg: Reg, value: Value) {
        let at = self.at;
        *self.state.reg_mut(reg) = value.set_at(at);
    }

    pub(super) fn check_initialised(&self, reads: RegSet) -> Check {
        for reg in reads.iter() {
            if matches!(self.state.reg(reg).kind, Kind::Uninit) {
                return Err(self.refuse_uninit(reg));
            }
        }
        Ok(())
    }

    /// The budget is used up. Says where the path went round last.
    fn out_of_budget(&self) -> Box<Diagnostic> {
        let budget = self.options.instruction_budget;
        let message = format!("BPF program is too large. Processed {budget} insn");
        let mut diagnostic = Diagnostic::at(Code::TooComplex, self.at, message)
            .note(None, format!("the limit is {budget} instructions over all paths"));
        let recent = self.trail.iter().rev().take(4096);
        let mut later = self.at;
        for step in recent {
            if step.at > later {
                let note = "the path went round here last: a loop with too many rounds, or too many paths";
                diagnostic = diagnostic.note(Some(step.at), note);
                break;
            }
            later = step.at;
        }
        Box::new(diagnostic.help("lower the bound of the loop, or split the program by tail calls"))
    }
}
