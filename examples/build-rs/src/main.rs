//! Runs a firewall that was compiled when this program was built, and reads its maps by name.

use std::error::Error;

use brolga_runtime::{Packet, Runtime, Update, Value};

mod firewall {
    brolga_runtime::include_module!("firewall");
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::default();
    let firewall = firewall::Instance::new(&runtime)?;
    let mut worker = runtime.worker()?;

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
