//! A program under construction: instructions, and jumps to labels that are placed later.

use brolga_compiler::isa::{AluOp, CallTarget, Cond, Imm64, Insn, Operand, Reg, Size, Width};

/// A place in the text, perhaps not known yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Instructions, and what is still to be filled in.
#[derive(Clone, Debug, Default)]
pub struct Text {
    insns: Vec<Insn>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Text {
    /// A label that is not placed yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Places a label before the next instruction.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.insns.len());
    }

    /// Slots so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Whether nothing was added yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// Adds an instruction.
    pub fn push(&mut self, insn: Insn) {
        self.insns.push(insn);
    }

    /// `dst op= src` in 64 bits.
    pub fn alu(&mut self, op: AluOp, dst: Reg, src: Operand) {
        self.push(Insn::Alu { op, width: Width::W64, dst, src });
    }

    /// `dst = src`
    pub fn mov(&mut self, dst: Reg, src: Reg) {
        self.alu(AluOp::Mov, dst, Operand::Reg(src));
    }

    /// `dst = imm`
    pub fn mov_imm(&mut self, dst: Reg, imm: i32) {
        self.alu(AluOp::Mov, dst, Operand::Imm(imm));
    }

    /// `dst += imm`
    pub fn add_imm(&mut self, dst: Reg, imm: i32) {
        self.alu(AluOp::Add, dst, Operand::Imm(imm));
    }

    /// `dst = imm ll`
    pub fn load_imm64(&mut self, dst: Reg, imm: Imm64) {
        self.push(Insn::LoadImm64 { dst, imm });
        self.push(Insn::SecondSlot);
    }

    /// `dst = *(size *)(base + off)`
    pub fn load(&mut self, size: Size, dst: Reg, base: Reg, off: i16) {
        self.push(Insn::Load { size, signed: false, dst, base, off });
    }

    /// `*(size *)(base + off) = src`
    pub fn store(&mut self, size: Size, base: Reg, off: i16, src: Operand) {
        self.push(Insn::Store { size, base, off, src });
    }

    /// `if dst cond src goto label`
    pub fn branch(&mut self, cond: Cond, width: Width, dst: Reg, src: Operand, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.push(Insn::Branch { cond, width, dst, src, off: 0 });
    }

    /// `call label`
    pub fn call(&mut self, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.push(Insn::Call(CallTarget::Subprog(0)));
    }

    /// `dst = &label`
    pub fn function(&mut self, dst: Reg, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.load_imm64(dst, Imm64::Func(0));
    }

    /// The slot of a label that was placed.
    #[must_use]
    pub fn slot_of(&self, label: Label) -> Option<usize> {
        self.labels[label.0]
    }

    /// `goto label`, `may_goto label`, or whatever else is a jump.
    pub fn jump(&mut self, insn: Insn, to: Label) {
        self.jumps.push((self.insns.len(), to));
        self.push(insn);
    }

    /// The instructions.
    ///
    /// # Panics
    ///
    /// Where a label was never placed, or is farther away than a jump reaches.
    #[must_use]
    pub fn finish(mut self) -> Vec<Insn> {
        for (at, label) in self.jumps {
            let target = self.labels[label.0].expect("every label is placed");
            let distance = target as i64 - at as i64 - 1;
            let near = i16::try_from(distance);
            match &mut self.insns[at] {
                Insn::Branch { off, .. } | Insn::Ja { off } | Insn::MayGoto { off } => {
                    *off = near.expect("jumps of a generated program are near");
                }
                Insn::Gotol { off }
                | Insn::Call(CallTarget::Subprog(off))
                | Insn::LoadImm64 { imm: Imm64::Func(off), .. } => {
                    *off = i32::try_from(distance).expect("programs are small");
                }
                other => panic!("{other:?} is no jump"),
            }
        }
        self.insns
    }
}
