//! The commands that judge, run and compile, on the examples.

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use common::{Run, brolga, root};
use serde_json::{Value, json};

const CAPTURE: &str = "examples/capture.pcap";
const PACKETS: u64 = 512;

/// Runs an example over the capture and returns its JSON.
fn run(example: &str, args: &[&str]) -> Value {
    let object = format!("examples/{example}.bpf.o");
    let mut all = vec!["run", &object, "--pcap", CAPTURE, "--format", "json"];
    all.extend(args);
    let run = brolga(&all);
    run.exits(0);
    let [report] = &run.json()[..] else { panic!("one line, not {}", run.stdout) };
    assert_eq!(report["packets"], PACKETS);
    report.clone()
}

/// The verdicts that were seen.
fn verdicts(report: &Value) -> BTreeMap<&str, u64> {
    let all = report["verdicts"].as_object().unwrap().iter();
    all.map(|(name, count)| (name.as_str(), count.as_u64().unwrap()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

fn map<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["maps"].as_array().unwrap().iter().find(|map| map["name"] == name).expect("the map is there")
}

/// The packets of a pcap file: bytes captured and bytes on the wire of each.
fn packets(path: &Path) -> Vec<(Vec<u8>, u32)> {
    let bytes = std::fs::read(path).unwrap();
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (mut at, mut packets) = (24, Vec::new());
    while at < bytes.len() {
        let len = word(at + 8) as usize;
        packets.push((bytes[at + 16..at + 16 + len].to_vec(), word(at + 12)));
        at += 16 + len;
    }
    packets
}

#[test]
fn examples_are_accepted() {
    let objects =
        ["firewall", "balancer", "protocols", "dispatch"].map(|name| format!("examples/{name}.bpf.o"));
    let args: Vec<&str> = std::iter::once("verify").chain(objects.iter().map(String::as_str)).collect();
    let text = brolga(&args);
    assert_eq!(text.exits(0).matches(": accepted").count(), 9, "{}", text.stdout);

    let run = brolga(&[&args[..], &["--format", "json"]].concat());
    run.exits(0);
    let lines = run.json();
    assert_eq!(lines.len(), 9);
    for line in &lines {
        assert_eq!(line["verdict"], "accept");
        assert_eq!(line["kind"], "xdp");
        assert_eq!(line["diagnostics"], json!([]));
        assert!(line["processed"].as_u64() >= line["insns"].as_u64().map(|insns| insns / 2), "{line}");
        assert!(line["time_us"].is_u64());
    }
}

#[test]
fn rejected_and_unsupported_programs_have_exit_codes_of_their_own() {
    // Where the kind is another one, the context does not have the fields that are read.
    let rejected = brolga(&["verify", "cli/tests/data/rejected.bpf.o", "--format", "json"]);
    rejected.exits(1);
    let line = &rejected.json()[0];
    assert_eq!(line["verdict"], "reject");
    let finding = &line["diagnostics"][0];
    assert_eq!(finding["code"], "null-map-value");
    assert!(finding["file"].as_str().unwrap().ends_with("rejected.bpf.c"));
    assert_eq!(finding["line"], 19);
    let text = brolga(&["verify", "cli/tests/data/rejected.bpf.o"]);
    assert!(text.exits(1).contains("error[null-map-value]"), "{}", text.stdout);
    assert!(text.stdout.contains("*value += 1"), "{}", text.stdout);

    let object = "tests/cases/programs/load/unsupported.bpf.o";
    let unsupported = brolga(&["verify", object, "--program", "uses_map", "--format", "json"]);
    unsupported.exits(3);
    assert!(unsupported.json().iter().any(|line| line["verdict"] == "unsupported"));

    // One that cannot be read weighs most, and the others are judged all the same.
    let all = brolga(&["verify", "cli/tests/data/rejected.bpf.o", "missing.o", "examples/firewall.bpf.o"]);
    assert!(all.exits(2).contains(": accepted"));
    assert!(all.stderr.contains("missing.o"));

    for command in ["run", "compile"] {
        let args = match command {
            "run" => vec![command, "cli/tests/data/rejected.bpf.o", "--pcap", CAPTURE],
            _ => vec![command, "cli/tests/data/rejected.bpf.o", "--emit", "clif"],
        };
        let run = brolga(&args);
        assert_eq!(run.exits(1), "");
        assert!(run.stderr.contains("null-map-value"), "{}", run.stderr);
    }
}

#[test]
fn the_firewall_counts_and_blocks() {
    let open = run("firewall", &["--maps"]);
    assert_eq!(verdicts(&open), BTreeMap::from([("XDP_DROP", 17), ("XDP_PASS", 495)]));
    assert_eq!(open["program"], "firewall");
    assert_eq!(open["kind"], "xdp");
    assert_eq!(open["runs"], PACKETS);
    assert!(open["ns_per_run"]["median"].as_f64() >= open["ns_per_run"]["min"].as_f64());

    let blocked = run(
        "firewall",
        &[
            "--maps",
            "--map-update",
            "blocked_v4:198.51.100.66",
            "--map-update",
            "blocked_v6:2001:db8:0:bad::66",
        ],
    );
    assert_eq!(verdicts(&blocked), BTreeMap::from([("XDP_DROP", 97), ("XDP_PASS", 415)]));
    let element = &map(&blocked, "blocked_v4")["elements"][0];
    assert_eq!(element["key"], "198.51.100.66");
    assert_eq!(element["key_hex"], "c6336442");
    assert_eq!(element["value"], json!({"packets": 40, "bytes": 2400}));
    let reasons = map(&blocked, "verdicts")["elements"].as_array().unwrap();
    let sum: u64 = reasons.iter().map(|e| e["values"][0]["value"]["packets"].as_u64().unwrap()).sum();
    assert_eq!(sum, PACKETS);

    // Both captures hold the same packets.
    let ng =
        brolga(&["run", "examples/firewall.bpf.o", "--pcap", "examples/capture.pcapng", "--format", "json"]);
    ng.exits(0);
    assert_eq!(verdicts(&ng.json()[0]), verdicts(&open));
}

#[test]
fn elements_of_hashes_are_printed_in_order() {
    let hosts = [200, 3, 77, 9, 41, 150, 12, 99];
    let elements = hosts.map(|host| format!("blocked_v4:192.0.2.{host}"));
    let args = elements.iter().flat_map(|element| ["--map-update", element]);
    let report = run("firewall", &["--maps"].into_iter().chain(args).collect::<Vec<_>>());
    let keys: Vec<&str> = map(&report, "blocked_v4")["elements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|element| element["key_hex"].as_str().unwrap())
        .collect();
    assert_eq!(keys.len(), hosts.len());
    assert!(keys.is_sorted(), "{keys:?}");
}

#[test]
fn repeated_runs_see_the_packet_as_it_came_in() {
    let once = run("dispatch", &["--program", "dispatch"]);
    let often = run("dispatch", &["--program", "dispatch", "--repeat", "20", "--maps"]);
    assert_eq!(verdicts(&once), BTreeMap::from([("XDP_DROP", 17), ("XDP_PASS", 16), ("XDP_TX", 479)]));
    assert_eq!(verdicts(&often), verdicts(&once));
    assert_eq!(often["runs"], 20 * PACKETS);
    // Packets with VLAN tags come by more than once.
    let handled = &map(&often, "handled")["elements"][0]["values"][0]["value"];
    assert_eq!(handled.as_u64().unwrap() % 20, 0);
    assert!(handled.as_u64().unwrap() > 20 * PACKETS);
}

#[test]
fn resulting_packets_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("balanced.pcap");
    let report = run(
        "balancer",
        &[
            "--maps",
            "--map-update=services:192.0.2.10,be16:80,u8:6=u32:0,u32:2",
            "--map-update=services:192.0.2.10,be16:80,u8:17=u32:0,u32:2",
            "--map-update=backends:0=10.0.0.1,be16:8080,02:00:00:00:00:01",
            "--map-update=backends:1=10.0.0.2,be16:8080,02:00:00:00:00:02",
            &format!("--pcap-out={}", path.display()),
        ],
    );
    assert_eq!(verdicts(&report), BTreeMap::from([("XDP_PASS", 394), ("XDP_TX", 118)]));
    let (before, after) = (packets(&root().join(CAPTURE)), packets(&path));
    assert_eq!(after.len(), 512);
    let changed: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
    assert_eq!(changed.len(), 118);
    for ((_, wire_before), (bytes, wire)) in changed {
        assert_eq!(wire, wire_before);
        assert!(matches!(bytes[30..34], [10, 0, 0, 1 | 2]), "a backend's address");
        assert_eq!(bytes[5], bytes[33], "its MAC address");
        let header = &bytes[14..14 + 4 * usize::from(bytes[14] & 15)];
        let header: u32 =
            header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        assert_eq!((header & 0xffff) + (header >> 16), 0xffff, "the header's checksum is right");
    }

    let kept = folder.path().join("kept.pcap");
    let report = run("firewall", &[&format!("--pcap-out={}", kept.display())]);
    assert_eq!(packets(&kept).len() as u64, verdicts(&report)["XDP_PASS"]);
}

#[test]
fn globals_are_read_and_set() {
    let report = run("protocols", &["--maps", "--set-global", "jumbo_from=1000"]);
    assert_eq!(verdicts(&report), BTreeMap::from([("XDP_PASS", PACKETS)]));
    let bss = &map(&report, ".bss")["variables"];
    let packets: u64 = bss["packets"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum();
    let others = bss["not_ip"].as_u64().unwrap() + bss["malformed"].as_u64().unwrap();
    assert_eq!(packets + others, PACKETS);
    assert!(bss["extensions"].as_u64() > bss["fragments"].as_u64());
    assert_eq!(map(&report, ".data")["variables"], json!({"jumbo_from": 1000, "smallest": 1}));
    let default = run("protocols", &["--maps"]);
    assert!(bss["jumbo"].as_u64() > map(&default, ".bss")["variables"]["jumbo"].as_u64());

    // Sampling every packet traces each of them that has a protocol.
    let traced =
        brolga(&["run", "examples/protocols.bpf.o", "--pcap", CAPTURE, "--set-global", "sample_every=1"]);
    traced.exits(0);
    assert_eq!(
        traced.stderr.lines().filter(|line| line.starts_with("trace: protocol ")).count() as u64,
        packets
    );

    let args = ["run", "examples/protocols.bpf.o", "--pcap", CAPTURE, "--set-global"];
    brolga(&[&args[..], &["sample=1"]].concat()).fails("`sample_every`");
    brolga(&[&args[..], &["sample_every=u64:1"]].concat()).fails("8 bytes long, but 4 are wanted");
}

#[test]
fn wrong_elements_are_refused() {
    let args = ["run", "examples/firewall.bpf.o", "--pcap", CAPTURE, "--map-update"];
    for (element, message) in [
        ("blocked_v4", "write MAP:KEY"),
        ("blocked_v5:1", "no map `blocked_v5`"),
        ("blocked_v4:2001:db8::1", "16 bytes long, but 4 are wanted"),
        ("last_drop:1", "room for 1 elements"),
        ("verdicts:0=u8:256", "does not fit"),
    ] {
        brolga(&[&args[..], &[element]].concat()).fails(message);
    }
}

#[test]
fn one_packet_or_buffer_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let (input, output) = (path("in"), path("out"));
    let (ping, _) = packets(&root().join(CAPTURE))
        .into_iter()
        .find(|(bytes, _)| bytes[12..14] == [8, 0] && bytes[23] == 1 && bytes[34] == 8)
        .expect("there is a ping");
    std::fs::write(&input, &ping).unwrap();
    let args = [
        "run",
        "examples/dispatch.bpf.o",
        "--program",
        "dispatch",
        "--packet",
        &input,
        "--packet-out",
        &output,
    ];
    let run = brolga(&args);
    assert!(run.exits(0).contains("XDP_TX                1"), "{}", run.stdout);
    let pong = std::fs::read(&output).unwrap();
    assert_eq!((pong[34], &pong[..6], &pong[26..30]), (0, &ping[6..12], &ping[30..34]));

    // The header's checksum is over itself: 0 says that it is right.
    std::fs::write(&input, &ping[14..34]).unwrap();
    let args =
        ["run", "cli/tests/data/checksum.bpf.o", "--kind", "raw_memory", "--ctx", &input, "--format", "json"];
    let run = brolga(&args);
    run.exits(0);
    assert_eq!(run.json()[0]["retval"], 0);
    std::fs::write(&input, [0x01, 0x02, 0x03]).unwrap();
    let run = brolga(&args);
    run.exits(0);
    assert_eq!(run.json()[0]["retval"], 0xffff - 0x0102 - 0x0300);

    brolga(&["run", "cli/tests/data/checksum.bpf.o", "--kind", "raw_memory", "--packet", &input])
        .fails("runs on --ctx");
    brolga(&["run", "examples/firewall.bpf.o", "--ctx", &input]).fails("runs on --pcap or --packet");
    brolga(&["run", "examples/dispatch.bpf.o", "--packet", &input])
        .fails("choose one with --program: `dispatch`");
}

#[test]
fn both_formats_of_captures_give_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = Vec::new();
    for name in ["capture.pcap", "capture.pcapng"] {
        let (input, path) = (format!("examples/{name}"), folder.path().join(name));
        let output = format!("--pcap-out={}", path.display());
        let ran = brolga(&["run", "examples/firewall.bpf.o", "--pcap", &input, "--format", "json", &output]);
        ran.exits(0);
        all.push((ran.json()[0]["verdicts"].clone(), packets(&path)));
    }
    assert_eq!(all[0], all[1]);
}

#[test]
fn outputs_are_not_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("capture.pcap");
    let whole = std::fs::read(root().join(CAPTURE)).unwrap();
    std::fs::write(&path, &whole).unwrap();
    let name = path.display().to_string();
    let again = folder.path().join(".").join("capture.pcap").display().to_string();
    let run = |args: &[&str]| brolga(&[&["run", "examples/firewall.bpf.o"], args].concat());
    run(&["--pcap", &name, "--pcap-out", &again]).fails("would be overwritten while it is read");
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    run(&["--pcap", &name, "--pcap-out", "-"]).fails("--pcap-out needs a file");
    run(&["--packet", &name, "--packet-out", "-"]).fails("--packet-out needs a file");
}

#[test]
fn malformed_captures_are_refused_after_what_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.pcap");
    let whole = std::fs::read(root().join(CAPTURE)).unwrap();
    let name = path.display().to_string();
    let args = ["run", "examples/firewall.bpf.o", "--pcap", &name, "--format", "json"];
    std::fs::write(&path, &whole[..24]).unwrap();
    let empty = brolga(&args);
    empty.exits(0);
    assert_eq!(empty.json()[0]["packets"], 0);
    assert_eq!(empty.json()[0]["ns_per_run"], Value::Null);

    std::fs::write(&path, &whole[..5000]).unwrap();
    let cut = brolga(&args);
    cut.exits(2);
    let packets = cut.json()[0]["packets"].as_u64().unwrap();
    assert!(packets > 10);
    assert!(cut.stderr.contains(&format!("after packet {packets}, at byte ")), "{}", cut.stderr);

    for (bytes, message) in [
        (&b"not a capture"[..], "neither pcap nor pcapng"),
        (&whole[..10], "ends inside of the file's header"),
        (b"", "ends inside of the file's first four bytes"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        brolga(&args).fails(message);
    }
    brolga(&["run", "examples/firewall.bpf.o", "--pcap", "missing.pcap"]).fails("cannot read `missing.pcap`");
}

#[test]
fn compile_makes_code_and_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let object = "examples/dispatch.bpf.o";
    for (target, machine) in
        [("host", None), ("x86_64-unknown-linux-gnu", Some(62)), ("aarch64-unknown-linux-gnu", Some(183))]
    {
        let out = path("out.o");
        assert_eq!(brolga(&["compile", object, "-o", &out, "--target", target]).exits(0), "");
        let bytes = std::fs::read(&out).unwrap();
        assert_eq!(bytes[..4], *b"\x7fELF");
        assert!(machine.is_none_or(|machine| bytes[18] == machine), "{target}");
    }
    for emit in ["clif", "asm", "ir", "header"] {
        let run = brolga(&["compile", object, "--emit", emit]);
        assert!(run.exits(0).contains("handle_ipv4"), "{emit}: {}", run.stdout);
    }
    let header = path("dispatch.h");
    brolga(&["compile", object, "-o", &header, "--emit", "header"]).exits(0);
    let check = Command::new("cc")
        .args(["-fsyntax-only", "-Wall", "-Werror", "-include", &header, "-x", "c", "/dev/null"])
        .output();
    let check = Run::of(check.expect("a C compiler is there"));
    check.exits(0);
    brolga(&["compile", object, "-o", &path("x.o"), "--target", "pdp11"]).fails("cannot compile for `pdp11`");
    brolga(&["compile", object, "-o", &path("missing/x.o")]).fails("cannot write");
    let shared = path("shared.so");
    brolga(&["compile", object, "-o", &shared, "--emit", "shared"]).exits(0);
    assert_eq!(std::fs::read(&shared).unwrap()[16], 3, "a shared object");
    let archive = path("archive.a");
    brolga(&["compile", object, "-o", &archive, "--emit", "staticlib"]).exits(0);
    assert!(std::fs::read(&archive).unwrap().starts_with(b"!<arch>\n"));
}

/// A directory with the runtime for C as cargo builds it; `None` where it cannot be built.
fn runtime_for_c(folder: &Path) -> Option<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["build", "--quiet", "--package", "brolga-runtime-c", "--message-format", "json"];
    let output = Command::new(cargo).args(args).current_dir(root()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let library = text.split('"').find(|part| part.ends_with("libbrolga_runtime_c.a"))?;
    std::fs::copy(library, folder.join("libbrolga_runtime_c.a")).ok()?;
    std::fs::copy(root().join("runtime/c/include/brolga.h"), folder.join("brolga.h")).ok()?;
    Some(())
}

#[test]
fn executables_run_one_program_on_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).into_os_string().into_string().unwrap();
    let runtime = path("");
    let dispatch = [
        "compile",
        "examples/dispatch.bpf.o",
        "--emit",
        "exe",
        "--runtime",
        &runtime,
        "-o",
        &path("dispatch"),
    ];
    brolga(&[&dispatch[..], &["--program", "dispatch"]].concat()).fails("no libbrolga_runtime_c.a");
    if runtime_for_c(folder.path()).is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must build the runtime for C");
        eprintln!("skipped: the runtime for C cannot be built");
        return;
    }
    brolga(&dispatch).fails("choose one with --program");
    brolga(&[&dispatch[..], &["--program", "dispatch"]].concat()).exits(0);
    let checksum = ["compile", "cli/tests/data/checksum.bpf.o", "--kind", "raw_memory", "--memory", "3"];
    let rest = ["--emit", "exe", "--runtime", &runtime, "-o", &path("checksum")];
    brolga(&[&checksum[..], &rest].concat()).exits(0);

    let packets = packets(&root().join(CAPTURE));
    let files: Vec<String> = (0..20).map(|i| path(&format!("packet{i}"))).collect();
    for (file, (bytes, _)) in files.iter().zip(&packets) {
        std::fs::write(file, bytes).unwrap();
    }
    let run = Run::of(Command::new(path("dispatch")).args(&files).output().unwrap());
    for (line, file) in run.exits(0).lines().zip(&files) {
        let expected = brolga(&[
            "run",
            "examples/dispatch.bpf.o",
            "--program=dispatch",
            "--packet",
            file,
            "--format=json",
        ]);
        let verdict = verdicts(&expected.json()[0]).into_keys().next().unwrap().to_owned();
        assert_eq!(line, format!("{file}: {verdict}"));
    }
    assert_eq!(run.stdout.lines().count(), 20);

    std::fs::write(&files[0], [1, 2, 3]).unwrap();
    let run = Run::of(Command::new(path("checksum")).arg(&files[0]).output().unwrap());
    assert_eq!(run.exits(0), format!("{}: {}\n", files[0], 0xffff - 0x0102 - 0x0300));
    // The program was verified for three bytes.
    let run = Run::of(Command::new(path("checksum")).arg(&files[1]).output().unwrap());
    assert_eq!(run.exits(2), "");
    assert!(run.stderr.contains("verified for a buffer of 3 bytes"), "{}", run.stderr);
}
