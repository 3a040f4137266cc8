//! Compiles one Cranelift function to bytes and relocations.

use cranelift_codegen::binemit::{Addend, CodeOffset, Reloc};
use cranelift_codegen::control::ControlPlane;
use cranelift_codegen::ir::{self as clif, ExternalName};
use cranelift_codegen::isa::TargetIsa;
use cranelift_codegen::{Context, FinalizedRelocTarget};

use crate::diag::CompileError;
use crate::lower::Callee;

/// What a relocation refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelocTarget {
    /// Something that is called.
    Callee(Callee),
    /// A place in the function itself.
    Own(CodeOffset),
}

/// A place in the code where an address is to be written.
#[derive(Clone, Copy, Debug)]
pub struct CodeReloc {
    /// Where.
    pub offset: CodeOffset,
    /// In which form.
    pub kind: Reloc,
    /// Of what.
    pub target: RelocTarget,
    /// Added to the address.
    pub addend: Addend,
}

/// The code of one function.
#[derive(Clone, Debug)]
pub struct Code {
    /// Its instructions.
    pub bytes: Vec<u8>,
    /// What its address must be a multiple of.
    pub alignment: u64,
    /// Addresses to be written into it.
    pub relocs: Vec<CodeReloc>,
}

/// Whether the disassembly is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disassembly {
    /// No.
    None,
    /// As text.
    Text,
}

/// Compiles functions one after the other, with buffers that are used again.
#[expect(missing_debug_implementations, reason = "Cranelift's buffers have no useful text")]
pub struct Compiler<'a> {
    isa: &'a dyn TargetIsa,
    context: Context,
}

impl<'a> Compiler<'a> {
    /// For a target.
    #[must_use]
    pub fn new(isa: &'a dyn TargetIsa) -> Self {
        Self { isa, context: Context::new() }
    }

    /// An empty function to lower into.
    pub fn fresh(&mut self) -> &mut clif::Function {
        self.context.clear();
        &mut self.context.func
    }

    /// The function that was lowered.
    #[must_use]
    pub fn function(&self) -> &clif::Function {
        &self.context.func
    }

    /// Compiles the function that was lowered.
    ///
    /// # Errors
    ///
    /// A limit of Cranelift's, or a mistake of ours that its verifier found.
    pub fn compile(&mut self, program: &str, name: &str) -> Result<Code, CompileError> {
        self.compile_with(program, name, Disassembly::None).map(|(code, _)| code)
    }

    /// As [`Compiler::compile`], with the disassembly as text.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn compile_with(
        &mut self,
        program: &str,
        name: &str,
        disassembly: Disassembly,
    ) -> Result<(Code, String), CompileError> {
        let internal =
            |message: String| CompileError::Internal { function: format!("{program}.{name}"), message };
        self.context.set_disasm(disassembly == Disassembly::Text);
        let alignment = u64::from(self.isa.function_alignment().minimum).max(self.isa.symbol_alignment());
        if let Err(error) = self.context.compile(self.isa, &mut ControlPlane::default()) {
            return Err(refusal(program, &error.inner, &internal));
        }
        let Some(compiled) = self.context.compiled_code() else {
            return Err(internal("no code was made".to_owned()));
        };
        let bytes = compiled.code_buffer().to_vec();
        let alignment = alignment.max(u64::from(compiled.buffer.alignment));
        let text = compiled.vcode.clone().unwrap_or_default();
        let mut relocs = Vec::new();
        for reloc in compiled.buffer.relocs() {
            let target = match &reloc.target {
                FinalizedRelocTarget::Func(offset) => Some(RelocTarget::Own(*offset)),
                FinalizedRelocTarget::ExternalName(ExternalName::User(name)) => {
                    let name = &self.context.func.params.user_named_funcs()[*name];
                    Callee::from_name(name).map(RelocTarget::Callee)
                }
                FinalizedRelocTarget::ExternalName(_) => None,
            };
            let target =
                target.ok_or_else(|| internal(format!("unexpected relocation {:?}", reloc.target)))?;
            relocs.push(CodeReloc { offset: reloc.offset, kind: reloc.kind, target, addend: reloc.addend });
        }
        Ok((Code { bytes, alignment, relocs }, text))
    }
}

/// Cranelift's refusals: limits are the program's, the rest is ours.
fn refusal(
    program: &str,
    error: &cranelift_codegen::CodegenError,
    internal: &dyn Fn(String) -> CompileError,
) -> CompileError {
    use cranelift_codegen::CodegenError;
    match error {
        CodegenError::ImplLimitExceeded | CodegenError::CodeTooLarge => CompileError::Unsupported {
            program: program.to_owned(),
            insn: None,
            what: format!("a function of this size ({error})"),
        },
        other => internal(format!("{other:?}")),
    }
}
