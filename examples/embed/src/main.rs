//! Loads an XDP object at run time, verifies and compiles it in process, and runs it on packets.
//!
//! `cargo run -- PATH.bpf.o PROGRAM` takes another object; without arguments it is the firewall of this repository.

use std::error::Error;

use brolga_runtime::{Instance, Packet, Runtime, RuntimeOptions, Trace, Update, XdpVerdict, jit};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let object =
        args.next().unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../firewall.bpf.o").to_owned());
    let name = args.next().unwrap_or_else(|| "firewall".to_owned());

    // A refusal says why; nothing of a refused program is ever run.
    let loaded = jit::load(&std::fs::read(&object)?, &jit::Options::default())?;

    let (trace, _lines) = Trace::capture();
    let runtime = Runtime::new(RuntimeOptions { trace, ..RuntimeOptions::default() });
    let instance = Instance::new(&runtime, &loaded.module)?;
    let program = instance.program(&name)?;
    let mut worker = runtime.worker()?;

    let mut packet = Packet::new(&syn([198, 51, 100, 66], 443));
    println!("before: {}", program.run_xdp(&mut worker, &mut packet)?);

    if let Ok(blocked) = instance.map("blocked_v4") {
        // Packets and bytes are counted from zero.
        let blocked = blocked.typed::<[u8; 4], [u64; 2]>()?;
        blocked.update(&[198, 51, 100, 66], &[0, 0], Update::Any)?;

        // Many runs in a row go through a session, which costs least.
        let mut session = program.session(&mut worker)?;
        for _ in 0..3 {
            packet.set(&syn([198, 51, 100, 66], 443));
            assert_eq!(session.run_xdp(&mut packet)?, XdpVerdict::Drop);
        }
        drop(session);
        let [packets, bytes] = blocked.lookup(&[198, 51, 100, 66])?.unwrap_or_default();
        println!("blocked: {packets} packets, {bytes} bytes");
    }
    Ok(())
}

/// A TCP packet that opens a connection.
fn syn(source: [u8; 4], port: u16) -> Vec<u8> {
    let mut frame = vec![0; 54];
    frame[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&40_u16.to_be_bytes());
    frame[22..24].copy_from_slice(&[64, 6]);
    frame[26..30].copy_from_slice(&source);
    frame[30..34].copy_from_slice(&[192, 0, 2, 10]);
    frame[34..38].copy_from_slice(&[0xc0, 0, port.to_be_bytes()[0], port.to_be_bytes()[1]]);
    frame[46..48].copy_from_slice(&[0x50, 0x02]);
    frame
}
