//! Arguments of programs that run in place of, before or after a function of the kernel: typed by the kernel's BTF.
//!
//! Such a program's context holds the function's arguments, 8 bytes each, and perhaps what it returned. Names of
//! targets are those of sections. What the kernel's types do not hold cannot be judged.

use brolga_abi::{AttachType, ProgramKind};

use super::check::{Direction, Request};
use super::explore::{Check, Explorer};
use super::struct_ops::{check_member, stub_names};
use super::structures::pointee;
use super::tracepoints::{Exception, exception};
use super::value::{BtfPointer, Buffer, Flags, Kind, TypesOf, Value};
use crate::btf::{Btf, Kind as TypeKind, Type, TypeId};
use crate::diag::{Code, Diagnostic};
use crate::program::{KernelTypes, Program, SubprogId};

/// The function to which a program is attached.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Its name in messages.
    pub name: String,
    /// Its prototype's parameters.
    pub params: Vec<TypeId>,
    /// Names of the parameters.
    names: Vec<String>,
    /// What it returns.
    pub returns: TypeId,
}

/// Most arguments of such a function (`MAX_BPF_FUNC_ARGS`).
const MAX_ARGS: u32 = 12;

/// Hooks whose arguments may be about to go away.
const UNTRUSTED_HOOKS: &[&str] = &[
    "bpf_map_free",
    "bpf_prog_free",
    "file_alloc_security",
    "file_free_security",
    "sk_alloc_security",
    "sk_free_security",
    "task_free",
];

/// Hooks that answer yes or no.
const BOOL_HOOKS: &[&str] = &["xfrm_state_pol_flow_match", "audit_rule_known", "inode_xattr_skipcap"];

/// Hooks that programs cannot have.
const DISABLED_HOOKS: &[&str] = &[
    "vm_enough_memory",
    "inode_need_killpriv",
    "inode_getsecurity",
    "inode_listsecurity",
    "inode_copy_up_xattr",
    "getselfattr",
    "getprocattr",
    "setprocattr",
    "key_getsecurity",
    "audit_rule_match",
    "xfrm_decode_session",
    "ismaclabel",
];

/// Iterators whose objects stay alive while they are shown; of others, nothing is promised beyond that they can be read.
const TRUSTED_ITERATORS: &[&str] = &["bpf_map", "cgroup", "kmem_cache", "task", "tcp", "udp"];

/// Functions that no program may watch (`btf_id_deny`): programs themselves are run with them.
const DENIED_FUNCTIONS: &[&str] = &[
    "migrate_disable",
    "migrate_enable",
    "rcu_read_unlock_strict",
    "preempt_count_add",
    "preempt_count_sub",
    "__rcu_read_lock",
    "__rcu_read_unlock",
];

/// Functions that do not return, so nothing can run after them.
const NO_RETURN: &[&str] = &[
    "__ia32_sys_exit",
    "__ia32_sys_exit_group",
    "__x64_sys_exit",
    "__x64_sys_exit_group",
    "do_exit",
    "do_group_exit",
    "kthread_complete_and_exit",
    "make_task_dead",
];

/// Functions in which paths may be printed (`btf_allowlist_d_path`).
const PATH_FUNCTIONS: &[&str] = &[
    "security_file_permission",
    "security_inode_getattr",
    "security_file_open",
    "security_path_truncate",
    "vfs_truncate",
    "vfs_fallocate",
    "dentry_open",
    "vfs_getattr",
    "filp_close",
];

/// Hooks in which a program may sleep (`sleepable_lsm_hooks`).
const SLEEPABLE_HOOKS: &[&str] = &[
    "bpf",
    "bpf_map",
    "bpf_map_create",
    "bpf_map_free",
    "bpf_prog",
    "bpf_prog_load",
    "bpf_token_create",
    "bpf_token_free",
    "bpf_token_cmd",
    "bpf_token_capable",
    "bprm_check_security",
    "bprm_committed_creds",
    "bprm_committing_creds",
    "bprm_creds_for_exec",
    "bprm_creds_from_file",
    "capget",
    "capset",
    "cred_prepare",
    "file_ioctl",
    "file_lock",
    "file_open",
    "file_post_open",
    "file_receive",
    "inode_create",
    "inode_free_security",
    "inode_getattr",
    "inode_getxattr",
    "inode_mknod",
    "inode_need_killpriv",
    "inode_post_setxattr",
    "inode_readlink",
    "inode_rename",
    "inode_rmdir",
    "inode_setattr",
    "inode_setxattr",
    "inode_symlink",
    "inode_unlink",
    "kernel_module_request",
    "kernel_read_file",
    "kernfs_init_security",
    "path_unlink",
    "path_mkdir",
    "path_rmdir",
    "path_truncate",
    "path_symlink",
    "path_link",
    "path_rename",
    "path_chmod",
    "path_chown",
    "mmap_file",
    "netlink_send",
    "path_notify",
    "release_secctx",
    "sb_alloc_security",
    "sb_eat_lsm_opts",
    "sb_kern_mount",
    "sb_mount",
    "sb_remount",
    "sb_set_mnt_opts",
    "sb_show_options",
    "sb_statfs",
    "sb_umount",
    "settime",
    "socket_accept",
    "socket_bind",
    "socket_connect",
    "socket_create",
    "socket_getpeername",
    "socket_getpeersec_dgram",
    "socket_getsockname",
    "socket_getsockopt",
    "socket_listen",
    "socket_post_create",
    "socket_recvmsg",
    "socket_sendmsg",
    "socket_shutdown",
    "socket_socketpair",
    "syslog",
    "task_alloc",
    "current_getsecid_subj",
    "task_getsecid_obj",
    "task_prctl",
    "task_setscheduler",
    "userns_create",
];

/// Whether programs run before, after or in place of a function.
fn watches(attach: Option<AttachType>) -> bool {
    matches!(
        attach,
        Some(
            AttachType::TraceFentry
                | AttachType::TraceFexit
                | AttachType::TraceFsession
                | AttachType::ModifyReturn
        )
    )
}

/// Why a program may not be attached to a function.
fn rejected(attach: Option<AttachType>, function: &str) -> Option<String> {
    if !watches(attach) {
        return None;
    }
    if DENIED_FUNCTIONS.contains(&function) {
        return Some(format!("Attaching tracing programs to function '{function}' is rejected."));
    }
    if attach != Some(AttachType::TraceFentry) && NO_RETURN.contains(&function) {
        return Some(format!("Attaching fexit/fmod_ret to __noreturn function '{function}' is rejected."));
    }
    None
}

/// Functions that fault injection knows, but where nobody may sleep (`btf_non_sleepable_error_inject`).
const NEVER_SLEEPABLE: &[&str] = &["__filemap_add_folio", "should_fail_alloc_page", "should_failslab"];

/// Functions whose results programs may change, besides those of fault injection; at the first of them they may sleep.
const MODIFIABLE: &[&str] = &[
    "bpf_fentry_test1",
    "bpf_modify_return_test",
    "bpf_modify_return_test2",
    "bpf_modify_return_test_tp",
    "update_socket_protocol",
];

/// Whether it is a system call's function, as architectures name those.
fn is_system_call(function: &str) -> bool {
    let prefixes = ["__x64_sys_", "__ia32_sys_", "__arm64_sys_", "__s390x_sys_", "__riscv_sys_"];
    prefixes.iter().any(|prefix| function.starts_with(prefix))
}

/// Whether a program may sleep at its hook or function, and change what that returns. For functions the kernel asks its list
/// for fault injection, of which its types tell nothing: all system calls are on it.
fn check_hold(program: &Program, target: &str) -> Result<(), Box<Diagnostic>> {
    let refuse = |message: String| Err(Box::new(Diagnostic::program(Code::AttachTarget, message)));
    let unknown = |what: &str| {
        let message = format!("whether programs at `{target}` may {what}, the kernel's types do not tell");
        Err(Box::new(Diagnostic::program(Code::UnsupportedFeature, message)))
    };
    let sleeps = program.traits.sleepable;
    let modifies = program.attach == Some(AttachType::ModifyReturn);
    match program.kind {
        Some(ProgramKind::Lsm) if sleeps && !SLEEPABLE_HOOKS.contains(&target) => {
            refuse(format!("bpf_lsm_{target} is not sleepable"))
        }
        Some(ProgramKind::Tracing) if watches(program.attach) => {
            if sleeps && NEVER_SLEEPABLE.contains(&target) {
                return refuse(format!("{target} is not sleepable"));
            }
            if sleeps && !is_system_call(target) && target != MODIFIABLE[0] {
                return unknown("sleep");
            }
            let known = target.starts_with("security_") || MODIFIABLE.contains(&target);
            if modifies && !known && !is_system_call(target) {
                return unknown("change what it returns");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The kernel's greatest error number (`MAX_ERRNO`).
const MAX_ERRNO: i64 = 4095;

impl Target {
    /// Finds the function. `None`: the program has none.
    pub fn find(program: &Program) -> Result<Option<Self>, Box<Diagnostic>> {
        let unsupported = |what: String| Box::new(Diagnostic::program(Code::UnsupportedFeature, what));
        let names = match (program.kind, program.attach) {
            (Some(ProgramKind::Tracing), Some(AttachType::TraceRawTp)) => "btf_trace_",
            (Some(ProgramKind::Tracing), Some(AttachType::TraceIter)) => "bpf_iter_",
            (Some(ProgramKind::Lsm), _) => "bpf_lsm_",
            (Some(ProgramKind::Tracing), _) => "",
            (Some(ProgramKind::StructOps), _) => return Self::find_member(program),
            (Some(ProgramKind::Ext), _) => {
                return Err(unsupported("programs that replace a function of another program".to_owned()));
            }
            _ => return Ok(None),
        };
        let KernelTypes::Kernel(kernel) = &program.kernel else {
            return Err(unsupported(
                "programs of this kind need the kernel's types: name them with `--btf`".to_owned(),
            ));
        };
        let btf = &kernel.vmlinux;
        let Some(target) = program.target.as_deref().filter(|target| !target.is_empty()) else {
            return Err(unsupported("the section names no function to attach to".to_owned()));
        };
        if program.kind == Some(ProgramKind::Lsm) && DISABLED_HOOKS.contains(&target) {
            let message = format!("attach_btf_id points to disabled hook {target}");
            return Err(Box::new(Diagnostic::program(Code::AttachTarget, message)));
        }
        if program.kind == Some(ProgramKind::Lsm) && !program.gpl_compatible {
            let message = "LSM programs must have a GPL compatible license";
            return Err(Box::new(Diagnostic::program(Code::GplOnlyHelper, message)));
        }
        if let Some(message) = rejected(program.attach, target) {
            return Err(Box::new(Diagnostic::program(Code::AttachTarget, message)));
        }
        check_hold(program, target)?;
        let name = format!("{names}{target}");
        let missing = || {
            let message = format!("the kernel's types have no function `{name}`");
            let help = "compare the name in `SEC(…)` with the kernel's; if it is right, give the types of a kernel that has it, with its modules: `--btf`";
            Box::new(Diagnostic::program(Code::AttachTarget, message).help(help))
        };
        let raw = names == "btf_trace_";
        let proto = if raw {
            let typedef = btf.find(TypeKind::Typedef, &name).ok_or_else(missing)?;
            let pointer = btf.unqualified(typedef).map_err(|_| missing())?;
            btf.unqualified(pointer.referenced()).map_err(|_| missing())?
        } else {
            let func = btf.find(TypeKind::Func, &name).ok_or_else(missing)?;
            let func = btf.get(func).map_err(|_| missing())?;
            btf.get(func.referenced()).map_err(|_| missing())?
        };
        // The first argument of a tracepoint's prototype is the kernel's own.
        Ok(Some(Self::of(btf, &proto, name, usize::from(raw))))
    }

    fn find_member(program: &Program) -> Result<Option<Self>, Box<Diagnostic>> {
        let unsupported = |what: &str| Box::new(Diagnostic::program(Code::UnsupportedFeature, what));
        let KernelTypes::Kernel(kernel) = &program.kernel else {
            return Err(unsupported("programs of this kind need the kernel's types: name them with `--btf`"));
        };
        let btf = &kernel.vmlinux;
        let slot = program.struct_ops.as_ref().ok_or_else(|| unsupported("no map names this program"))?;
        check_member(program, slot)?;
        let (ops, index) = slot.kernel.ok_or_else(|| unsupported("the kernel has no such structure"))?;
        let missing = |_| unsupported("the kernel has no such structure");
        let ops = btf.get(ops).map_err(missing)?;
        let member = ops.members().nth(index as usize);
        let member = member.ok_or_else(|| unsupported("the structure has no such member"))?;
        let pointer = btf.unqualified(member.ty).map_err(missing)?;
        let proto = btf.unqualified(pointer.referenced()).map_err(missing)?;
        let mut target = Self::of(btf, &proto, slot.member.clone(), 0);
        if let Some(names) = stub_names(btf, slot) {
            target.names = names;
        }
        if target.names.iter().any(|name| name.ends_with("__ref")) {
            return Err(unsupported("arguments that the program must give back"));
        }
        Ok(Some(target))
    }

    fn of(btf: &Btf, proto: &Type<'_>, name: String, skip: usize) -> Self {
        let params: Vec<_> = proto.params().skip(skip).collect();
        Self {
            name,
            names: params.iter().map(|p| btf.str(p.name).unwrap_or_default().to_owned()).collect(),
            params: params.iter().map(|p| p.ty).collect(),
            returns: proto.referenced(),
        }
    }
}

impl Explorer<'_> {
    /// A load of an argument. Gives what it yields; `None` for a number.
    pub(super) fn check_argument(&self, request: &Request) -> Check<Option<Value>> {
        let (off, size) = (request.off, request.size);
        let invalid = |detail: String| {
            let message = format!("{detail}invalid bpf_context access off={off} size={size}");
            self.refuse_reg(Code::ContextAccess, request.reg, message)
        };
        let Some(target) = &self.target else { return Err(self.unsupported("a program without a target")) };
        let at =
            u32::try_from(off).ok().filter(|at| *at < 8 * MAX_ARGS).ok_or_else(|| invalid(String::new()))?;
        if request.direction == Direction::Write || !at.is_multiple_of(size.max(1)) {
            return Err(invalid(String::new()));
        }
        let name = &target.name;
        if !at.is_multiple_of(8) {
            return Err(invalid(format!("func '{name}' offset {at} is not multiple of 8\n")));
        }
        let btf = self.kernel_types()?;
        let index = (at / 8) as usize;
        let ty = match target.params.get(index) {
            Some(ty) => *ty,
            None if index == target.params.len() && self.sees_result() => target.returns,
            None => return Err(invalid(format!("func '{name}' doesn't have {}-th argument\n", index + 1))),
        };
        let Ok(plain) = btf.unqualified(ty) else { return Err(invalid(String::new())) };
        match plain.kind() {
            TypeKind::Int | TypeKind::Enum | TypeKind::Enum64 => return Ok(None),
            TypeKind::Struct | TypeKind::Union if index < target.params.len() => return Ok(None),
            TypeKind::Ptr => {}
            // What a hook that returns nothing gave is a number.
            TypeKind::Void if index == target.params.len() => return Ok(None),
            _ => {
                let message = format!(
                    "func '{name}' arg{index} has type {:?}. Only pointer access is allowed\n",
                    plain.kind()
                );
                return Err(invalid(message));
            }
        }
        if size != 8 {
            return Err(invalid(format!("func '{name}' size {size} must be 8\n")));
        }
        if let Some(value) = self.iterator_argument(target, index)? {
            return Ok(Some(value));
        }
        let Some((to, tag)) = pointee(btf, &plain) else {
            let aim = btf.unqualified(plain.referenced()).map(|t| t.kind());
            return match aim {
                Ok(TypeKind::Void | TypeKind::Int) => Ok(None),
                _ => Err(invalid(format!("func '{name}' arg{index} type is not a struct\n"))),
            };
        };
        let flags = if self.trusts_arguments() { tag.with(Flags::TRUSTED) } else { tag };
        let mut nullable = target.names.get(index).is_some_and(|name| name.ends_with("__nullable"));
        if self.program.attach == Some(AttachType::TraceRawTp) {
            match exception(self.program.target.as_deref().unwrap_or_default(), index) {
                Some(Exception::Error) => return Ok(None),
                Some(Exception::Null) => nullable = true,
                None => {}
            }
        }
        let to = self.promoted(to, flags);
        let kind = Kind::Btf(BtfPointer { types: TypesOf::Kernel, ty: to });
        Ok(Some(Value { flags, nullable, ..Value::pointer(kind) }))
    }

    /// Whether the program returns nothing to what it is attached to, which then does not look at `r0`.
    pub(super) fn returns_nothing(&self) -> bool {
        let hook = self.kind == ProgramKind::Lsm && self.program.attach != Some(AttachType::LsmCgroup);
        let (Some(target), Some(btf)) = (&self.target, self.types(TypesOf::Kernel)) else { return false };
        (hook || self.kind == ProgramKind::StructOps)
            && self.state.top().subprog == SubprogId::MAIN
            && btf.unqualified(target.returns).is_ok_and(|ty| ty.kind() == TypeKind::Void)
    }

    /// What the program may return.
    pub(super) fn return_range(&self) -> Option<(i64, i64)> {
        let hook = self.kind == ProgramKind::Lsm && self.program.attach != Some(AttachType::LsmCgroup);
        match (&self.target, self.types(TypesOf::Kernel)) {
            (Some(target), Some(btf)) if hook => {
                let void = btf.unqualified(target.returns).is_ok_and(|ty| ty.kind() == TypeKind::Void);
                let name = target.name.strip_prefix("bpf_lsm_").unwrap_or(&target.name);
                match void {
                    true => None,
                    false if BOOL_HOOKS.contains(&name) => Some((0, 1)),
                    false => Some((-MAX_ERRNO, 0)),
                }
            }
            _ => self.kind.return_range(self.program.attach),
        }
    }

    /// Whether `bpf_d_path` may be called: not in the middle of what it asks for.
    pub(super) fn may_print_paths(&self) -> bool {
        let target = self.program.target.as_deref().unwrap_or_default();
        match (self.kind, self.program.attach) {
            (ProgramKind::Lsm, _) => SLEEPABLE_HOOKS.contains(&target),
            (_, Some(AttachType::TraceIter)) => true,
            _ => PATH_FUNCTIONS.contains(&target),
        }
    }

    /// Whether the program sees what the function returned.
    fn sees_result(&self) -> bool {
        matches!(
            self.program.attach,
            Some(
                AttachType::TraceFexit
                    | AttachType::ModifyReturn
                    | AttachType::LsmMac
                    | AttachType::LsmCgroup
            )
        )
    }

    fn trusts_arguments(&self) -> bool {
        let target = self.program.target.as_deref().unwrap_or_default();
        match self.kind {
            ProgramKind::Lsm => !UNTRUSTED_HOOKS.contains(&target),
            ProgramKind::StructOps => true,
            _ => matches!(self.program.attach, Some(AttachType::TraceRawTp | AttachType::TraceIter)),
        }
    }

    /// What an iterator's context holds: objects that may be missing, keys and values of maps.
    fn iterator_argument(&self, target: &Target, index: usize) -> Check<Option<Value>> {
        if self.program.attach != Some(AttachType::TraceIter) || index == 0 {
            return Ok(None);
        }
        let what = target.name.strip_prefix("bpf_iter_").unwrap_or_default();
        let buffer = |flags| {
            Ok(Some(Value { flags, nullable: true, ..Value::pointer(Kind::Buffer(Buffer::Iterator)) }))
        };
        match (what, index) {
            ("bpf_map_elem", 2) | ("sockmap", 2) => buffer(Flags::READONLY),
            ("bpf_map_elem", 3) | ("bpf_sk_storage_map", 3) => buffer(Flags::NONE),
            // The map is there as long as the iterator.
            ("bpf_map_elem" | "bpf_sk_storage_map" | "sockmap", 1) => Ok(None),
            _ => {
                let btf = self.kernel_types()?;
                let plain = target.params.get(index).and_then(|ty| btf.unqualified(*ty).ok());
                let Some((to, _)) = plain.and_then(|plain| pointee(btf, &plain)) else { return Ok(None) };
                let kind = Kind::Btf(BtfPointer { types: TypesOf::Kernel, ty: to });
                let trusted = TRUSTED_ITERATORS.contains(&what);
                let flags = if trusted { Flags::TRUSTED } else { Flags::NONE };
                Ok(Some(Value { flags, nullable: true, ..Value::pointer(kind) }))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brolga_abi::kinds::Traits;

    fn program(kind: ProgramKind, attach: AttachType, sleepable: bool) -> Program {
        let mut program = Program::from_insns("p", kind, Vec::new(), Vec::new().into());
        program.attach = Some(attach);
        program.traits = Traits { sleepable, ..Traits::default() };
        program
    }

    fn code(kind: ProgramKind, attach: AttachType, sleepable: bool, target: &str) -> Option<Code> {
        check_hold(&program(kind, attach, sleepable), target).err().map(|found| found.code)
    }

    #[test]
    fn programs_sleep_where_linux_lets_them() {
        let lsm = |target| code(ProgramKind::Lsm, AttachType::LsmMac, true, target);
        assert_eq!(lsm("file_open"), None);
        assert_eq!(lsm("file_free_security"), Some(Code::AttachTarget));
        let fentry = |target| code(ProgramKind::Tracing, AttachType::TraceFentry, true, target);
        assert_eq!(fentry("__x64_sys_getpgid"), None);
        assert_eq!(fentry("should_failslab"), Some(Code::AttachTarget));
        assert_eq!(fentry("do_unlinkat"), Some(Code::UnsupportedFeature));
        assert_eq!(code(ProgramKind::Tracing, AttachType::TraceFentry, false, "do_unlinkat"), None);
    }

    #[test]
    fn results_are_changed_where_linux_lets_them() {
        let fmod_ret = |target| code(ProgramKind::Tracing, AttachType::ModifyReturn, false, target);
        assert_eq!(fmod_ret("security_file_open"), None);
        assert_eq!(fmod_ret("bpf_modify_return_test"), None);
        assert_eq!(fmod_ret("do_unlinkat"), Some(Code::UnsupportedFeature));
    }

    #[test]
    fn what_does_not_return_is_not_watched_at_its_end() {
        assert!(rejected(Some(AttachType::TraceFexit), "do_exit").is_some());
        assert!(rejected(Some(AttachType::TraceFentry), "do_exit").is_none());
        assert!(rejected(Some(AttachType::TraceFentry), "migrate_disable").is_some());
    }
}
