//! The function that each program exports, and the signatures of compiled code.

use brolga_abi::NativeKind;
use brolga_abi::context::{RAW_MEMORY_DATA, RAW_MEMORY_LEN};
use cranelift_codegen::ir::{self as clif, AbiParam, InstBuilder, Signature, types};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_frontend::FunctionBuilder;

use super::callee::{Callee, Callees};
use super::{BODY, Lowering, native};
use crate::program::SubprogId;

/// `extern "C" fn(context, env) -> u64`.
#[must_use]
pub fn entry_signature(isa: &dyn TargetIsa) -> Signature {
    signature(isa.default_call_conv(), 2)
}

/// `CallConv::Tail`, `(r1..r5, env) -> u64`.
#[must_use]
pub fn body_signature() -> Signature {
    signature(BODY, 6)
}

/// A function of 64-bit words.
pub(super) fn signature(conv: CallConv, params: usize) -> Signature {
    let mut signature = Signature::new(conv);
    signature.params = vec![AbiParam::new(types::I64); params];
    signature.returns = vec![AbiParam::new(types::I64)];
    signature
}

/// Lowers a program's entry, which gives the body its arguments, into an empty Cranelift function.
pub fn lower_entry(lowering: &mut Lowering<'_>, kind: NativeKind, into: &mut clif::Function) {
    into.signature = entry_signature(lowering.isa);
    let config = lowering.isa.frontend_config();
    let mut builder = FunctionBuilder::new(into, &mut lowering.buffers);
    let block = builder.create_block();
    builder.append_block_params_for_function_params(block);
    builder.switch_to_block(block);
    let (context, env) = match *builder.block_params(block) {
        [context, env] => (context, env),
        _ => unreachable!("the signature has two parameters"),
    };
    let zero = builder.ins().iconst(types::I64, 0);
    let (r1, r2) = match kind {
        NativeKind::RawMemory => {
            let r1 = builder.ins().load(types::I64, native(), context, RAW_MEMORY_DATA);
            (r1, builder.ins().load(types::I64, native(), context, RAW_MEMORY_LEN))
        }
        NativeKind::Xdp | NativeKind::SocketFilter => (context, zero),
    };
    let body = Callees::default().get(builder.func, Callee::Function(SubprogId::MAIN.0), body_signature);
    let call = builder.ins().call(body, &[r1, r2, zero, zero, zero, env]);
    let result = builder.inst_results(call)[0];
    builder.ins().return_(&[result]);
    builder.seal_all_blocks();
    builder.finalize(config);
}
