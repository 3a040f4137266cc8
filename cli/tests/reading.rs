//! The commands that read and print: `inspect`, `disasm`, `explain`; and how all of them fail.

mod common;

use std::process::Stdio;

use common::{Run, brolga, command};

#[test]
fn inspect_lists_what_an_object_holds() {
    let run = brolga(&["inspect", "examples/dispatch.bpf.o"]);
    let text = run.exits(0);
    for line in
        ["handle_vlan", "handlers", "[1] = handle_ipv4", "helpers: bpf_map_lookup_elem, bpf_tail_call"]
    {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
    assert!(!text.contains('\x1b'), "colours without a terminal");

    let run = brolga(&["inspect", "examples/protocols.bpf.o", "--types", "--format", "json"]);
    run.exits(0);
    let [object] = &run.json()[..] else { panic!("one line, not {}", run.stdout) };
    assert_eq!(object["license"], "Dual MIT/GPL");
    assert_eq!(object["programs"][0]["kind"], "xdp");
    let functions = object["programs"][0]["functions"].as_array().unwrap();
    assert!(functions.iter().any(|f| f["name"] == "length_class" && f["global"] == true), "{functions:?}");
    let data = object["globals"].as_array().unwrap().iter().find(|g| g["section"] == ".data").unwrap();
    let jumbo = data["variables"].as_array().unwrap().iter().find(|v| v["name"] == "jumbo_from").unwrap();
    assert_eq!((&jumbo["type"], &jumbo["initial"]), (&"__u32".into(), &1514.into()));
    assert_eq!(object["btf"].as_array().unwrap().len() as u64, object["types"].as_u64().unwrap());
}

#[test]
fn inspect_prints_types_as_c() {
    let run = brolga(&["inspect", "examples/protocols.bpf.o", "--types=c"]);
    let text = run.exits(0);
    assert!(text.starts_with("#ifndef __VMLINUX_H__\n"), "{text}");
    assert!(text.contains("struct xdp_md {\n\t__u32 data;\n"), "{text}");
    assert!(text.contains("\ntypedef unsigned int __u32;\n"), "{text}");

    // Raw BTF is known by how it begins; this one has one integer.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("types.btf");
    let words: [u32; 10] = [0x0001_eb9f, 24, 0, 16, 16, 5, 1, 0x0100_0000, 4, 0x0100_0020];
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).chain(*b"\0int\0").collect();
    std::fs::write(&path, bytes).unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(brolga(&["inspect", path]).exits(0), "  [1] int int 4 bytes\n");
    brolga(&["inspect", path, "--types=c"]).exits(0);
    brolga(&["inspect", path, "--types=c", "--format", "json"]).fails("C is text, not JSON");
    brolga(&["inspect", "examples/capture.pcap", "--types=c"]).fails("not a 64-bit ELF file");
}

#[test]
fn link_makes_one_object() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out.o");
    let out = out.to_str().unwrap();
    let case = |name: &str| format!("tests/cases/link/{name}.bpf.o");
    let (first, second, twice) = (case("first"), case("second"), case("twice"));
    assert_eq!(brolga(&["link", &first, &second, "-o", out]).exits(0), "");
    assert!(
        brolga(&["inspect", out]).exits(0).contains("functions: adjust, scale, adjust, fallback, policy")
    );
    brolga(&["verify", out]).exits(0);
    let run = brolga(&["link", &second, &twice, "-o", out]);
    run.fails(&format!("cannot link `{twice}` and `{second}`: both define `scale`"));
}

#[test]
fn disasm_prints_instructions_with_their_lines() {
    let run = brolga(&["disasm", "examples/firewall.bpf.o"]);
    let text = run.exits(0);
    for line in
        ["firewall:\n", "examples/firewall.bpf.c:", "map[blocked_v4]", "call bpf_map_lookup_elem", "; to "]
    {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }

    let run = brolga(&["disasm", "examples/dispatch.bpf.o", "--program", "handle_arp", "--format", "json"]);
    run.exits(0);
    let [program] = &run.json()[..] else { panic!("one line, not {}", run.stdout) };
    assert_eq!(program["program"], "handle_arp");
    let insns = program["insns"].as_array().unwrap();
    assert_eq!(insns.last().unwrap()["text"], "exit");
    let mut next = 0;
    for insn in insns {
        assert_eq!(insn["insn"], next, "slots follow each other");
        next += insn["bytes"].as_str().unwrap().len() as u64 / 16;
        assert!(insn["line"].as_u64().unwrap() > 0);
    }
}

#[test]
fn explain_knows_every_code() {
    let run = brolga(&["explain", "null-map-value"]);
    assert!(run.exits(0).contains("lookup returns null"));
    let list = brolga(&["explain", "--list"]);
    for line in list.exits(0).lines() {
        let code = line.split_whitespace().next().unwrap();
        assert!(brolga(&["explain", code]).exits(0).starts_with(code));
    }
    assert_eq!(brolga(&["explain"]).exits(0), brolga(&["explain", "--list"]).exits(0));
    let run = brolga(&["explain", "--list", "--format", "json"]);
    assert!(run.json().iter().any(|row| row["code"] == "null-map-value" && row["severity"] == "reject"));
    brolga(&["explain", "map-value"]).fails("did you mean `null-map-value`");
    brolga(&["explain", "nonsense"]).fails("--list");
}

#[test]
fn what_cannot_be_read_is_said_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.into_os_string().into_string().unwrap()
    };
    let empty = file("empty.o", b"");
    let text =
        file("text.o", b"this is not an object, but it is longer than an ELF header: 64 bytes at the least");
    let cut = file("cut.o", &std::fs::read(common::root().join("examples/firewall.bpf.o")).unwrap()[..1000]);
    for command in ["inspect", "disasm", "verify"] {
        brolga(&[command, "no-such-file.o"]).fails("cannot read `no-such-file.o`");
        brolga(&[command, "examples"]).fails("cannot read `examples`");
        for path in [&empty, &text, &cut] {
            brolga(&[command, path]).fails(&format!("cannot load `{path}`"));
        }
        let missing = [command, "examples/dispatch.bpf.o", "--program", "missing"];
        brolga(&missing).fails("no program `missing`; it has `dispatch`, `handle_ipv4`");
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    let object = "examples/firewall.bpf.o";
    for args in [
        &[][..],
        &["frobnicate"],
        &["inspect"],
        &["run", object],
        &["run", object, "--pcap", "a", "--packet", "b"],
        &["run", object, "--packet", "a", "--pcap-out", "b"],
        &["run", object, "--pcap", "a", "--repeat", "0"],
        &["verify", object, "--kind", "xpd"],
        &["verify", object, "--format", "xml"],
        &["compile", object],
    ] {
        let run = brolga(args);
        assert_eq!(run.code, Some(2), "{args:?}: {}", run.stderr);
    }
    let run = brolga(&["verify", object, "--kind", "xpd"]);
    assert!(run.stderr.contains("tracepoint, xdp, perf_event"), "{}", run.stderr);
    assert!(brolga(&["run", "--help"]).exits(0).contains("be16:N"));
}

#[test]
fn big_endian_objects_are_read_and_verified_but_not_run_here() {
    let object = "tests/cases/programs/load/globals.bpfeb.o";
    let run = brolga(&["inspect", object, "--format", "json"]);
    run.exits(0);
    assert_eq!(run.json()[0]["byte_order"], "big");
    let globals = run.json()[0]["globals"].as_array().unwrap().clone();
    let variables = globals.iter().flat_map(|section| section["variables"].as_array().unwrap());
    let limit = variables.clone().find(|variable| variable["name"] == "limit").expect("it has one");
    assert_eq!(limit["initial"], 1000);
    let run = brolga(&["verify", "tests/cases/programs/load/functions.bpfeb.o"]);
    assert!(run.exits(0).contains("accepted"), "{}", run.stdout);
    let run = brolga(&["run", object, "--pcap", "examples/capture.pcap"]);
    assert_ne!(run.code, Some(0));
    assert!(run.stderr.contains("compile it for one of those"), "{}", run.stderr);
    let compile = ["compile", object, "--emit", "asm", "--target", "s390x-unknown-linux-gnu"];
    assert!(brolga(&compile).exits(0).contains("lrv"), "memory is little-endian before it is swapped");
}

#[test]
fn kinds_may_be_given_by_program() {
    let object = "examples/firewall.bpf.o";
    let run = brolga(&["verify", object, "--kind", "raw_memory"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("`--kind firewall=raw_memory` gives it another"), "{}", run.stderr);
    for args in [
        &["inspect", object, "--format", "json", "--kind", "firewall=socket_filter"][..],
        &["inspect", object, "--format", "json", "--kind", "socket_filter", "--program", "firewall"],
    ] {
        let run = brolga(args);
        run.exits(0);
        assert_eq!(run.json()[0]["programs"][0]["kind"], "socket_filter", "{args:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = command(&["disasm", "examples/balancer.bpf.o", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let run = Run::of(child.wait_with_output().unwrap());
    run.exits(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn objects_may_come_from_standard_input() {
    let object = std::fs::File::open(common::root().join("examples/firewall.bpf.o")).unwrap();
    let run = Run::of(command(&["inspect", "-"]).stdin(object).output().unwrap());
    assert!(run.exits(0).contains("blocked_v6"));
}

const FIELDS: &str = "tests/cases/core/fields.bpf.o";

/// The section `.BTF` of an object.
fn btf_of(path: &str) -> Vec<u8> {
    use object::{Object as _, ObjectSection as _};
    let file = std::fs::read(common::root().join(path)).unwrap();
    let elf = object::File::parse(&*file).unwrap();
    elf.section_by_name(".BTF").unwrap().data().unwrap().to_vec()
}

#[test]
fn kernels_types_are_read_as_they_come() {
    let directory = tempfile::tempdir().unwrap();
    let raw = directory.path().join("5.10.0-9-amd64.btf");
    std::fs::write(&raw, btf_of("tests/cases/core/kernel_new.o")).unwrap();
    let broken = directory.path().join("broken.btf");
    std::fs::write(&broken, b"\x9f\xeb\x01\x00").unwrap();
    let raw = raw.to_str().unwrap();
    for (kernel, value) in [("own", 16), ("tests/cases/core/kernel_old.o", 64), (raw, 80)] {
        let run =
            brolga(&["inspect", FIELDS, "--program", "read_total", "--btf", kernel, "--format", "json"]);
        run.exits(0);
        let relocation = &run.json()[0]["programs"][0]["core"][0];
        assert_eq!(
            (&relocation["kind"], &relocation["value"]),
            (&"byte_off".into(), &value.into()),
            "{kernel}"
        );
        assert_eq!(relocation["local"], "struct thing.total (0:4)");
        let text = brolga(&["disasm", FIELDS, "--program", "read_total", "--btf", kernel]);
        let load = format!("(r1 + {value})  ; byte_off of struct thing.total\n");
        assert!(text.exits(0).contains(&load), "{kernel}: {}", text.stdout);
    }
    let text = brolga(&["inspect", FIELDS, "--program", "guarded", "--btf", raw]);
    assert!(text.exits(0).contains("struct thing.gone (0:9) missing at 3"), "{}", text.stdout);
    let run = |kernel| brolga(&["verify", FIELDS, "--program", "read_total", "--btf", kernel]);
    run("missing.btf").fails("missing.btf");
    run("examples/capture.pcap").fails("neither BTF, nor ELF");
    run("target/absent").fails("target/absent");
    run(broken.to_str().unwrap()).fails("broken.btf");
    // One program of memory is meant to run here, where there is no kernel.
    let compile = ["compile", FIELDS, "--kind", "raw_memory", "--memory", "128", "--emit", "asm"];
    let of = |program, kernel: &[&str]| brolga(&[&compile[..], &["--program", program], kernel].concat());
    of("unguarded", &[]).exits(0);
    assert!(of("unguarded", &["--btf", raw]).stderr.contains("error[core-missing]"));
}

#[test]
fn objects_are_verified_for_many_kernels() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("debian/12/x86_64");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, object) in [("6.1.0-10", "new"), ("6.1.0-9", "old")] {
        let types = btf_of(&format!("tests/cases/core/kernel_{object}.o"));
        std::fs::write(folder.join(format!("{name}.btf")), types).unwrap();
    }
    std::fs::write(folder.join("README"), "no types").unwrap();
    let archive = directory.path().to_str().unwrap();
    let args =
        ["verify", FIELDS, "--kind", "raw_memory", "--memory", "128", "--btf", archive, "--btf", "own"];
    let text = brolga(&args);
    let stdout = text.exits(1);
    let expected = "\
kernel   1  debian/12/x86_64/6.1.0-9
kernel   2  debian/12/x86_64/6.1.0-10
kernel   3  own
";
    assert!(stdout.starts_with(expected), "{stdout}");
    for row in ["guarded yes yes yes", "unguarded yes no yes", "read_balance yes no yes"] {
        let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ") == row;
        assert!(stdout.lines().any(squeezed), "no `{row}` in\n{stdout}");
    }
    assert!(
        stdout.contains("\nunguarded for 2:\nerror[core-missing]: CO-RE: `struct thing.gone`"),
        "{stdout}"
    );

    let json = brolga(&[&args[..], &["--program", "unguarded", "--format", "json"]].concat());
    json.exits(1);
    let verdicts: Vec<_> =
        json.json().iter().map(|line| format!("{} {}", line["kernel"], line["verdict"])).collect();
    assert_eq!(
        verdicts,
        [
            r#""debian/12/x86_64/6.1.0-9" "accept""#,
            r#""debian/12/x86_64/6.1.0-10" "reject""#,
            r#""own" "accept""#
        ]
    );

    // A kernel that cannot be read does not keep the others from being judged.
    std::fs::write(folder.join("6.2.btf"), "broken").unwrap();
    let broken = brolga(&args);
    assert!(broken.exits(2).contains("unguarded for 2:"));
    assert!(broken.stderr.contains("6.2.btf"), "{}", broken.stderr);
    brolga(&["inspect", FIELDS, "--btf", archive]).fails("has the types of 3 kernels");
    let empty = tempfile::tempdir().unwrap();
    brolga(&["verify", FIELDS, "--btf", empty.path().to_str().unwrap()]).fails("there are no kernels' types");
}

#[test]
fn objects_are_changed_before_anything_looks_at_them() {
    let object = "tests/cases/programs/load/nested.bpf.o";
    let args = ["--max-entries", "first=0x400", "--value-size", "first=24", "--set-global", "names=hex:01"];
    let run = brolga(&[&["inspect", object, "--btf", "own"], &args[..]].concat());
    let text = run.exits(0);
    assert!(text.contains("key __u32 (4), value __u64 (24), max 1024"), "{text}");
    assert!(text.contains("= { 1, 0 }"), "{text}");

    for (option, setting, message) in [
        ("--max-entries", "first", "write MAP=NUMBER"),
        ("--max-entries", "first=-1", "write MAP=NUMBER"),
        ("--max-entries", "none=1", "--max-entries none=1: `none`: map is missing"),
        ("--value-size", ".data=0", "bytes of global data"),
        ("--set-global", "none=1", "there are `names`"),
    ] {
        brolga(&["verify", object, "--btf", "own", option, setting]).fails(message);
    }
}
