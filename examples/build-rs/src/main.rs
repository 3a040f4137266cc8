//! Runs a firewall that was compiled when this program was built, and reads its maps by name.
//!
//! With the argument `-`, it prints the verdict on each frame of standard input, where every frame
//! follows its length in four bytes, little-endian.

use std::error::Error;
use std::io::{Read, stdin};

use brolga_runtime::{Packet, Runtime, Update, Value};

mod firewall {
    brolga_runtime::include_module!("firewall");
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::default();
    let firewall = firewall::Instance::new(&runtime)?;
    let mut worker = runtime.worker()?;

    if std::env::args().nth(1).as_deref() == Some("-") {
        for frame in frames()? {
            println!("{}", firewall.programs.firewall(&mut worker, &mut Packet::new(&frame))?);
        }
        return Ok(());
    }

    let source = u32::from_ne_bytes([198, 51, 100, 66]);
    let mut packet = Packet::new(&packet_from([198, 51, 100, 66]));
    println!("before: {}", firewall.programs.firewall(&mut worker, &mut packet)?);

    firewall.maps.blocked_v4.update(&source, &firewall::Counter::zeroed(), Update::Any)?;
    println!("after: {}", firewall.programs.firewall(&mut worker, &mut packet)?);

    let counter = firewall.maps.blocked_v4.lookup(&source)?.ok_or("the address is blocked")?;
    println!("blocked: {} packets, {} bytes", counter.packets, counter.bytes);
    Ok(())
}

/// A UDP packet.
fn packet_from(source: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![0; 60];
    frame[12..14].copy_from_slice(&0x0800_u16.to_be_bytes());
    frame[14] = 0x45;
    frame[16..18].copy_from_slice(&46_u16.to_be_bytes());
    frame[22..24].copy_from_slice(&[64, 17]);
    frame[26..30].copy_from_slice(&source);
    frame[38..40].copy_from_slice(&26_u16.to_be_bytes());
    frame
}

/// The frames of standard input.
fn frames() -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    stdin().read_to_end(&mut bytes)?;
    let mut rest = &bytes[..];
    let mut frames = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length) as usize;
        let (frame, after) = after.split_at_checked(length).ok_or("a frame is cut")?;
        frames.push(frame.to_vec());
        rest = after;
    }
    Ok(frames)
}
